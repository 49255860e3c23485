"""Where text goes: words for a person and logs to stderr, results to stdout, markup always off."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from experimenter.report.text import safe_text

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.console import Console

__all__ = ["print_json", "print_json_line", "say", "screen", "side"]


def screen() -> Console:
    """The console on stdout, for what the person asked to see."""
    from rich.console import Console

    return Console(markup=False, highlight=False, emoji=False, soft_wrap=False)


def side() -> Console:
    """The console on stderr, for progress, notes and errors."""
    from rich.console import Console

    return Console(stderr=True, markup=False, highlight=False, emoji=False)


def say(words: object) -> None:
    """One line on stderr."""
    print(safe_text(words), file=sys.stderr, flush=True)


def print_json(value: Any) -> None:
    """Exactly one JSON object (or list) on stdout, in ASCII, so that no control character reaches a terminal."""
    print(json.dumps(value, indent=2, sort_keys=False), flush=True)


def print_json_line(record: BaseModel) -> None:
    """One record as one line of JSON on stdout."""
    print(json.dumps(record.model_dump(mode="json"), separators=(",", ":")), flush=True)
