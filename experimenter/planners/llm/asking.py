"""How a question is put to a model: down the ladder, checked here, repaired twice at most, and every word kept.

Native JSON schema, then a forced tool call, then JSON asked for in the prompt: a service that does not take one rung
is asked on the next. Whatever comes is validated here, against the answer's type and the question's own rules; a
repair turn carries the exact error. Code is asked for as one fenced block, in a call of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from experimenter.errors import ExperimenterError
from experimenter.identity import digest
from experimenter.planners.llm.calls import Call, CallLog, Gate, Kept, Pricing, call_id, priced
from experimenter.planners.llm.faults import ModelFault
from experimenter.planners.llm.model import Message, ModelClient, ModelReply, ModelRequest, Rung, Usage
from experimenter.planners.llm.parsing import ReplyRejected, parse_code
from experimenter.planners.llm.prices import dollars
from experimenter.planners.llm.prompting import Prompt, repair_turn

__all__ = ["REPAIRS", "Asked", "Limits", "Talk", "Unanswered"]

REPAIRS: Final = 2
_LONGEST_ECHO: Final = 12_000
T = TypeVar("T")


class Unanswered(ExperimenterError):
    """The model declined, or its answer stayed wrong after two repairs, or the question's time ran out."""


@dataclass(frozen=True, slots=True)
class Limits:
    """``max_tokens`` of each reply; ``call_seconds`` for one call, ``seconds`` for all calls of a question."""

    max_tokens: int = 8192
    temperature: float | None = None
    call_seconds: float = 120.0
    seconds: float = 600.0


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked: labels that no service sees, and who plays the role."""

    kind: str
    question: str
    role: str
    ordinal: int | None = None


def _open(_model: object, _request: object) -> None:
    """Nobody counts."""


@dataclass
class Talk:
    """Everything that is said about one question; its record (``calls`` to ``repairs``) grows as it goes on.

    ``rungs`` remembers, for each model, the rung that its service takes; shared between talks, it spares a
    service the same refused request at every question.
    """

    client: ModelClient
    asked: Asked
    limits: Limits = Limits()
    log: CallLog = field(default_factory=Kept)
    gate: Gate = _open
    pricing: Pricing = dollars
    rungs: dict[str, Rung] = field(default_factory=dict)
    clock: Callable[[], float] = time.monotonic
    calls: list[Call] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    mended: list[str] = field(default_factory=list)
    repairs: int = 0

    def __post_init__(self) -> None:
        self._began = self.clock()

    def typed(self, prompt: Prompt, schema: Mapping[str, Any], read: Callable[[str], T]) -> T:
        """One answer under a schema. ``read`` raises ReplyRejected for whatever is no valid answer.

        Raises Unanswered, and ModelFault where the model cannot be asked.
        """
        return self._settle(prompt.system, prompt.messages, dict(schema), read)

    def code(self, prompt: Prompt, check: Callable[[str], T]) -> T:
        """One fenced block of Python, checked. Raises as ``typed`` does."""
        return self._settle(prompt.system, prompt.messages, None, lambda text: check(parse_code(text)))

    def _settle(
        self,
        system: str,
        messages: Sequence[Message],
        schema: dict[str, Any] | None,
        read: Callable[[str], T],
    ) -> T:
        turns = tuple(messages)
        for repair in range(REPAIRS + 1):
            reply = self._reply(system, turns, schema)
            if reply.refusal:
                raise Unanswered(f"{reply.answered_by} declined: {_brief(reply.refusal)}")
            try:
                return read(reply.text)
            except ReplyRejected as cause:
                error = self._told(cause, reply)
            self.rejected.append(error)
            if repair < REPAIRS:
                self.repairs += 1
                turns = (*messages, *_repairing(reply.text, error, schema is None))
        raise Unanswered(
            f"{reply.answered_by} gave no valid answer, not even after {REPAIRS} repairs. The last error: {error}"
        )

    def _told(self, cause: ReplyRejected, reply: ModelReply) -> str:
        error = str(cause)
        if reply.finish == "length":
            limit = self.limits.max_tokens
            return f"The reply was cut off at its limit of {limit} tokens: be much briefer. {error}"
        return error

    def _reply(self, system: str, turns: tuple[Message, ...], schema: dict[str, Any] | None) -> ModelReply:
        """From the surest rung that the service takes; ``bad_request`` means the next one."""
        rungs = self._ladder() if schema is not None else ("text",)
        for rung in self._kept_first(rungs, system, turns, schema):
            request = self._request(system, turns, schema, rung)
            try:
                reply = self._call(request)
            except ModelFault as fault:
                self.faults.append(f"{fault.kind}: {fault.message}")
                if fault.kind != "bad_request" or rung == rungs[-1]:
                    raise
                self.notes.append(f"{self.client.name} does not take the rung {rung}; the next one is tried.")
                continue
            if schema is not None:
                self.rungs[str(self.client.name)] = rung
            return reply
        raise AssertionError("a ladder has at least one rung")

    def _request(
        self, system: str, turns: tuple[Message, ...], schema: dict[str, Any] | None, rung: Rung
    ) -> ModelRequest:
        return ModelRequest(
            system=system,
            messages=turns,
            answer_schema=schema,
            rung=rung,
            max_tokens=self.limits.max_tokens,
            temperature=self.limits.temperature,
            kind=self.asked.kind,
            question=self.asked.question,
            ordinal=self.asked.ordinal,
            call=len(self.calls),
        )

    def _kept_first(
        self, rungs: Sequence[Rung], system: str, turns: tuple[Message, ...], schema: dict[str, Any] | None
    ) -> Sequence[Rung]:
        """The rung of a reply that is kept already, if there is one: what a service takes is forgotten by a kill."""
        name = self.client.name
        kept = [
            rung
            for rung in rungs
            if self.log.recall(call_id(name, self._request(system, turns, schema, rung)))
        ]
        return kept[:1] or rungs

    def _ladder(self) -> tuple[Rung, ...]:
        rungs = self.client.abilities.rungs()
        known = self.rungs.get(str(self.client.name))
        return rungs[rungs.index(known) :] if known in rungs else rungs

    def _call(self, request: ModelRequest) -> ModelReply:
        """A reply that is kept already, or a new one, kept before it is returned."""
        key = call_id(self.client.name, request)
        call = self.log.recall(key)
        if call is None:
            self.gate(self.client.name, request)
            try:
                reply = self.client.complete(request, self._seconds())
            except ModelFault as fault:
                self._charge(key, request, fault)
                raise
            call = self._kept(key, request, reply)
        self.calls.append(call)
        return call.reply

    def _kept(self, key: str, request: ModelRequest, reply: ModelReply) -> Call:
        call = Call(
            id=key,
            role=self.asked.role,
            model=self.client.name,
            request=request,
            reply=reply,
            dollars=priced(reply, self.pricing),
        )
        self.log.keep(call)
        return call

    def _charge(self, key: str, request: ModelRequest, fault: ModelFault) -> None:
        """What models of a fallback list charged for declining, although in the end there was no reply."""
        paid = tuple(one for one in fault.passed_over if one.usage is not None)
        if not paid:
            return
        nothing = ModelReply(
            text="", refusal=fault.message, finish="other", answered_by=self.client.name, passed_over=paid,
            usage=Usage(input_tokens=0, output_tokens=0),
        )  # fmt: skip
        number = 1
        while self.log.recall(digest([key, number])) is not None:
            number += 1
        self.calls.append(self._kept(digest([key, number]), request, nothing))

    def _seconds(self) -> float:
        """What a call may take; less where the question's time comes to its end."""
        left = self.limits.seconds - (self.clock() - self._began)
        if left <= 0:
            raise Unanswered(f"The question took longer than its {self.limits.seconds:g} seconds.")
        return min(left, self.limits.call_seconds)


def _repairing(said: str, error: str, code: bool) -> tuple[Message, Message]:
    """Only the last attempt is shown: the ones before it taught what they could."""
    echo = said.strip()[:_LONGEST_ECHO] or "(nothing)"
    return Message(role="assistant", text=echo), Message(role="user", text=repair_turn(error, code))


def _brief(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 300 else f"{line[:300]}…"
