"""Foreign text in a prompt: shown as data that its own content can neither close nor disguise.

Every line of it begins with a bar, so that there is no closing mark to imitate, and nothing needs to be secret or
drawn by chance: the same text gives the same prompt. What a reader cannot see (control, direction and tag characters,
variation selectors, in which instructions have been hidden) is taken out first.
"""

from __future__ import annotations

import unicodedata
from typing import Final

__all__ = ["BAR", "clean", "cut", "inline", "quoted"]

BAR: Final = "| "
_MARK: Final = "[cut: {:,} of {:,} characters are left out]"
_MARK_SPACE: Final = 60


def clean(text: str) -> str:
    """The text in lines, each of characters that can be seen; a tab is four spaces."""
    lines = text.replace("\t", "    ").splitlines()
    return "\n".join("".join(filter(_visible, line)).rstrip() for line in lines)


def _visible(character: str) -> bool:
    if character.isascii():
        return character.isprintable()
    if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn"):
        return False
    return not ("\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef")


def cut(text: str, cap: int) -> str:
    """At most ``cap`` characters (> 100); where something is left out, the end says how much."""
    if len(text) <= cap:
        return text
    kept = cap - _MARK_SPACE
    return f"{text[:kept]}{_MARK.format(len(text) - kept, len(text))}"


def quoted(text: str, cap: int) -> str:
    """The text as data: each line behind a bar, ``cap`` characters in all, bars included. Empty for an empty text."""
    text = text.strip("\r\n")
    body = clean(text[: 4 * cap]).strip("\n")
    if not body:
        return ""
    whole = "\n".join(f"{BAR}{line}".rstrip() for line in body.split("\n"))
    if len(whole) <= cap and len(text) <= 4 * cap:
        return whole
    kept = whole[: cap - _MARK_SPACE].rpartition("\n")[0] or whole[: cap - _MARK_SPACE]
    return f"{kept}\n{BAR}{_MARK.format(max(len(text) - len(kept), 1), len(text))}"


def inline(text: object, cap: int = 120) -> str:
    """The text in one line of at most ``cap`` characters, for use within a quoted block."""
    line = " ".join(clean(str(text)[: 8 * cap]).split())
    return line if len(line) <= cap else f"{line[: cap - 1]}…"
