"""Colours for Python source, by the tokenizer of the standard library; anything else is plain escaped text."""

from __future__ import annotations

import io
import keyword
import tokenize
from typing import Final

from experimenter.report.html import Html, el
from experimenter.report.text import safe_text

__all__ = ["highlighted"]

_KINDS: Final = {tokenize.STRING: "s", tokenize.NUMBER: "n", tokenize.COMMENT: "c"}
_LIBRARY: Final = frozenset({"np", "math", "t"})


def highlighted(source: str) -> Html:
    """``source`` as a block of code, with keywords, strings, numbers, comments and library names in colour."""
    text = safe_text(source, lines=True).rstrip() + "\n"
    try:
        parts = _coloured(text)
    except (tokenize.TokenError, SyntaxError):
        parts = [text]
    return el("pre", el("code", *parts), cls="code", tabindex="0")


def _coloured(text: str) -> list[object]:
    lines = text.splitlines(keepends=True)
    parts: list[object] = []
    row, column, before = 1, 0, ""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        parts.append(_between(lines, (row, column), token.start))
        kind = _kind(token, before)
        parts.append(el("span", token.string, cls=kind) if kind else token.string)
        row, column = token.end
        if token.string.endswith("\n") and token.type in (tokenize.NEWLINE, tokenize.NL):
            row, column = row + 1, 0
        before = token.string or before
    return parts


def _between(lines: list[str], start: tuple[int, int], end: tuple[int, int]) -> str:
    """The text from ``start`` to ``end`` (row from 1, column from 0) that no token covers: spaces and line joins."""
    if start[0] == end[0]:
        return lines[start[0] - 1][start[1] : end[1]] if start[0] <= len(lines) else ""
    first = lines[start[0] - 1][start[1] :] if start[0] <= len(lines) else ""
    middle = "".join(lines[start[0] : end[0] - 1])
    last = lines[end[0] - 1][: end[1]] if end[0] <= len(lines) else ""
    return first + middle + last


def _kind(token: tokenize.TokenInfo, before: str) -> str:
    if token.type == tokenize.NAME:
        if keyword.iskeyword(token.string):
            return "k"
        if before == "def":
            return "f"
        return "l" if token.string in _LIBRARY else ""
    return _KINDS.get(token.type, "")
