"""Stop 3: the task becomes designs: environment configurations, reward programs, hyperparameters."""

from __future__ import annotations

from langgraph.runtime import Runtime

from experimenter.errors import PlannerRefused
from experimenter.events import NewEvent
from experimenter.loop.context import Outcome, RunContext, read_many
from experimenter.loop.nodes.propose import proposed
from experimenter.loop.nodes.recall import recalled
from experimenter.loop.state import LoopState
from experimenter.loop.view import run_view
from experimenter.records import Design


def design(state: LoopState, runtime: Runtime[RunContext]) -> LoopState:
    ctx, cycle = runtime.context, state["cycle"]
    found = ctx.once("design", cycle, lambda: _design(ctx, cycle))
    return {"ended": "" if found else "out of ideas"}


def designed(ctx: RunContext, cycle: int) -> tuple[Design, ...]:
    """The designs of this cycle, before any check."""
    return read_many(Design, ctx.stored("design", cycle))


def _design(ctx: RunContext, cycle: int) -> Outcome:
    view = run_view(ctx, cycle, recalled(ctx, cycle))
    found, words = tuple[Design, ...](), ""
    try:
        found = ctx.curriculum.design(proposed(ctx, cycle), view, ctx.ask)
    except PlannerRefused as refusal:
        words = refusal.message
    designs = _distinct(found)[: view.max_designs]
    data = {"cycle": cycle, "designs": [item.name for item in designs], "words": words}
    value = [item.model_dump(mode="json") for item in designs]
    return Outcome(value=value, events=(NewEvent(kind="design.finished", data=data),))


def _distinct(designs: tuple[Design, ...]) -> list[Design]:
    return list({item.hash: item for item in designs}.values())
