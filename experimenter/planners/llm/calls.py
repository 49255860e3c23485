"""What was said to a model and what came back, kept before anything uses it, so that no reply is ever paid for twice.

A question may take several calls: ideas, one program after the other, repairs. Each is handed to a ``CallLog`` the
moment it arrives; a process that was killed finds them there, and asks only for what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from experimenter.identity import digest
from experimenter.planners.llm.model import ModelName, ModelReply, ModelRequest, Usage
from experimenter.planners.llm.prices import dollars
from experimenter.questions import Answer
from experimenter.records import Record

__all__ = ["Call", "CallLog", "Consultation", "Gate", "Kept", "Pricing", "call_id"]

USAGE_VERSION: Final = 1


class Call(Record):
    """One paid call. ``id`` comes from who is asked and what is said, never from a time.

    ``dollars`` is ``None`` where the price, or what was used, is unknown: never zero.
    """

    id: str
    role: str
    model: ModelName
    request: ModelRequest
    reply: ModelReply
    dollars: float | None = None


class CallLog(Protocol):
    """Where calls are kept. ``keep`` returns when the call is safe; it may raise to end the run (a spent budget)."""

    def recall(self, call_id: str) -> Call | None: ...

    def keep(self, call: Call) -> None: ...


@dataclass
class Kept:
    """``CallLog`` in memory: for tests, and for whoever asks outside of a run."""

    calls: dict[str, Call] = field(default_factory=dict)

    def recall(self, call_id: str) -> Call | None:
        return self.calls.get(call_id)

    def keep(self, call: Call) -> None:
        self.calls.setdefault(call.id, call)


Gate = Callable[[ModelName, ModelRequest], None]
"""Asked before each call that would be paid; raises where the budget does not allow it."""

Pricing = Callable[[ModelName, Usage], "float | None"]


def call_id(model: ModelName, request: ModelRequest) -> str:
    return digest([str(model), request.model_dump(mode="json")])


def priced(reply: ModelReply, pricing: Pricing = dollars) -> float | None:
    """Dollars for a reply and for what the models charged that were passed over; ``None`` if any of it is unknown."""
    parts = [pricing(reply.answered_by, reply.usage)]
    parts += [pricing(one.model, one.usage) for one in reply.passed_over if one.usage is not None]
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None


@dataclass(frozen=True, slots=True)
class Consultation:
    """A question's answer, typed refusals included, with everything that was said to come to it.

    ``rejected`` are the errors of replies that were no valid answer, ``repairs`` counts the turns that carried one
    back, ``faults`` are what models failed with, ``notes`` sentences for the person who reads the run (a rung that is
    missing, a program that was given up, who answered instead), ``mended`` the hashes of the answer's programs
    that were repaired before they were handed over.
    """

    answer: Answer
    planner: str = "llm"
    calls: tuple[Call, ...] = ()
    rejected: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    repairs: int = 0
    prompt: str = ""
    mended: tuple[str, ...] = ()

    def usage(self) -> dict[str, Any]:
        """What the archive keeps beside question and answer; unknown figures are ``None``. Volatile: ``seconds``."""
        if not self.calls:
            return {"v": USAGE_VERSION, "planner": self.planner, **self._remarks()}
        return {
            "v": USAGE_VERSION,
            "planner": self.planner,
            "models": sorted({str(call.reply.answered_by) for call in self.calls}),
            "served_as": sorted({call.reply.model for call in self.calls if call.reply.model}),
            "rungs": sorted({call.request.rung for call in self.calls}),
            "calls": [call.id for call in self.calls],
            "prompt": self.prompt,
            "input_tokens": _total([one.input_tokens for one in self._used()]),
            "cached_input_tokens": _total([one.cached_input_tokens or 0 for one in self._used()]),
            "output_tokens": _total([one.output_tokens for one in self._used()]),
            "dollars": _total([call.dollars for call in self.calls]),
            "seconds": sum(call.reply.seconds for call in self.calls),
            "repairs": self.repairs,
            "rejected": list(self.rejected),
            **self._remarks(),
        }

    def _remarks(self) -> dict[str, Any]:
        said = {"faults": list(self.faults), "notes": list(self.notes), "mended": list(self.mended)}
        return {key: value for key, value in said.items() if value}

    def _used(self) -> list[Usage]:
        """Of every reply, and of those that were passed over and charged all the same."""
        passed = [one.usage for call in self.calls for one in call.reply.passed_over if one.usage]
        return [*(call.reply.usage for call in self.calls), *passed]


def _total(parts: Sequence[float | None]) -> float | None:
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None
