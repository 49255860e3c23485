"""A list of models of which the first that can answers: one that is gone, declines or has no credit is passed over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, cast

from experimenter.planners.llm.faults import LASTING, FaultKind, ModelFault
from experimenter.planners.llm.model import (
    Abilities,
    ModelClient,
    ModelName,
    ModelReply,
    ModelRequest,
    PassedOver,
)

__all__ = ["FallbackClient", "Opener", "Weigh"]

Opener = Callable[[ModelName], ModelClient]
Weigh = Callable[[ModelName, ModelRequest, Sequence[PassedOver]], None]
"""Asked before a model is asked after others; raises ModelFault where the budget does not allow it any more."""


def _allow(_name: ModelName, _request: ModelRequest, _passed: Sequence[PassedOver]) -> None:
    """Nobody keeps a budget here."""


_STAY: Final[frozenset[FaultKind]] = frozenset({"bad_request"})
"""Our own mistakes, which the next model would get as well."""


class FallbackClient:
    """``ModelClient`` over several, tried in order. The reply says who answered, and why the others did not.

    Each has the whole time for itself: a first one that hangs leaves the next as much. Where all fail, the last
    one's fault is raised with the reasons of the others; where the last one declines, its reply says so.
    """

    def __init__(self, names: Sequence[ModelName], opener: Opener, weigh: Weigh = _allow) -> None:
        self._names, self._opener, self._weigh = tuple(names), opener, weigh
        self._clients: dict[ModelName, ModelClient] = {}
        self._lasting: dict[ModelName, ModelFault] = {}

    @property
    def name(self) -> ModelName:
        return self._names[0]

    @property
    def abilities(self) -> Abilities:
        """What every one of them can do that can be opened, so that any may answer."""
        able = [one.abilities for one in map(self._client, self._names) if not isinstance(one, ModelFault)]
        return Abilities(
            native=bool(able) and all(one.native for one in able),
            tools=bool(able) and all(one.tools for one in able),
            images=bool(able) and all(one.images for one in able),
        )

    def complete(self, request: ModelRequest, seconds: float | None = None) -> ModelReply:
        passed: list[PassedOver] = []
        for name in self._names:
            said = self._ask(name, request, seconds, passed)
            last = name == self._names[-1]
            if isinstance(said, ModelFault):
                if last or said.kind in _STAY:
                    raise _with_reasons(said, passed)
                passed.append(PassedOver(model=name, kind=said.kind, why=said.message))
            elif said.refusal and not last:
                passed.append(PassedOver(model=name, kind="refused", why=said.refusal, usage=said.usage))
            else:
                return said.model_copy(update={"passed_over": tuple(passed)})
        raise AssertionError("a list of fallbacks names at least one model")

    def _ask(
        self, name: ModelName, request: ModelRequest, seconds: float | None, passed: Sequence[PassedOver]
    ) -> ModelReply | ModelFault:
        client = self._client(name)
        if isinstance(client, ModelFault):
            return client
        try:
            if passed:
                self._weigh(name, request, passed)
            return client.complete(request, seconds)
        except ModelFault as fault:
            if fault.kind in LASTING:
                self._lasting[name] = fault
            return fault

    def _client(self, name: ModelName) -> ModelClient | ModelFault:
        if name in self._lasting:
            return self._lasting[name]
        if name not in self._clients:
            try:
                self._clients[name] = self._opener(name)
            except ModelFault as fault:
                self._lasting[name] = fault
                return fault
        return self._clients[name]


def _with_reasons(fault: ModelFault, passed: Sequence[PassedOver]) -> ModelFault:
    """Afresh: a fault that is remembered would grow a traceback with every question.

    Where any of them may answer the next question, the fault is one that passes.
    """
    passing = next((one for one in passed if one.kind not in LASTING and one.kind != "refused"), None)
    kind = fault.kind if passing is None or fault.kind not in LASTING else cast(FaultKind, passing.kind)
    before = "".join(f" Before it, {one.model}: {one.why}" for one in passed)
    return ModelFault(fault.message + before, fault.hint, kind, fault.retry_after, passed)
