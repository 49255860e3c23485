"""Sockets under a deadline, for the HTTP library to work with: every connect, read and write looks at it.

The library's own limits are for each operation, so a server that sends one byte now and then defeats them. It is
loaded only with a provider's package, so what is here fits its interface without inheriting from it.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
from collections.abc import Iterable
from typing import Any, Literal

from experimenter.planners.llm.deadline import Deadline
from experimenter.planners.llm.lookups import Address, Resolve, look_up, resolve_by_system

__all__ = ["DeadlineNetwork"]


class DeadlineNetwork:
    """``httpcore2``'s network, all of whose waiting ends with one deadline, whatever limits it is given besides."""

    def __init__(self, deadline: Deadline, resolve: Resolve = resolve_by_system) -> None:
        self._deadline, self._resolve = deadline, resolve

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> _Stream:
        """The first of the host's addresses that takes the connection. Raises ConnectError, or as the deadline does."""
        try:
            addresses = look_up(host, port, self._deadline, self._resolve)
        except OSError as cause:
            raise _broken("ConnectError", str(cause)) from cause
        reasons: list[str] = []
        for index, address in enumerate(addresses):
            try:
                return _Stream(self._connect(address, len(addresses) - index), self._deadline)
            except OSError as cause:
                reasons.append(_reason(cause))
        raise _broken("ConnectError", "; ".join(dict.fromkeys(reasons)))

    def _connect(self, address: Address, candidates: int) -> socket.socket:
        """An address that does not answer may use up its share of the time, not that of the others."""
        until = self._deadline.left() / candidates
        begin = self._deadline.spent()
        connection = socket.socket(address.family, socket.SOCK_STREAM)
        try:
            connection.settimeout(0.0)
            _begin_connecting(connection, address)
            while not _writable(connection, self._deadline.slice()):
                if candidates > 1 and self._deadline.spent() - begin > until:
                    raise TimeoutError
            if error := connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise OSError(error, "connect")
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        except BaseException:
            connection.close()
            raise
        return connection


class _Stream:
    def __init__(self, connection: socket.socket, deadline: Deadline) -> None:
        self._socket, self._deadline = connection, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            while True:
                self._socket.settimeout(self._deadline.slice())
                try:
                    return self._socket.recv(max_bytes)
                except TimeoutError:
                    continue
        except OSError as cause:
            raise _broken("ReadError", _reason(cause)) from cause

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        view = memoryview(buffer)
        try:
            while view:
                self._socket.settimeout(self._deadline.slice())
                try:
                    view = view[self._socket.send(view) :]
                except TimeoutError:
                    continue
        except OSError as cause:
            raise _broken("WriteError", _reason(cause)) from cause

    def close(self) -> None:
        self._socket.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> _Stream:
        """The handshake as a whole ends with the deadline: Python counts its time over all of its reads."""
        try:
            self._socket.settimeout(self._deadline.left())
            secured = ssl_context.wrap_socket(self._socket, server_hostname=server_hostname)
        except TimeoutError:
            self._socket.close()
            self._deadline.left()
            raise _broken("ConnectError", "no secure connection came about") from None
        except OSError as cause:
            self._socket.close()
            raise _broken("ConnectError", _reason(cause)) from cause
        return _Stream(secured, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        if info == "ssl_object":
            return self._socket if isinstance(self._socket, ssl.SSLSocket) else None
        if info == "socket":
            return self._socket
        if info == "is_readable":
            return _readable(self._socket)
        return None


def _begin_connecting(connection: socket.socket, address: Address) -> None:
    with contextlib.suppress(BlockingIOError):
        connection.connect(address.where)


def _writable(connection: socket.socket, seconds: float) -> bool:
    return _poll(connection, seconds, for_writing=True)


def _readable(connection: socket.socket) -> bool:
    return connection.fileno() < 0 or _poll(connection, 0.0, for_writing=False)


def _poll(connection: socket.socket, seconds: float, for_writing: bool) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_WRITE if for_writing else selectors.EVENT_READ)
        return bool(selector.select(seconds))


def _broken(kind: Literal["ConnectError", "ReadError", "WriteError"], reason: str) -> Exception:
    """The HTTP library's own error: after a failed write, for one, it still reads what the server had to say."""
    import httpcore2

    kinds: dict[str, type[Exception]] = {
        "ConnectError": httpcore2.ConnectError,
        "ReadError": httpcore2.ReadError,
        "WriteError": httpcore2.WriteError,
    }
    return kinds[kind](reason)


def _reason(cause: OSError) -> str:
    """In our words: a system's error may quote what was sent."""
    if isinstance(cause, ssl.SSLCertVerificationError):
        return "its certificate is not trusted"
    if isinstance(cause, ssl.SSLError):
        return "it does not speak TLS as we do"
    if isinstance(cause, ConnectionRefusedError):
        return "nothing answers at that port"
    if isinstance(cause, ConnectionResetError | BrokenPipeError):
        return "it broke off the connection"
    if isinstance(cause, TimeoutError):
        return "it does not take the connection"
    return f"the network refuses ({type(cause).__name__})"
