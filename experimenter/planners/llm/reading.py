"""Reading a service's JSON without trusting its shape: whatever is missing or of another type is simply not there."""

from __future__ import annotations

import json
from typing import Any, Final

__all__ = ["at", "clean", "count", "items", "text"]

_MOST_TOKENS: Final = 10**9


def at(value: Any, *path: str | int) -> Any:
    """What stands at a path of keys and indices, or ``None``."""
    for step in path:
        if isinstance(step, str) and isinstance(value, dict):
            value = value.get(step)
        elif isinstance(step, int) and isinstance(value, list) and -len(value) <= step < len(value):
            value = value[step]
        else:
            return None
    return value


def items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def clean(said: str) -> str:
    """Text that UTF-8 can hold: half a surrogate pair, which JSON can smuggle in, becomes a question mark."""
    return said.encode("utf-8", "replace").decode("utf-8")


def text(value: Any) -> str:
    """A string, or the texts of a list of parts; the JSON of an object (a tool call's arguments)."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return "".join(text(at(part, "text")) for part in value if isinstance(part, dict))
    if isinstance(value, dict):
        return clean(json.dumps(value))
    return ""


def count(value: Any) -> int | None:
    """A number of tokens, or ``None`` for whatever is none."""
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_TOKENS
    return int(value) if is_count else None
