"""Stop 1: what memory holds that bears on the goal. A recall is a stored step, so resume and replay reuse it."""

from __future__ import annotations

from collections.abc import Sequence

from langgraph.runtime import Runtime

from experimenter.errors import ExperimenterError
from experimenter.events import NewEvent
from experimenter.knowledge import lesson_items, method_items, skill_items
from experimenter.loop.context import Outcome, RunContext
from experimenter.loop.replaying import replayed_recall
from experimenter.loop.state import LoopState
from experimenter.methods import methods
from experimenter.records import Lesson, MemoryItem, MemoryQuery, Recalled, Recollection, Trial

LIMIT = {"lesson": 5, "skill": 3, "method": 2}
NEAR = 0.5
"""A skill or a confirmed design is recalled only for an environment at least so near: its program names features."""


def recall(state: LoopState, runtime: Runtime[RunContext]) -> LoopState:
    ctx, cycle = runtime.context, state["cycle"]
    ctx.once("recall", cycle, lambda: _recall(ctx, cycle))
    return {"cycle": cycle}


def recalled(ctx: RunContext, cycle: int) -> Recollection:
    """What the recall of this cycle found."""
    return _read(ctx.stored("recall", cycle))


def recollections(ctx: RunContext) -> tuple[Recollection, ...]:
    """What each recall of this run found, in the order of the cycles."""
    found, cycle = [], 0
    while (stored := ctx.workspace.step(ctx.step_id("recall", cycle))) is not None:
        found.append(_read(stored))
        cycle += 1
    return tuple(found)


def _read(stored: object) -> Recollection:
    # Before format 2 a recall stored a list of lessons.
    return Recollection.model_validate({"lessons": stored} if isinstance(stored, list) else stored)


def _recall(ctx: RunContext, cycle: int) -> Outcome:
    found, words = Recollection(), ""
    if (before := replayed_recall(ctx.workspace, ctx.run, cycle)) is not None:
        found, words = _read(before), "what the replayed run recalled"
    elif ctx.memory is not None:
        try:
            found = _search(ctx, cycle)
        except ExperimenterError as error:
            words = f"memory was left out: {error}"
    data = {
        "words": words,
        "lessons": [lesson.sentence for lesson in found.lessons],
        "skills": [skill.name for skill in found.skills],
        "methods": [method.name for method in found.methods],
    }
    value = found.model_dump(mode="json")
    return Outcome(value=value, events=(NewEvent(kind="recall.finished", data=data),))


def _search(ctx: RunContext, cycle: int) -> Recollection:
    lessons = {item.id: item for item in _others_lessons(ctx)}
    skills = {item.name: item for item in ctx.workspace.skills()}
    known = {item.name: item for item in methods()}
    query = MemoryQuery(words=_words(ctx, cycle), environment=ctx.record.goal.environment)
    testimonies = ctx.workspace.testimonies()
    said = _find(ctx, query, lesson_items(tuple(lessons.values()), testimonies))
    able = _find(ctx, query, skill_items(tuple(skills.values())))
    ways = _find(ctx, query, method_items(tuple(known.values())))
    return Recollection(
        lessons=tuple(lessons[_name(one)] for one in said),
        skills=tuple(skills[_name(one)] for one in able if one.nearness >= NEAR),
        methods=tuple(known[_name(one)] for one in ways),
    )


def _find(ctx: RunContext, query: MemoryQuery, items: Sequence[MemoryItem]) -> tuple[Recalled, ...]:
    if not items or ctx.memory is None:
        return ()
    store = ctx.workspace.vector_store(ctx.settings.embedder)
    return ctx.memory.recall(query, items, store, LIMIT[items[0].kind])


def _name(found: Recalled) -> str:
    return found.item.id.partition(":")[2]


def _others_lessons(ctx: RunContext) -> list[Lesson]:
    """What other runs learned: a run's own trials are in its journal already."""
    own = {f"{ctx.run}/{trial.id}" for trial in ctx.trials()}
    return [lesson for lesson in ctx.workspace.lessons() if not set(lesson.trials) & own]


def _words(ctx: RunContext, cycle: int) -> str:
    """The wish, and what was found wrong with the last trial's best candidate."""
    last = next((trial for trial in reversed(ctx.trials()) if trial.cycle < cycle), None)
    return f"{ctx.record.goal.wish} {_faults(last)}".strip()


def _faults(trial: Trial | None) -> str:
    winner = trial.winner if trial else None
    return winner.diagnosis.words if winner and winner.diagnosis else ""
