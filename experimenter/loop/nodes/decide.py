"""Stop 10: another cycle, or the end: solved, out of budget, out of ideas, or better served by training."""

from __future__ import annotations

from langgraph.runtime import Runtime

from experimenter.errors import PlannerRefused
from experimenter.events import NewEvent
from experimenter.loop.consulting import words_are_spent
from experimenter.loop.context import Outcome, RunContext
from experimenter.loop.plan import affordable
from experimenter.loop.replaying import NO_WORDS, stored_archive
from experimenter.loop.state import LoopState
from experimenter.loop.view import champion, search_steps_left, target
from experimenter.questions import CurveReading, ReadCurve

GO_ON = ""


def decide(state: LoopState, runtime: Runtime[RunContext]) -> LoopState:
    ctx, cycle = runtime.context, state["cycle"]
    found = ctx.once("decide", cycle, lambda: _decide(ctx, cycle, state.get("confirmed", 0)), ctx.plan.epoch)
    return {"ended": found["ended"], "cycle": cycle if found["ended"] else cycle + 1}


def route_decide(state: LoopState) -> str:
    return "confirm" if state["ended"] else "recall"


def _decide(ctx: RunContext, cycle: int, confirmed: int) -> Outcome:
    ended = _why_end(ctx, cycle, confirmed)
    data = {
        "cycle": cycle,
        "ended": ended,
        "words": ended or "another cycle",
        "search_left": search_steps_left(ctx),
    }
    return Outcome(value={"ended": ended}, events=(NewEvent(kind="decide.finished", data=data),))


def _why_end(ctx: RunContext, cycle: int, confirmed: int) -> str:
    if ctx.max_trials is not None and len(ctx.trials()) >= ctx.max_trials:
        return "as many trials as the run that it controls"
    if _solved(ctx):
        return "the target was reached in the search"
    if ctx.search_time_is_over():
        return "the search's half of the time is used"
    if (spent := _spent_words(ctx, cycle)) is not None:
        return f"{NO_WORDS}: {spent}"
    if affordable(search_steps_left(ctx), ctx.plan) == 0:
        return "the search's share of the steps is used"
    if confirmed == 0 and _still_improving(ctx):
        return "the best design is still improving: longer training is worth more than another idea"
    return GO_ON


def _spent_words(ctx: RunContext, cycle: int) -> str | None:
    """Why the planner can be asked no more; a replay, which pays nothing, ends where the replayed run ended so."""
    archive = stored_archive(ctx.workspace, ctx.run)
    if archive is None:
        return words_are_spent(ctx.workspace, ctx.record)
    return archive.words_spent.get(str(cycle))


def _solved(ctx: RunContext) -> bool:
    """Whether a champion that is still to be confirmed reached the target in the search."""
    best, wanted = champion(ctx.trials()), target(ctx)
    winner = ctx.workspace.document(ctx.run, "winner")
    if best is None or wanted is None or (winner is not None and winner["trial"] == best[0].id):
        return False
    score = best[1].true_score
    return score is not None and score >= wanted


def _still_improving(ctx: RunContext) -> bool:
    """Only a design that a lever has changed, and that helped, earns the rest of the budget."""
    best = champion(ctx.trials())
    if (
        best is None
        or best[1].design.origin == "native"
        or not best[1].training
        or (best[0].effect or 0.0) <= 0.0
    ):
        return False
    unspent = ctx.plan.design_steps - best[1].training.steps
    if unspent >= best[1].design.phases[-1].hyperparameters.rollout:
        return False
    try:
        answer = ctx.ask(ReadCurve(points=best[1].training.curve, target=target(ctx)))
    except PlannerRefused:
        return False
    return isinstance(answer, CurveReading) and answer.state == "improving"
