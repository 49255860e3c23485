"""Markdown that foreign text cannot break: no heading, link, HTML, table cell or code block ends by what it says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from experimenter.report.text import safe_text

__all__ = ["bullet", "code", "fenced", "heading", "md_table", "plain"]

_MARKS = re.compile(r"([\\`*\[\]<>#|~&$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))")
_FIRST = re.compile(r"^(\s*)([-+=]|\d{1,9}[.)])")
_LINK = re.compile(r"(?i)\b(https?|ftp|www)([:.])")


def plain(words: object) -> str:
    """Words on one line that stay words, wherever they stand in a document. An address makes no link."""
    text = " ".join(safe_text(words).split())
    text = _MARKS.sub(r"\\\1", text)
    text = _LINK.sub(lambda found: f"{found[1]}\u200b{found[2]}", text)
    return _FIRST.sub(_guarded, text)


def _guarded(found: re.Match[str]) -> str:
    """What would begin a list or a rule, with a backslash before its mark."""
    space, mark = found.groups()
    return f"{space}\\{mark}" if len(mark) == 1 else f"{space}{mark[:-1]}\\{mark[-1]}"


def code(words: object) -> str:
    """Words as inline code; backticks become apostrophes and bars slashes, so that nothing ends it."""
    text = " ".join(safe_text(words).split()).replace("`", "'").replace("|", "/")
    return f"`{text}`" if text else ""


def fenced(source: str, language: str = "") -> str:
    """A code block whose fence is longer than any run of backticks in it."""
    text = safe_text(source, lines=True).strip("\n")
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def heading(level: int, words: object) -> str:
    return f"{'#' * level} {plain(words) or '(no words)'}"


def bullet(parts: Iterable[str]) -> str:
    """A list of parts that are Markdown already."""
    return "\n".join(f"- {part}" for part in parts)


def md_table(head: Sequence[str], rows: Iterable[Sequence[str]], figures: Sequence[int] = ()) -> str:
    """A table of cells that are Markdown already; columns numbered in ``figures`` are set to the right."""
    marks = ["---:" if index in figures else "---" for index in range(len(head))]
    lines = [" | ".join(head), " | ".join(marks), *(" | ".join(row) for row in rows)]
    return "\n".join(f"| {line} |" for line in lines)
