"""A JSON schema in words that a small model follows, too: what to write, field by field, with bounds and choices.

The schema itself is enforced only where a service can; these words are in every prompt, and local validation decides.
"""

from __future__ import annotations

import json
from typing import Any, Final

from experimenter.planners.llm.schemas import plain

__all__ = ["in_words"]

_INDENT: Final = "  "
_BOUNDS: Final = {
    "minimum": "at least {:g}",
    "exclusiveMinimum": "above {:g}",
    "maximum": "at most {:g}",
    "exclusiveMaximum": "below {:g}",
    "maxLength": "at most {:g} characters",
    "minLength": "at least {:g} characters",
}


def in_words(schema: dict[str, Any]) -> str:
    """The shape of an answer, such as ``{"lever": "reward" or "environment", "reason": text}``, over several lines."""
    bare = plain(schema)
    return _said(bare, bare.get("$defs", {}), 0)


def _said(part: dict[str, Any], defs: dict[str, Any], depth: int) -> str:
    if "$ref" in part:
        return _said(defs[part["$ref"].rpartition("/")[2]], defs, depth)
    for key in ("anyOf", "oneOf"):
        if key in part:
            return " or ".join(dict.fromkeys(_said(one, defs, depth) for one in part[key]))
    if "const" in part:
        return json.dumps(part["const"])
    if "enum" in part:
        return " or ".join(json.dumps(one) for one in part["enum"])
    if part.get("type") == "object":
        return _object(part, defs, depth)
    if part.get("type") == "array":
        return _list(part, defs, depth)
    return _scalar(part)


def _object(part: dict[str, Any], defs: dict[str, Any], depth: int) -> str:
    fields = part.get("properties", {})
    if not fields:
        return "{}"
    inner = _INDENT * (depth + 1)
    lines = []
    for index, (name, one) in enumerate(fields.items()):
        comma = "," if index < len(fields) - 1 else ""
        about = one.get("description", "")
        note = f"   ({about})" if about else ""
        lines.append(f"{inner}{json.dumps(name)}: {_said(one, defs, depth + 1)}{comma}{note}")
    return "\n".join(["{", *lines, f"{_INDENT * depth}}}"])


def _list(part: dict[str, Any], defs: dict[str, Any], depth: int) -> str:
    low, high = part.get("minItems"), part.get("maxItems")
    if low == high and low is not None:
        many = f"exactly {low}"
    else:
        many = " and ".join(
            [*([f"at least {low}"] if low else []), *([f"at most {high}"] if high is not None else [])]
        )
    return f"a list{f' of {many}' if many else ''}: [{_said(part.get('items', {}), defs, depth)}, …]"


def _scalar(part: dict[str, Any]) -> str:
    words = {
        "string": "text",
        "integer": "a whole number",
        "number": "a number",
        "boolean": "true or false",
        "null": "null",
    }
    name = words.get(part.get("type", ""), "any value")
    limits = [said.format(part[key]) for key, said in _BOUNDS.items() if key in part]
    return f"{name} ({', '.join(limits)})" if limits else name
