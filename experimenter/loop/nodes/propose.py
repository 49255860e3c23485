"""Stop 2: the curriculum names the next task, asking the planner; ``null`` is "out of ideas"."""

from __future__ import annotations

from contextlib import suppress

from langgraph.runtime import Runtime

from experimenter.errors import PlannerRefused
from experimenter.events import NewEvent
from experimenter.loop.context import Outcome, RunContext
from experimenter.loop.nodes.recall import recalled
from experimenter.loop.state import LoopState
from experimenter.loop.success import propose_success_test
from experimenter.loop.view import run_view
from experimenter.records import Task


def propose(state: LoopState, runtime: Runtime[RunContext]) -> LoopState:
    ctx, cycle = runtime.context, state["cycle"]
    if cycle == 0:
        propose_success_test(ctx)
    found = ctx.once("propose", cycle, lambda: _propose(ctx, cycle))
    return {"ended": "" if found["task"] else "out of ideas"}


def proposed(ctx: RunContext, cycle: int) -> Task:
    """The task that this cycle works on."""
    return Task.model_validate(ctx.stored("propose", cycle)["task"])


def _propose(ctx: RunContext, cycle: int) -> Outcome:
    view = run_view(ctx, cycle, recalled(ctx, cycle))
    task = None
    with suppress(PlannerRefused):
        task = ctx.curriculum.propose(view, ctx.ask)
    value = {"task": None if task is None else task.model_dump(mode="json")}
    data = {
        "cycle": cycle,
        "task": None if task is None else task.name,
        "lever": task.lever if task else None,
    }
    data["words"] = task.sentence if task else "out of ideas"
    return Outcome(value=value, events=(NewEvent(kind="propose.finished", data=data),))
