"""Stop 3: the task becomes designs: environment configurations, reward programs, hyperparameters.

Where the planner refuses, the cycle is spent without a design and the curriculum is asked for another task. Only as
many such cycles in a row as there are levers are out of ideas.
"""

from __future__ import annotations

from typing import Final, get_args

from langgraph.runtime import Runtime

from experimenter.errors import ExperimenterError, PlannerRefused
from experimenter.events import NewEvent
from experimenter.loop.context import Outcome, RunContext, read_many
from experimenter.loop.nodes.propose import proposed
from experimenter.loop.nodes.recall import recalled
from experimenter.loop.state import LoopState
from experimenter.loop.view import refused, run_view
from experimenter.methods import written
from experimenter.records import Design, Lever

LEVERS: Final = frozenset(get_args(Lever)) - {"native", "random"}
"""What a curriculum may pull; the other two name arms that nobody plans."""


def design(state: LoopState, runtime: Runtime[RunContext]) -> LoopState:
    ctx, cycle = runtime.context, state["cycle"]
    found = ctx.once("design", cycle, lambda: _design(ctx, cycle))
    if found:
        return {"designs": len(found), "ended": ""}
    if len(refused(ctx, cycle + 1)) >= len(LEVERS):
        return {"designs": 0, "ended": "out of ideas"}
    return {"designs": 0, "ended": "", "cycle": cycle + 1}


def route_design(state: LoopState) -> str:
    """To the checks with designs; without any to the next cycle, or to confirmation at the end of all ideas."""
    if state.get("ended"):
        return "confirm"
    return "check" if state.get("designs") else "recall"


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
    designs = _distinct(tuple(_written(ctx, item) for item in found))[: view.max_designs]
    data = {"cycle": cycle, "designs": [item.name for item in designs], "words": words}
    value = [item.model_dump(mode="json") for item in designs]
    return Outcome(value=value, events=(NewEvent(kind="design.finished", data=data),))


def _written(ctx: RunContext, item: Design) -> Design:
    """With its reward methods turned into programs; one that cannot be is left as it is, for the check to refuse."""
    try:
        return written(item, ctx.card)
    except ExperimenterError:
        return item


def _distinct(designs: tuple[Design, ...]) -> list[Design]:
    return list({item.hash: item for item in designs}.values())
