"""Reads everything that a report shows out of the workspace, so that the pages below need only records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from pydantic import ValidationError

from experimenter.budget import Forecast, Ledger
from experimenter.envs.records import EnvCard
from experimenter.envs.vectors.kinds import Choice
from experimenter.records import Arm, Comparison, Json, Lesson, Training, Trial
from experimenter.report.planning import planning
from experimenter.results import Earlier, Planning, RunResult, earlier_confirmations
from experimenter.success import SHARES, TEST, SuccessShares, WordedTest, read_shares, read_test
from experimenter.workspace.exchanges import Exchange
from experimenter.workspace.records import RunRecord

if TYPE_CHECKING:
    from experimenter.workspace.store import Workspace

__all__ = ["ArmStory", "ReportData", "gather"]

T = TypeVar("T")
_MOST_EXCHANGES: Final = 50


@dataclass(frozen=True, slots=True)
class ArmStory:
    """An arm with those of its trainings that are stored."""

    arm: Arm
    trainings: tuple[Training, ...]


@dataclass(frozen=True, slots=True)
class ReportData:
    """All of a report's figures. ``missing`` says in words what a finished run would have.

    ``earlier`` are confirmations whose winner a later one replaced. ``said`` are the first exchanges of a run whose
    planner asks somebody.
    """

    record: RunRecord
    result: RunResult | None
    card: EnvCard | None
    plan: dict[str, Json]
    forecast: Forecast | None
    arms: tuple[ArmStory, ...]
    earlier: tuple[Earlier, ...]
    comparisons: tuple[Comparison, ...]
    trials: tuple[Trial, ...]
    lessons: tuple[Lesson, ...]
    ledger: Ledger
    missing: tuple[str, ...]
    vector: Choice | None = None
    planning: Planning | None = None
    said: tuple[Exchange, ...] = ()
    success_test: WordedTest | None = None
    success_shares: SuccessShares | None = None

    @property
    def winner(self) -> ArmStory | None:
        """The confirmed winner's arm, where there is one."""
        return next((story for story in self.arms if story.arm.name == "winner"), None)

    @property
    def winning_trial(self) -> Trial | None:
        """The trial that the confirmed winner came from, else the one with the best score so far."""
        if self.result is not None and self.result.best is not None:
            wanted = self.result.best.trial.rpartition("/")[2]
            return next((trial for trial in self.trials if trial.id == wanted), None)
        judged = [trial for trial in self.trials if trial.winner and trial.winner.evaluation]
        return max(judged, key=_mean, default=None)


def _mean(trial: Trial) -> float:
    winner = trial.winner
    return float(winner.evaluation.mean) if winner and winner.evaluation else float("-inf")


def gather(workspace: Workspace, run_id: str) -> ReportData:
    """Everything that is stored of a run, finished or not. A document that cannot be read counts as missing."""
    record = workspace.run(run_id)
    documents = workspace.documents(record.id)
    trials = workspace.trials(record.id)
    result = _read(RunResult.model_validate, documents.get("result"))
    card = _read(EnvCard.model_validate, documents.get("card"))
    arms = _arms(workspace, documents)
    names = sorted(name for name in documents if name.startswith("comparison:"))
    compared = [_read(Comparison.model_validate, documents[name]) for name in names]
    exchanges = workspace.exchanges(record.id)
    planned = planning(exchanges, trials)
    references = {trial.id for trial in trials} | {f"{record.id}/{trial.id}" for trial in trials}
    return ReportData(
        record=record,
        result=result,
        card=card,
        plan=_mapping(documents.get("plan")),
        forecast=_read(Forecast.model_validate, documents.get("forecast")),
        arms=arms,
        earlier=earlier_confirmations(record.id, documents),
        comparisons=tuple(item for item in compared if item is not None),
        trials=trials,
        lessons=tuple(item for item in workspace.lessons() if _own(item, record, references)),
        ledger=workspace.ledger(record.id),
        missing=_missing(record, result, card, arms, trials),
        vector=_read(Choice.model_validate, documents.get("vector")),
        success_test=read_test(documents.get(TEST)),
        success_shares=read_shares(documents.get(SHARES)),
        planning=planned,
        said=exchanges[:_MOST_EXCHANGES] if planned is not None and planned.questions else (),
    )


def _own(lesson: Lesson, record: RunRecord, references: set[str]) -> bool:
    return lesson.environment == record.goal.environment.id and not references.isdisjoint(lesson.trials)


def _arms(workspace: Workspace, documents: dict[str, Json]) -> tuple[ArmStory, ...]:
    """The winner first, then the controls by name."""
    names = sorted((n for n in documents if n.startswith("arm:")), key=lambda n: (n != "arm:winner", n))
    found = [_read(Arm.model_validate, documents[name]) for name in names]
    return tuple(ArmStory(arm, _trainings(workspace, arm)) for arm in found if arm is not None)


def _trainings(workspace: Workspace, arm: Arm) -> tuple[Training, ...]:
    found = [_read(Training.model_validate, workspace.step(step)) for step in arm.trainings]
    return tuple(training for training in found if training is not None)


def _read(make: Callable[[Json], T], value: Json) -> T | None:
    if value is None:
        return None
    try:
        return make(value)
    except ValidationError:
        return None


def _mapping(value: Json) -> dict[str, Json]:
    return {str(key): item for key, item in value.items() if key != "v"} if isinstance(value, dict) else {}


def _missing(
    record: RunRecord,
    result: RunResult | None,
    card: EnvCard | None,
    arms: tuple[ArmStory, ...],
    trials: tuple[Trial, ...],
) -> tuple[str, ...]:
    names = {story.arm.name for story in arms}
    controls = str(record.settings.get("controls", "none"))
    wanted = {"native": ("native",), "random": ("random",), "all": ("native", "random")}.get(controls, ())
    found = (
        (card is None, "the environment card"),
        (not trials, "a finished trial"),
        ("winner" not in names, "a confirmation of the winner on fresh seeds"),
        *((name not in names, f"the {name} control") for name in wanted),
        (result is None, "the verdict"),
    )
    return tuple(words for absent, words in found if absent)
