"""The server itself: a free port on loopback, what it was asked, what it billed, and what it says next."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

from experimenter.testing.models.asked import PATHS, Asked, BadRequest, Dialect, Rung, read_request
from experimenter.testing.models.faults import Failing, Fault
from experimenter.testing.models.said import Said, Tokens, error_body, list_body, reply_body

__all__ = ["KEY", "FakeModels", "Script", "Turn"]

KEY: Final = "fake-key-0123456789"
Turn = str | Said | Fault
Script = Sequence[Turn] | Callable[[Asked], Turn]


class FakeModels:
    """The server, on a free port, from ``with`` to its end.

    ``script`` is a list (its last entry is repeated) or a function of the request. ``keys`` and ``models`` are what
    is accepted (``models=None``: any), ``rungs`` which ways of asking for structure, ``sees`` whether images are
    taken; with ``tls`` it speaks https. ``asked`` are all well-formed requests, ``billed`` their tokens,
    ``attempts`` counts every request, ``flooded`` the bytes of a flood that were taken.
    """

    def __init__(
        self,
        script: Script = ("ok",),
        keys: Sequence[str] = (KEY,),
        models: Sequence[str] | None = None,
        tls: ssl.SSLContext | None = None,
        rungs: Sequence[Rung] = ("native", "tool", "text"),
        *,
        sees: bool = True,
    ) -> None:
        self._tls, self._rungs, self._sees = tls, tuple(rungs), sees
        self._script, self._keys, self._models = script, tuple(keys), models
        self._lock = threading.Lock()
        self.asked: list[Asked] = []
        self.billed: list[Tokens] = []
        self.attempts = 0
        self.flooded = 0
        self.closing = threading.Event()

    def __enter__(self) -> Self:
        handler = type("Handler", (_Handler,), {"fake": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = False
        if self._tls:
            self._server.socket = self._tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def anthropic_url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def openai_url(self) -> str:
        """For ``responses`` and ``chat.completions`` alike."""
        return f"{self.anthropic_url}/v1"

    def environ(self) -> dict[str, str]:
        """The environment in which every provider is this server."""
        return {
            "OPENAI_API_KEY": self._keys[0],
            "OPENAI_BASE_URL": self.openai_url,
            "EXPERIMENTER_OPENAI_API": "responses",
            "ANTHROPIC_API_KEY": self._keys[0],
            "ANTHROPIC_BASE_URL": self.anthropic_url,
            "OLLAMA_HOST": f"127.0.0.1:{self.port}",
            "EXPERIMENTER_COMPAT_BASE_URL": self.openai_url,
            "EXPERIMENTER_COMPAT_API_KEY": self._keys[0],
        }

    def refusal(self, asked: Asked) -> tuple[int, str, str, str] | None:
        """Status, type, code and message for a request with a wrong key, or for a model that there is not."""
        if wrong := self.wrong_key(asked.key, optional=asked.dialect == "chat"):
            return wrong
        if self._models is not None and asked.model not in self._models:
            return 404, "not_found_error", "model_not_found", f"model: {asked.model} was not found"
        if asked.images and not self._sees:
            return 400, "invalid_request_error", "unsupported", "This model does not take images."
        if asked.rung not in self._rungs:
            return 400, "invalid_request_error", "unsupported", "Structured output is not supported."
        return None

    def wrong_key(self, key: str, *, optional: bool) -> tuple[int, str, str, str] | None:
        """What a wrong key is told; where one is ``optional``, none at all is no wrong one."""
        if key in self._keys or (optional and not key):
            return None
        return 401, "authentication_error", "invalid_api_key", f"Incorrect API key provided: {key}"

    @property
    def listed(self) -> Sequence[str]:
        """The models that it lists: those that it accepts."""
        return self._models if self._models is not None else ("model-a", "model-b")

    def turn(self, asked: Asked) -> Turn:
        """What comes next."""
        with self._lock:
            self.asked.append(asked)
            number = len(self.asked) - 1
        if callable(self._script):
            return self._script(asked)
        return self._script[min(number, len(self._script) - 1)]

    def bill(self, asked: Asked, said: Said) -> Tokens:
        counted = Tokens(asked.tokens(), -(-len((said.text or said.refusal).encode("utf-8", "replace")) // 4))
        tokens = said.tokens or counted
        with self._lock:
            self.billed.append(tokens)
        return tokens


class _Handler(BaseHTTPRequestHandler):
    fake: FakeModels
    protocol_version = "HTTP/1.1"

    @property
    def closing(self) -> threading.Event:
        return self.fake.closing

    @property
    def flooded(self) -> int:
        return self.fake.flooded

    @flooded.setter
    def flooded(self, count: int) -> None:
        self.fake.flooded = count

    def bill(self, asked: Asked, said: Said) -> Tokens:
        return self.fake.bill(asked, said)

    def log_message(self, format: str, *args: Any) -> None:
        """Silent: a test's output is not the place."""

    def do_GET(self) -> None:
        """The list of models, which all services give at the same path."""
        self.fake.attempts += 1
        self.close_connection = True
        anthropic = bool(self.headers.get("x-api-key"))
        dialect: Dialect = "messages" if anthropic else "chat"
        key = self.headers.get("x-api-key") or self.headers.get("authorization", "").removeprefix("Bearer ")
        if urlsplit(self.path).path != "/v1/models":
            self.send(404, b"404 page not found", "text/plain")
        elif refusal := self.fake.wrong_key(key, optional=not anthropic):
            self._error(dialect, *refusal)
        else:
            self.json(200, list_body(dialect, self.fake.listed))

    def do_POST(self) -> None:
        self.fake.attempts += 1
        self.close_connection = True
        try:
            self._answer()
        except (BrokenPipeError, ConnectionResetError):
            return

    def _answer(self) -> None:
        """The path may be a whole address: so a proxy is asked, and this server can stand in for one."""
        dialect = PATHS.get(urlsplit(self.path).path)
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        if dialect is None:
            self.send(404, b"404 page not found", "text/plain")
            return
        try:
            names = {name.lower() for name in self.headers}
            headers = {name: ", ".join(self.headers.get_all(name, [])) for name in names}
            asked = read_request(dialect, headers, json.loads(raw))
        except (BadRequest, ValueError) as cause:
            self._error(dialect, 400, "invalid_request_error", "", str(cause))
            return
        if refusal := self.fake.refusal(asked):
            self._error(dialect, *refusal)
            return
        turn = self.fake.turn(asked)
        if isinstance(turn, Fault):
            Failing(self, asked, turn).fail()
            return
        self.say(asked, Said(turn) if isinstance(turn, str) else turn)

    def say(self, asked: Asked, said: Said) -> None:
        self.json(200, reply_body(asked, said, self.fake.bill(asked, said)))

    def _error(self, dialect: Dialect, status: int, kind: str, code: str, message: str) -> None:
        self.json(status, error_body(dialect, kind, code, message))

    def json(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        self.send(status, json.dumps(body).encode(), "application/json", headers)

    def send(
        self,
        status: int,
        body: bytes,
        kind: str,
        headers: dict[str, str] | None = None,
        length: int | None = None,
    ) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.send_header("connection", "close")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def begin(self, length: int | None) -> None:
        """Only the headers of a reply; without a length it ends with the connection."""
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("connection", "close")
        if length is not None:
            self.send_header("content-length", str(length))
        self.end_headers()
