"""Unified diffs in colour, long ones folded away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from experimenter.report.html import Html, el

__all__ = ["diff_block"]

_LONGEST: Final = 400
_FOLDED_FROM: Final = 60


def diff_block(lines: Sequence[str]) -> Html:
    """The lines of a unified diff; more than 60 are folded, more than 400 are cut."""
    if not lines:
        return el("p", "The source did not change.", cls="note")
    shown = [el("span", f"{line}\n", cls=_kind(line)) for line in lines[:_LONGEST]]
    if len(lines) > _LONGEST:
        shown.append(el("span", f"… and {len(lines) - _LONGEST:,} more lines\n", cls="h"))
    block = el("pre", el("code", *shown), cls="code diff", tabindex="0")
    if len(lines) <= _FOLDED_FROM:
        return block
    return el("details", el("summary", f"a diff of {len(lines):,} lines"), block)


def _kind(line: str) -> str:
    if line.startswith(("---", "+++", "@@")):
        return "h"
    return {"+": "add", "-": "del"}.get(line[:1], "same")
