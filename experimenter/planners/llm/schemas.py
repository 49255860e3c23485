"""JSON schemas as services take them: a subset in which every object is closed and every property required.

What the subset cannot say (bounds, patterns) is said in the description instead; the answer is validated here anyway.
"""

from __future__ import annotations

from typing import Any, Final

__all__ = ["ANSWER", "closed", "plain"]

ANSWER: Final = "answer"
"""The name under which services know the schema, and the tool that a model is made to call."""

_DEEPEST: Final = 40
_KEPT: Final = ("type", "enum", "const", "description", "$ref")
_SAID: Final = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "above {}",
    "exclusiveMaximum": "below {}",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "pattern": "matching {}",
    "multipleOf": "a multiple of {}",
}
_Open = ValueError


def plain(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without what is ours alone: the version that every record carries, and the titles."""
    found: dict[str, Any] = _plain(schema, 0)
    return found


def closed(schema: dict[str, Any]) -> dict[str, Any] | None:
    """The schema in the strict subset, or ``None`` where it cannot be said in it (objects with any keys, tuples)."""
    try:
        found = _closed(plain(schema), 0)
    except _Open:
        return None
    return found if found.get("type") == "object" else None


def _plain(part: Any, depth: int) -> Any:
    if depth > _DEEPEST:
        return part
    if isinstance(part, list):
        return [_plain(one, depth + 1) for one in part]
    if not isinstance(part, dict):
        return part
    found = {
        key: {name: _plain(one, depth + 1) for name, one in value.items()}
        if key in ("properties", "$defs") and isinstance(value, dict)
        else _plain(value, depth + 1)
        for key, value in part.items()
        if not (key == "title" and isinstance(value, str))
    }
    version = found.get("properties", {}).get("v")
    if isinstance(version, dict) and "const" in version:
        del found["properties"]["v"]
        if "required" in found:
            found["required"] = [name for name in found["required"] if name != "v"]
    return found


def _closed(part: Any, depth: int) -> dict[str, Any]:
    if not isinstance(part, dict) or depth > _DEEPEST or "prefixItems" in part or "not" in part:
        raise _Open
    if "$ref" in part:
        return {"$ref": part["$ref"]}
    found = {key: part[key] for key in _KEPT if key in part}
    if limits := [words.format(part[key]) for key, words in _SAID.items() if key in part]:
        found["description"] = f"{part.get('description', '')} ({', '.join(limits)})".strip()
    if part.get("type") == "object":
        if part.get("additionalProperties") not in (None, False) or not part.get("properties"):
            raise _Open
        found["properties"] = {name: _closed(one, depth + 1) for name, one in part["properties"].items()}
        found |= {"required": list(part["properties"]), "additionalProperties": False}
    if part.get("type") == "array":
        found["items"] = _closed(part.get("items"), depth + 1)
    if "allOf" in part:
        raise _Open
    for key in ("anyOf", "oneOf"):
        if key in part:
            found["anyOf"] = [_closed(one, depth + 1) for one in part[key]]
    if not found.keys() & {"type", "enum", "const", "anyOf"}:
        raise _Open
    if "$defs" in part:
        found["$defs"] = {name: _closed(one, depth + 1) for name, one in part["$defs"].items()}
    return found
