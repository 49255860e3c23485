"""The border between foreign text and a terminal: what an environment, a goal or a program says is only ever text."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

__all__ = ["clip", "safe_text"]

_ESCAPES: Final = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # operating system commands: title, clipboard, links
    r"|\x1b[PX^_][^\x1b]*(?:\x1b\\)?"  # device control and other strings
    r"|[\x1b\x9b]\[?[0-?]*[ -/]*[@-~]"  # control sequences
)
_KEPT: Final = {"\u200d"}  # joins emoji; harmless


def safe_text(value: object, *, lines: bool = False) -> str:
    """``value`` as text without escape sequences, control and direction-changing characters.

    A tab becomes four spaces. Newlines are kept only with ``lines``; otherwise each becomes a space. Markup is not
    touched: the consoles and widgets of this package have markup off, so it is shown as it was written.
    """
    text = _ESCAPES.sub("", str(value)).replace("\t", "    ")
    text = text.replace("\r\n", "\n").replace("\n", "\n" if lines else " ")
    return "".join(c for c in text if c == "\n" or c in _KEPT or not unicodedata.category(c).startswith("C"))


def clip(value: object, width: int) -> str:
    """The safe text of ``value`` in at most ``width`` characters."""
    text = safe_text(value)
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"
