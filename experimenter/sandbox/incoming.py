"""A reply of the contained process while it arrives: sizes are bounded before anything of them is kept."""

from __future__ import annotations

from typing import Any

from experimenter.sandbox import messages

__all__ = ["Incoming"]


class Incoming:
    """One message, piece by piece; at most ``max_body`` bytes follow its header. Raises Malformed."""

    def __init__(self, max_body: int) -> None:
        self._max_body = max_body
        self._bytes = bytearray()
        self._head = self._total = 0

    def feed(self, piece: bytes) -> None:
        self._bytes += piece
        if not self._total and len(self._bytes) >= messages.PREFIX.size:
            head, body = messages.prefix_of(bytes(self._bytes[: messages.PREFIX.size]), self._max_body)
            self._head = messages.PREFIX.size + head
            self._total = self._head + body
        if self._total and len(self._bytes) > self._total:
            raise messages.Malformed("it spoke out of turn")

    @property
    def begun(self) -> bool:
        return bool(self._bytes)

    @property
    def complete(self) -> bool:
        return bool(self._total) and len(self._bytes) == self._total

    def message(self) -> tuple[dict[str, Any], bytes]:
        header = messages.header_of(bytes(self._bytes[messages.PREFIX.size : self._head]))
        return header, bytes(self._bytes[self._head :])
