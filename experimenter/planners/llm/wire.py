"""What surrounds every call, whoever makes it: deadline, byte cap, back-off, circuit breaker, and typed faults only.

The official libraries build the requests and name the errors; their own retries and time limits are off, because a
server can defeat them. Faults are raised afresh, with no chain behind them that a key could hide in.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from experimenter.errors import ExperimenterError
from experimenter.planners.llm.breaker import Breaker, breaker_for
from experimenter.planners.llm.deadline import SLICE, Deadline, never
from experimenter.planners.llm.endpoints import Endpoint
from experimenter.planners.llm.faults import RETRIED, ModelFault
from experimenter.planners.llm.lookups import Resolve, resolve_by_system
from experimenter.planners.llm.model import ModelName
from experimenter.planners.llm.statuses import fault_of_status

if TYPE_CHECKING:
    import httpx2

__all__ = ["Check", "Limits", "Received", "Send", "Surroundings", "Wire"]

Send = Callable[["httpx2.Client", float], "httpx2.Response"]
"""One attempt with an official library: given the HTTP client to use and the seconds left; no retries of its own."""

Check = Callable[[dict[str, Any]], ModelFault | None]
"""Whether the object of a successful reply is an error all the same."""


@dataclass(frozen=True, slots=True)
class Limits:
    """``seconds`` for a call with all its attempts, ``bytes`` of a reply, and how it is tried again.

    The n-th wait is ``pause`` × 2ⁿ seconds, at most ``longest_pause``, less up to half of it by chance; what a service
    asks for in ``retry-after`` is kept where the deadline allows it, and ends the call where it does not.
    """

    seconds: float = 120.0
    bytes: int = 8 * 1024 * 1024
    attempts: int = 4
    pause: float = 0.5
    longest_pause: float = 20.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a call takes from outside: clocks, chance, the resolver, and whether the run was asked to stop."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random
    stop: Callable[[], bool] = never
    resolve: Resolve = resolve_by_system


@dataclass(frozen=True, slots=True)
class Received:
    """The reply's JSON object, and what getting it took."""

    body: dict[str, Any]
    seconds: float
    attempts: int


class Wire:
    """Calls of one model at one endpoint. ``breaker`` is the process's own for that endpoint unless one is given."""

    def __init__(
        self,
        name: ModelName,
        endpoint: Endpoint,
        limits: Limits | None = None,
        surroundings: Surroundings | None = None,
        breaker: Breaker | None = None,
    ) -> None:
        self.name, self.endpoint = name, endpoint
        self.limits = limits or Limits()
        self._around = surroundings or Surroundings()
        self._breaker = breaker or breaker_for(endpoint.provider, endpoint.base_url)

    def call(
        self, send: Send, error: type[Exception], check: Check, seconds: float | None = None
    ) -> Received:
        """Sends until there is a reply, a lasting fault, or no time. ``error`` is the root of the library's errors.

        Raises ModelFault, and Stopped where the run was asked to stop; both afresh, with nothing behind them.
        """
        self._breaker.enter(f"{self.endpoint.provider} at {self.endpoint.base_url}")
        deadline = Deadline(
            self.limits.seconds if seconds is None else seconds, self._around.clock, self._around.stop
        )
        try:
            outcome = self._attempts(send, error, check, deadline)
        except BaseException:
            self._breaker.abandon()
            raise
        if isinstance(outcome, Received | ModelFault):
            self._breaker.leave(outcome if isinstance(outcome, ModelFault) else None)
        else:
            self._breaker.abandon()
        if isinstance(outcome, Received):
            return outcome
        raise outcome

    def _attempts(
        self, send: Send, error: type[Exception], check: Check, deadline: Deadline
    ) -> Received | ExperimenterError:
        for attempt in range(1, self.limits.attempts + 1):
            found = self._attempt(send, error, check, deadline)
            if isinstance(found, dict):
                return Received(found, deadline.spent(), attempt)
            if not isinstance(found, ModelFault):
                return type(found)(found.message, found.hint)
            wait = self._wait(found, attempt)
            too_late = wait >= deadline.seconds - deadline.spent()
            if found.kind not in RETRIED or attempt == self.limits.attempts or too_late:
                return self._told(found, attempt, deadline)
            self._pause(wait, deadline)
        raise AssertionError("a call makes at least one attempt")

    def _attempt(
        self, send: Send, error: type[Exception], check: Check, deadline: Deadline
    ) -> dict[str, Any] | ExperimenterError:
        import httpx2

        from experimenter.planners.llm.transport import Exchange

        try:
            exchange = Exchange(self.endpoint, deadline, self.limits.bytes, self._around.resolve)
            transport = httpx2.MockTransport(exchange)
            with httpx2.Client(transport=transport, follow_redirects=False, trust_env=False) as http:
                response = send(http, deadline.left())
            found = self._object(response.status_code, response.headers, response.content)
            return found if isinstance(found, ModelFault) else check(found) or found
        except ExperimenterError as ours:
            return ours
        except error as cause:
            return self._fault(cause)

    def _fault(self, cause: Exception) -> ExperimenterError:
        """One library wraps whatever the transport raises, so ours is looked for down the chain."""
        link: BaseException | None = cause
        while link is not None:
            if isinstance(link, ExperimenterError):
                return link
            link = link.__cause__ or link.__context__
        response = getattr(cause, "response", None)
        if response is None:
            return ModelFault(f"{self.name} could not be asked ({type(cause).__name__}).", kind="bad_request")
        return fault_of_status(
            response.status_code, response.headers, response.content, self.name, self.endpoint
        )

    def _object(self, status: int, headers: Any, content: bytes) -> dict[str, Any] | ModelFault:
        if not 200 <= status < 300:
            return fault_of_status(status, headers, content, self.name, self.endpoint)
        try:
            body = json.loads(content)
        except (ValueError, RecursionError):
            body = None
        if isinstance(body, dict):
            return body
        what = "a web page" if content.lstrip()[:1] == b"<" else "no whole JSON object"
        return ModelFault(f"{self.endpoint.base_url} answers with {what}.", kind="malformed")

    def _wait(self, fault: ModelFault, attempt: int) -> float:
        if fault.retry_after is not None:
            return fault.retry_after
        longest = min(self.limits.longest_pause, self.limits.pause * 2.0 ** (attempt - 1))
        return longest * (1 - self._around.chance() / 2)

    def _pause(self, seconds: float, deadline: Deadline) -> None:
        """In slices: a run that is asked to stop does not sleep on."""
        until = deadline.spent() + seconds
        while (left := until - deadline.spent()) > 0:
            self._around.sleep(min(left, SLICE))
            deadline.look()

    def _told(self, fault: ModelFault, attempts: int, deadline: Deadline) -> ModelFault:
        """Afresh, without the traceback that it came with, and with what was tried where that explains something."""
        more = ""
        if fault.kind == "timeout":
            message = f"{self.name} sent no whole reply within {deadline.seconds:g} seconds."
            return ModelFault(message, fault.hint, fault.kind)
        if fault.retry_after is not None and fault.retry_after >= deadline.seconds - deadline.spent():
            more = f" It asks to wait {fault.retry_after:.0f} seconds, longer than there is time."
        elif attempts > 1:
            more = f" It was tried {attempts} times."
        return ModelFault(fault.message + more, fault.hint, fault.kind, fault.retry_after)
