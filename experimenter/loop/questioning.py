"""One question to the planner: looked up first, asked at most once, archived before the answer is used, and told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from experimenter.budget import Ledger
from experimenter.contracts.planning import Consultant, Consulted
from experimenter.errors import PlannerRefused
from experimenter.identity import digest
from experimenter.planners.asked import without_volatile
from experimenter.planners.llm.route import whom_of
from experimenter.questions import Answer, Question, Refusal

if TYPE_CHECKING:
    from experimenter.loop.context import RunContext

__all__ = ["ask"]


def ask(ctx: RunContext, question: Question) -> Answer:
    """The answer, archived; also found under the id that older releases gave the question.

    Raises PlannerRefused for a refusal, and as the planner does.
    A refusal that a fault brought about holds for now: when the run is resumed before it went on, it is asked again.
    """
    older = digest([ctx.run, question.kind, question])
    question = type(question).model_validate(without_volatile(question.model_dump(mode="json")))
    key = digest([ctx.run, question.kind, question])
    stored = ctx.workspace.exchange(key) or ctx.workspace.exchange(older)
    if stored is not None:
        return _read(question, stored)
    answer, usage, passing = _consult(ctx, question)
    refused = isinstance(answer, Refusal)
    ctx.workspace.put_exchange(
        ctx.run, key, question.kind, question.model_dump(mode="json"), _written(answer), usage,
        passing=passing and refused,
    )  # fmt: skip
    if isinstance(answer, Refusal):
        raise _refused(question, answer.reason)
    return answer


def _consult(ctx: RunContext, question: Question) -> tuple[Answer, dict[str, Any], bool]:
    """The answer, what the archive keeps beside it, and whether something failed that may pass."""
    planner = ctx.planner
    if not isinstance(planner, Consultant):
        return planner.answer(question), {}, False
    asked = {"kind": question.kind, "planner": planner.name}
    ctx.emit("model.asked", asked | ({"model": model} if (model := whom_of(planner, question.kind)) else {}))
    ctx.workspace.spend(ctx.run, Ledger(seconds=ctx.clock.take()))
    found = planner.consult(question)
    if any(str(model).startswith("manual:") for model in found.usage().get("models", ())):
        # A person's time is not the run's: an answer may take a night.
        ctx.clock.take()
    _tell(ctx, question, found)
    return found.answer, found.usage(), bool(found.faults)


def _tell(ctx: RunContext, question: Question, found: Consulted) -> None:
    usage = found.usage()
    ctx.emit(
        "model.answered", {"kind": question.kind, **_figures(usage), "words": _words(question, found, usage)}
    )
    for note in found.notes:
        ctx.emit("note", {"words": note})


def _figures(usage: dict[str, Any]) -> dict[str, Any]:
    known = ("models", "dollars", "seconds", "repairs")
    return {"tokens": _tokens(usage), **{name: usage[name] for name in known if name in usage}}


def _tokens(usage: dict[str, Any]) -> int | None:
    parts = (usage.get("input_tokens"), usage.get("output_tokens"))
    return None if None in parts else sum(part for part in parts if part is not None)


def _words(question: Question, found: Consulted, usage: dict[str, Any]) -> str:
    who = " and ".join(usage.get("models", ())) or found.planner
    if isinstance(found.answer, Refusal):
        return f"{who} does not answer {question.kind}: {found.answer.reason}"
    instead = found.planner in ("search", "random") and who != found.planner
    parts = [f"{who} was asked {question.kind}" if instead else f"{who} answered {question.kind}"]
    if (tokens := _tokens(usage)) is not None:
        parts.append(f"{tokens:,} tokens")
    if usage.get("calls"):
        dollars = usage.get("dollars")
        parts.append("at an unknown price" if dollars is None else f"${dollars:.4f}")
        parts.append(f"{usage.get('seconds', 0.0):.1f} s")
    if usage.get("repairs"):
        parts.append(f"{usage['repairs']} repaired")
    return ", ".join(parts)


def _refused(question: Question, reason: str) -> PlannerRefused:
    return PlannerRefused(f"The planner refused {question.kind}: {reason}")


def _written(answer: Answer) -> dict[str, Any]:
    return {"refused": isinstance(answer, Refusal), "answer": answer.model_dump(mode="json")}


def _read(question: Question, stored: Any) -> Answer:
    if stored["refused"]:
        raise _refused(question, stored["answer"]["reason"])
    return question.answer_type.model_validate(stored["answer"])
