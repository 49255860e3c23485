"""The wire between the runner and its workers: length-prefixed canonical JSON, bounded. Never pickle."""

from __future__ import annotations

import json
import os
import struct
from typing import Any

from experimenter.errors import ExperimenterError
from experimenter.identity import canonical_json

LIMIT = 64 * 1024 * 1024
_HEADER = struct.Struct("!I")


class WireError(ExperimenterError):
    """The other side sent something that is not a message."""


def pack(message: dict[str, Any]) -> bytes:
    """One message as bytes; raises WireError above 64 MiB."""
    body = canonical_json(message).encode()
    if len(body) > LIMIT:
        raise WireError(f"A message of {len(body)} bytes is over the limit of {LIMIT}.")
    return _HEADER.pack(len(body)) + body


class Inbox:
    """Collects bytes and gives whole messages back."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """Adds ``data``; returns the messages that are now complete. Raises WireError on nonsense."""
        self._bytes += data
        messages = []
        while (message := self._next()) is not None:
            messages.append(message)
        return messages

    def _next(self) -> dict[str, Any] | None:
        if len(self._bytes) < _HEADER.size:
            return None
        (size,) = _HEADER.unpack_from(self._bytes)
        if size > LIMIT:
            raise WireError(f"A message announces {size} bytes; the limit is {LIMIT}.")
        end = _HEADER.size + size
        if len(self._bytes) < end:
            return None
        body = bytes(self._bytes[_HEADER.size : end])
        del self._bytes[:end]
        return _parse(body)


def _parse(body: bytes) -> dict[str, Any]:
    try:
        message = json.loads(body)
    except ValueError as error:
        raise WireError("A message is not JSON.") from error
    if not isinstance(message, dict):
        raise WireError("A message is not an object.")
    return message


def write_all(descriptor: int, data: bytes) -> None:
    """Writes every byte to a blocking descriptor."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
