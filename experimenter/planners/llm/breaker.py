"""A circuit breaker for each service: one that keeps failing is left alone for a while, instead of asked again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from experimenter.planners.llm.faults import FaultKind, ModelFault

__all__ = ["Breaker", "breaker_for"]

THRESHOLD: Final = 5
REST: Final = 30.0
LONGEST_REST: Final = 600.0
_COUNTED: Final[frozenset[FaultKind]] = frozenset(
    {"unavailable", "timeout", "connection", "rate_limited", "malformed"}
)


class Breaker:
    """Closed, open after ``threshold`` failed calls in a row, and half open ``rest`` seconds (monotonic) later.

    Half open, one call is let through: its success closes the breaker, its failure opens it for as long again. A
    service that asked for a longer rest gets it, up to ten minutes. Faults that are ours (a bad key, an unknown
    model) show a service that works, and count as none.
    """

    def __init__(
        self, threshold: int = THRESHOLD, rest: float = REST, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._threshold, self._rest, self._clock = threshold, rest, clock
        self._lock = threading.Lock()
        self._failures = 0
        self._closed_again: float | None = None
        self._trying = False

    def enter(self, who: str) -> None:
        """Before a call. Raises ModelFault (``unavailable``) at once while the breaker is open."""
        with self._lock:
            if self._closed_again is None:
                return
            wait = self._closed_again - self._clock()
            if wait > 0 or self._trying:
                raise _open(who, self._failures, max(wait, 0.0))
            self._trying = True

    def leave(self, fault: ModelFault | None) -> None:
        """After a call: with its fault, or without one."""
        with self._lock:
            self._trying = False
            if fault is None or fault.kind not in _COUNTED:
                self._failures, self._closed_again = 0, None
                return
            self._failures += 1
            if self._failures >= self._threshold:
                rest = max(self._rest, min(fault.retry_after or 0.0, LONGEST_REST))
                self._closed_again = self._clock() + rest

    def abandon(self) -> None:
        """After a call that was stopped from our side, which tells nothing about the service."""
        with self._lock:
            self._trying = False


def _open(who: str, failures: int, wait: float) -> ModelFault:
    when = f"for another {wait:.0f} seconds" if wait else "until a call under way has ended"
    return ModelFault(
        f"{who} failed {failures} times in a row and is left alone {when}.",
        "Wait, check the service, or name a fallback model.",
        "unavailable",
        wait,
    )


_BREAKERS: dict[tuple[str, str], Breaker] = {}
_BREAKERS_LOCK = threading.Lock()


def breaker_for(provider: str, base_url: str) -> Breaker:
    """The process's breaker for a service: all its models and roles share it."""
    with _BREAKERS_LOCK:
        return _BREAKERS.setdefault((provider, base_url), Breaker())
