"""The border between rows and records: JSON is canonical on the way in and validated on the way out."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, TypeVar

from pydantic import ValidationError

from experimenter.errors import WorkspaceError
from experimenter.identity import canonical_json
from experimenter.records import Json, Record
from experimenter.workspace.database import Database

__all__ = ["Part", "decode", "encode", "now", "read"]

R = TypeVar("R", bound=Record)


class Part:
    """Base of the workspace's parts, which share one database."""

    _database: Database


def now() -> str:
    """This moment, ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def encode(value: Json | Record, what: str) -> str:
    """Canonical JSON of ``value``. Raises WorkspaceError, naming ``what``, for NaN and for what is not JSON."""
    try:
        text = canonical_json(value)
        text.encode()
    except (ValueError, TypeError, RecursionError) as cause:
        raise WorkspaceError(
            f"{what} cannot be stored: {cause}.", "This is a fault; please report it."
        ) from cause
    return text


def read(kind: type[R], text: Any, where: str) -> R:
    """A validated record. Raises WorkspaceError naming the row (``where``) when it does not fit."""
    try:
        return kind.model_validate_json(text)
    except (ValidationError, ValueError) as cause:
        raise _unreadable(where, _first(cause)) from cause


def decode(text: Any, where: str) -> Json:
    """Plain JSON without NaN. Raises WorkspaceError naming the row (``where``) when it is not that."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, TypeError, RecursionError) as cause:
        raise _unreadable(where, str(cause)) from cause


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _first(cause: ValueError) -> str:
    if not isinstance(cause, ValidationError):
        return str(cause)
    error = cause.errors(include_url=False)[0]
    return f"{'.'.join(map(str, error['loc']))}: {error['msg']}".lstrip(": ")


def _unreadable(where: str, why: str) -> WorkspaceError:
    return WorkspaceError(
        f"The workspace's {where} cannot be read ({why}).",
        "It was damaged or written by another release; upgrade, or set workspace.sqlite aside and start again.",
    )
