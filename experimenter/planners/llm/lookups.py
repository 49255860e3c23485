"""Names to addresses without waiting for ever: the system's resolver knows no time limit and cannot be interrupted.

So it runs in a thread of its own, at most one for each host: whoever asks again while it hangs waits for the same one.
The thread ends when the system's resolver gives up; nothing waits for it longer than its deadline.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from experimenter.planners.llm.deadline import Deadline

__all__ = ["Address", "Resolve", "look_up"]

Resolve = Callable[[str, int], list[Any]]


class Address(NamedTuple):
    """Where a socket can connect to."""

    family: int
    where: Any


def resolve_by_system(host: str, port: int) -> list[Any]:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


def look_up(
    host: str, port: int, deadline: Deadline, resolve: Resolve = resolve_by_system
) -> tuple[Address, ...]:
    """The host's addresses, none twice. Raises OSError for a name that has none, ModelFault at the deadline."""
    if _is_literal(host):
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    else:
        found = _shared(host, port, resolve).wait(deadline)
    return tuple(dict.fromkeys(Address(family, where) for family, _, _, _, where in found))


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class _Lookup:
    def __init__(self, key: tuple[str, int, Resolve]) -> None:
        self._key = key
        self._done = threading.Event()
        self._found: list[Any] = []
        self._error = ""
        threading.Thread(target=self._run, name=f"look-up-{key[0][:40]}", daemon=True).start()

    def _run(self) -> None:
        host, port, resolve = self._key
        try:
            self._found = resolve(host, port)
        except (OSError, UnicodeError) as cause:
            self._error = type(cause).__name__
        finally:
            with _LOCK:
                _PENDING.pop(self._key, None)
            self._done.set()

    def wait(self, deadline: Deadline) -> list[Any]:
        while not self._done.wait(deadline.slice()):
            pass
        if self._error or not self._found:
            raise OSError(f"the name {self._key[0]} cannot be resolved")
        return self._found


_PENDING: dict[tuple[str, int, Resolve], _Lookup] = {}
_LOCK = threading.Lock()


def _shared(host: str, port: int, resolve: Resolve) -> _Lookup:
    key = (host, port, resolve)
    with _LOCK:
        if key not in _PENDING:
            _PENDING[key] = _Lookup(key)
        return _PENDING[key]
