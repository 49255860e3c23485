"""Stop 8: the planner turns a trial into a lesson, with the evidence that it rests on."""

from __future__ import annotations

from langgraph.runtime import Runtime

from experimenter.errors import PlannerRefused
from experimenter.events import NewEvent
from experimenter.identity import digest
from experimenter.loop.context import Outcome, RunContext
from experimenter.loop.nodes.diagnose import diagnosed
from experimenter.loop.nodes.judge import comparison
from experimenter.loop.nodes.propose import proposed
from experimenter.loop.state import LoopState
from experimenter.loop.view import attempt, champion, target
from experimenter.questions import Reflect, Reflection
from experimenter.records import Lesson, Trial


def reflect(state: LoopState, runtime: Runtime[RunContext]) -> LoopState:
    ctx, cycle = runtime.context, state["cycle"]
    ctx.once("reflect", cycle, lambda: _reflect(ctx, cycle))
    return {"cycle": cycle}


def reflected(ctx: RunContext, cycle: int) -> tuple[Trial, Lesson | None]:
    """The finished trial of this cycle and its lesson, if it taught one."""
    stored = ctx.stored("reflect", cycle)
    lesson = stored["lesson"]
    return Trial.model_validate(stored["trial"]), None if lesson is None else Lesson.model_validate(lesson)


def _reflect(ctx: RunContext, cycle: int) -> Outcome:
    trial = _trial(ctx, cycle)
    lesson, notes = _lesson(ctx, trial)
    trial = trial.model_copy(update={"verdict": lesson.sentence if lesson else ""})
    data = {
        "cycle": cycle,
        "trial": trial.id,
        "effect": trial.effect,
        "lesson": lesson.sentence if lesson else None,
    }
    value = {
        "trial": trial.model_dump(mode="json"),
        "lesson": None if lesson is None else lesson.model_dump(mode="json"),
    }
    return Outcome(value=value, events=(*notes, NewEvent(kind="reflect.finished", data=data)))


def _trial(ctx: RunContext, cycle: int) -> Trial:
    """The trial with its best candidate, and its effect against the champion before it."""
    candidates, task, contest = diagnosed(ctx, cycle), proposed(ctx, cycle), comparison(ctx, cycle)
    return Trial(
        id=f"t{cycle}",
        cycle=cycle,
        task=task,
        lever=task.lever,
        candidates=candidates,
        best=contest.best if contest else None,
        baseline=contest.baseline if contest else None,
        effect=contest.effect if contest else None,
        accepted=contest.accepted if contest else False,
    )


def _lesson(ctx: RunContext, trial: Trial) -> tuple[Lesson | None, tuple[NewEvent, ...]]:
    """What the planner learned from the trial; where it fails, a note that says why there is no lesson."""
    before = champion(tuple(other for other in ctx.trials() if other.cycle < trial.cycle))
    question = Reflect(
        goal=ctx.record.goal,
        card=ctx.card,
        lever=trial.lever,
        attempts=tuple(attempt(trial, item, i == trial.best) for i, item in enumerate(trial.candidates)),
        baseline=attempt(before[0], before[1], True) if before else None,
        effect=trial.effect,
        target=target(ctx),
        repeated=trial.accepted or (trial.effect or 0.0) <= 0.0,
    )
    try:
        answer = ctx.ask(question)
    except PlannerRefused as refusal:
        return None, (NewEvent(kind="note", data={"words": str(refusal)}),)
    if not isinstance(answer, Reflection) or answer.sentence is None:
        return None, ()
    return _make_lesson(ctx, trial, answer.sentence), ()


def _make_lesson(ctx: RunContext, trial: Trial, sentence: str) -> Lesson:
    reference = f"{ctx.run}/{trial.id}"
    winner = trial.winner
    evidence = {"candidates": float(len(trial.candidates))}
    if trial.effect is not None:
        evidence["effect"] = trial.effect
    if winner is not None and winner.evaluation is not None:
        evidence["true_score"] = winner.true_score or 0.0
    return Lesson(
        id=digest([reference, sentence]),
        sentence=sentence,
        environment=ctx.card.spec.id,
        lever=trial.lever,
        trials=(reference,),
        evidence=evidence,
        origin=ctx.planner.name,
    )
