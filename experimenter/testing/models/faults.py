"""The ways in which model services have failed, each done to the socket as it was done to us."""

from __future__ import annotations

import gzip
import json
import socket
import struct
import threading
from dataclasses import dataclass
from io import BufferedIOBase
from typing import Any, Final, Literal, Protocol

from experimenter.testing.models.asked import Asked
from experimenter.testing.models.said import Said, Tokens, error_body, reply_body

__all__ = ["FAULTS", "Failing", "Fault", "FaultName", "Handler"]

FaultName = Literal[
    "rate_limited",
    "server_error",
    "overloaded",
    "quota",
    "html",
    "empty",
    "null",
    "cut",
    "drip",
    "drip_headers",
    "flood",
    "reset",
    "reset_midway",
    "hang_up",
    "no_http",
    "slow",
    "redirect",
    "compressed",
    "deep",
    "surrogates",
    "echo",
    "error_in_success",
    "odd_types",
]
FAULTS: Final[tuple[FaultName, ...]] = FaultName.__args__  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to fail. ``retry_after`` goes with ``rate_limited``; ``seconds`` and ``bytes`` measure the rest."""

    name: FaultName
    retry_after: str = ""
    seconds: float = 0.05
    bytes: int = 200_000_000


class Handler(Protocol):
    """What a fault needs of the server's handler of one request."""

    wfile: BufferedIOBase
    connection: socket.socket
    flooded: int

    @property
    def closing(self) -> threading.Event: ...

    def bill(self, asked: Asked, said: Said) -> Tokens: ...

    def send(self, status: int, body: bytes, kind: str, headers: dict[str, str] | None = None) -> None: ...

    def json(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None: ...

    def begin(self, length: int | None) -> None: ...


class Failing:
    """The faults, one method each."""

    def __init__(self, handler: Handler, asked: Asked, fault: Fault) -> None:
        self._handler, self._asked, self._fault = handler, asked, fault

    def fail(self) -> None:
        getattr(self, f"_{self._fault.name}")()

    def _whole(self, text: str = '{"answer": "it is fine"}') -> dict[str, Any]:
        said = Said(text)
        return reply_body(self._asked, said, self._handler.bill(self._asked, said))

    def _error(
        self, status: int, kind: str, code: str, message: str, headers: dict[str, str] | None = None
    ) -> None:
        self._handler.json(status, error_body(self._asked.dialect, kind, code, message), headers)

    def _rate_limited(self) -> None:
        headers = {"retry-after": self._fault.retry_after} if self._fault.retry_after else None
        self._error(429, "rate_limit_error", "rate_limit_exceeded", "Too many requests.", headers)

    def _quota(self) -> None:
        if self._asked.dialect == "messages":
            self._error(400, "invalid_request_error", "", "Your credit balance is too low to use the API.")
        else:
            self._error(429, "insufficient_quota", "insufficient_quota", "You exceeded your current quota.")

    def _server_error(self) -> None:
        self._error(500, "api_error", "server_error", "Internal server error")

    def _overloaded(self) -> None:
        self._error(529 if self._asked.dialect == "messages" else 503, "overloaded_error", "", "Overloaded")

    def _html(self) -> None:
        self._handler.send(200, b"<!doctype html><title>Welcome</title><p>Please log in.", "text/html")

    def _empty(self) -> None:
        key = {"responses": "output", "chat": "choices", "messages": "content"}[self._asked.dialect]
        self._handler.json(200, self._whole() | {key: []})

    def _null(self) -> None:
        body = self._whole()
        if self._asked.dialect == "chat":
            body["choices"][0]["message"] = {"role": "assistant", "content": None}
        elif self._asked.dialect == "responses":
            body["output"] = [{"type": "message", "role": "assistant", "content": None}]
        else:
            body["content"] = None
        self._handler.json(200, body)

    def _cut(self) -> None:
        whole = json.dumps(self._whole()).encode()
        self._handler.send(200, whole[: len(whole) // 2], "application/json")

    def _drip(self) -> None:
        whole = json.dumps(self._whole()).encode()
        self._handler.begin(len(whole) * 1000)
        while not self._handler.closing.wait(self._fault.seconds):
            self._handler.wfile.write(b" ")

    def _drip_headers(self) -> None:
        self._handler.wfile.write(b"HTTP/1.1 200 OK\r\nx-slow: ")
        while not self._handler.closing.wait(self._fault.seconds):
            self._handler.wfile.write(b"a")

    def _flood(self) -> None:
        self._handler.begin(None)
        block = b" " * 65_536
        while self._handler.flooded < self._fault.bytes and not self._handler.closing.is_set():
            self._handler.wfile.write(block)
            self._handler.flooded += len(block)

    def _reset(self) -> None:
        self._handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._handler.connection.close()

    def _reset_midway(self) -> None:
        whole = json.dumps(self._whole()).encode()
        self._handler.begin(len(whole))
        self._handler.wfile.write(whole[: len(whole) // 2])
        self._reset()

    def _hang_up(self) -> None:
        """Nothing is said, and the connection ends in all politeness."""

    def _no_http(self) -> None:
        self._handler.wfile.write(b"SSH-2.0-OpenSSH_9.9\r\n")

    def _slow(self) -> None:
        if not self._handler.closing.wait(self._fault.seconds):
            self._handler.json(200, self._whole())

    def _redirect(self) -> None:
        self._handler.send(307, b"", "text/plain", {"location": "http://127.0.0.1:9/elsewhere"})

    def _compressed(self) -> None:
        self._handler.send(
            200, gzip.compress(b" " * 10_000_000), "application/json", {"content-encoding": "gzip"}
        )

    def _deep(self) -> None:
        self._handler.send(200, b'{"a":' + b"[" * 100_000, "application/json")

    def _surrogates(self) -> None:
        self._handler.json(200, self._whole('{"answer": "\ud800"} \udfff'))

    def _echo(self) -> None:
        """A server that quotes the key back in its headers and in its words."""
        words = f"You sent {self._asked.key}, which I log."
        self._error(400, "invalid_request_error", "", words, {"x-you-sent": self._asked.key})

    def _error_in_success(self) -> None:
        self._error(200, "server_error", "server_error", "The server had an error.")

    def _odd_types(self) -> None:
        """Every field there, and none of the type that it should have."""
        body: dict[str, Any] = {key: 7 for key in self._whole()}
        self._handler.json(200, body | {"error": None, "type": "message", "usage": {"input_tokens": "many"}})
