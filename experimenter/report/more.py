"""What a full report shows besides the figures of ``gather``: films, memory, skills, seeds and hashes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from experimenter.identity import seeds, step_id
from experimenter.records import Json, Lesson, PolicyRef, Recollection, Skill, Testimony, Training, Trial
from experimenter.report.components import winning_trainings
from experimenter.report.films import Filmed, read_films
from experimenter.report.gather import ReportData
from experimenter.results import inherited_steps

if TYPE_CHECKING:
    from experimenter.workspace.store import Workspace

__all__ = ["More", "look_further", "shown_policy"]

_CYCLES: Final = 2000
_EPISODES: Final = 20


@dataclass(frozen=True, slots=True)
class More:
    """``recalled`` is everything that memory brought in any cycle, once each; ``testimonies`` are those about the
    lessons shown, and those that this run's trials gave. ``held_out`` are the seeds of the judged episodes."""

    films: tuple[Filmed, ...]
    recalled: Recollection
    testimonies: tuple[Testimony, ...]
    kept: tuple[Skill, ...]
    held_out: tuple[int, ...]
    inherited: int


def look_further(workspace: Workspace, data: ReportData) -> More:
    """Reads the rest out of the workspace and the run's folder. What is damaged counts as not there."""
    run = data.record.id
    recalled = _recalled(workspace, run, data.trials)
    shown = {lesson.id for lesson in (*recalled.lessons, *data.lessons)}
    own = f"{run}/"
    told = workspace.testimonies() if shown else ()
    return More(
        films=read_films(workspace.run_folder(run) / "media"),
        recalled=recalled,
        testimonies=tuple(one for one in told if one.lesson in shown or one.trial.startswith(own)),
        kept=tuple(skill for skill in workspace.skills() if skill.run == run),
        held_out=seeds(data.record.goal.seed, "confirm_eval", _episodes(data)),
        inherited=inherited_steps(run, data.trials),
    )


def _episodes(data: ReportData) -> int:
    count = data.record.settings.get("eval_episodes", _EPISODES)
    return count if isinstance(count, int) and 0 < count <= 10_000 else _EPISODES


def _recalled(workspace: Workspace, run: str, trials: Sequence[Trial]) -> Recollection:
    """What the recalls of all cycles found, in the order of their first appearance."""
    last = max((trial.cycle for trial in trials), default=0) + 1
    found = [_read(value) for value in _recalls(workspace, run, min(last, _CYCLES))]
    return Recollection(
        lessons=tuple({one.id: one for part in found for one in part.lessons}.values()),
        skills=tuple({one.name: one for part in found for one in part.skills}.values()),
        methods=tuple({one.name: one for part in found for one in part.methods}.values()),
    )


def _recalls(workspace: Workspace, run: str, last: int) -> Iterator[Json]:
    for cycle in range(last + 1):
        value = workspace.step(step_id(run=run, cycle=cycle, kind="recall", index=0))
        if value is not None:
            yield value


def _read(value: Json) -> Recollection:
    """A recall as it is stored today, or as a list of lessons, which an earlier release wrote."""
    try:
        if isinstance(value, list):
            return Recollection(lessons=tuple(Lesson.model_validate(one) for one in value))
        return Recollection.model_validate(value)
    except ValidationError:
        return Recollection()


def shown_policy(data: ReportData) -> tuple[Training, PolicyRef] | None:
    """The policy that the card describes and the film shows: the first training's that has one."""
    for training in winning_trainings(data):
        if training.policy is not None:
            return training, training.policy
    return None
