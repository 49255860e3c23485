"""Stop 1: lessons from memory that bear on the goal. A recall is a stored step, so resume and replay reuse it."""

from __future__ import annotations

from langgraph.runtime import Runtime

from experimenter.events import NewEvent
from experimenter.loop.context import Outcome, RunContext, read_many
from experimenter.loop.state import LoopState
from experimenter.records import Lesson

LIMIT = 5


def recall(state: LoopState, runtime: Runtime[RunContext]) -> LoopState:
    ctx, cycle = runtime.context, state["cycle"]
    ctx.once("recall", cycle, lambda: _recall(ctx))
    return {"cycle": cycle}


def recalled(ctx: RunContext, cycle: int) -> tuple[Lesson, ...]:
    """What the recall of this cycle found."""
    return read_many(Lesson, ctx.stored("recall", cycle))


def _recall(ctx: RunContext) -> Outcome:
    found: tuple[Lesson, ...] = ()
    if ctx.memory is not None:
        goal = ctx.record.goal
        own = {f"{ctx.run}/{trial.id}" for trial in ctx.trials()}
        others = [lesson for lesson in ctx.workspace.lessons() if not set(lesson.trials) & own]
        found = ctx.memory.recall(goal.wish, goal.environment.id, others, LIMIT)
    lessons = [lesson.model_dump(mode="json") for lesson in found]
    data = {"lessons": [lesson.sentence for lesson in found]}
    return Outcome(value=lessons, events=(NewEvent(kind="recall.finished", data=data),))
