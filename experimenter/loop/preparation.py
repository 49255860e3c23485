"""Before a run: everything that can be wrong is checked, the environment is looked at, and the run is created.

Nothing is trained here, and nothing is written before the checks have passed.
"""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from experimenter.budget import Forecast, Ledger
from experimenter.config import Settings
from experimenter.contracts import Executor, Job, JobResult
from experimenter.envs.records import EnvCard
from experimenter.envs.vectors.kinds import Choice
from experimenter.errors import ConfigError, WorkspaceError
from experimenter.execution.local import LocalExecutor
from experimenter.identity import seeds
from experimenter.judge.controls import control_names
from experimenter.loop.admission import admit, budget_of, check_algorithm, plan_of
from experimenter.loop.consulting import NOTES, expected
from experimenter.loop.devices import DOCUMENT, choice_for
from experimenter.loop.faults import raise_from
from experimenter.loop.forecast import forecast, searched
from experimenter.loop.replaying import ARCHIVE, differences, find_archive
from experimenter.loop.vectors import keep_choice, vector_job
from experimenter.planners.archive import Archive
from experimenter.planners.desk import split_name
from experimenter.planners.llm.notes import read_notes
from experimenter.records import Goal
from experimenter.workspace.records import RunRecord, new_run_name
from experimenter.workspace.store import Workspace

if TYPE_CHECKING:
    from experimenter.rl.devices import DeviceChoice

__all__ = ["Prepared", "look_at", "one_job", "prepare", "versions"]

PACKAGES: Final = ("rl-experimenter", "gymnasium", "numpy", "optuna", "langgraph", "minigrid", "pydantic")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run that exists and has not started."""

    record: RunRecord
    card: EnvCard
    forecast: Forecast
    device: DeviceChoice
    vector: Choice


def look_at(
    env_id: str, kwargs: Mapping[str, Any], *, judge: str | None, steps: int, seed: int, silence: float
) -> EnvCard:
    """The card of an environment, measured in a process of its own. Raises NotFound or EnvironmentFault."""
    job = _card_job(env_id, kwargs, judge, steps=steps, seed=seed, silence=silence)
    return EnvCard.model_validate(one_job("card", job).value["card"])


def _card_job(
    env_id: str, kwargs: Mapping[str, Any], judge: str | None, *, steps: int, seed: int, silence: float
) -> Job:
    payload = {"id": env_id, "kwargs": dict(kwargs), "judge": judge, "steps": steps, "seed": seed}
    return Job(id="card", kind="card", payload=payload, silence=silence)


def one_job(role: str, job: Job) -> JobResult:
    """Runs one job in a process of its own; raises what it fails with."""
    return in_turn(role, [job])[0]


def in_turn(role: str, jobs: Sequence[Job]) -> list[JobResult]:
    """Runs jobs one after the other in one process of their own; raises what the first to fail fails with."""
    executor: Executor = LocalExecutor(1)
    done: list[JobResult] = []
    try:
        for result in executor.run(jobs, role=role, progress=lambda *_: None, interrupt=lambda: False):
            if not result.ok:
                raise_from(result)
            done.append(result)
    finally:
        executor.close()
    return done


def prepare(
    wish: str,
    env_id: str,
    kwargs: Mapping[str, Any],
    settings: Settings,
    *,
    judge: str | None = None,
    judge_visibility: str = "open",
    target: float | None = None,
    seed: int = 0,
    run_id: str | None = None,
    command: Sequence[str] = (),
    agree: Callable[[Forecast], None] = lambda _: None,
) -> Prepared:
    """Checks everything that can be wrong before the first step, then creates the run.

    ``agree`` hears the forecast before anything is created, and raises where it is too much.
    Raises NotFound, ConfigError, BudgetError, EnvironmentFault, ContainmentError or WorkspaceError.
    """
    settings = admit(wish, judge_visibility, settings)
    budget = budget_of(settings)
    notes = read_notes(settings.notes)
    with Workspace.open(Path(settings.workspace)) as workspace:
        archive = _archive(workspace, settings)
        probe_seed = seeds(seed, "probe", 1)[0]
        card, vector = _look_and_choose(env_id, kwargs, judge, settings, probe_seed)
        check_algorithm(settings, card)
        goal = Goal(wish=wish, environment=card.spec, judge=judge, target=target, budget=budget, seed=seed)
        device = choice_for(settings, card)
        if archive is not None:
            device, vector = _as_replayed(archive, device, vector)
        foreseen = _forecast(goal, settings, card)
        agree(foreseen)
        record = _create(workspace, goal, settings, card, run_id, command)
        workspace.put_document(
            record.id, NOTES, {"v": 1, "notes": [one.model_dump(mode="json") for one in notes]}
        )
        if archive is not None:
            workspace.put_document(record.id, ARCHIVE, archive.model_dump(mode="json"))
            for words in differences(archive, record):
                workspace.emit(record.id, "note", {"words": f"unlike the run that is replayed: {words}"})
        keep_choice(workspace, record.id, vector)
        workspace.put_document(record.id, DOCUMENT, device.model_dump(mode="json"))
        workspace.put_document(record.id, "forecast", foreseen.model_dump(mode="json"))
    return Prepared(record, card, foreseen, device, vector)


def _archive(workspace: Workspace, settings: Settings) -> Archive | None:
    name, argument = split_name(settings.planner)
    return find_archive(workspace, argument) if name == "replay" else None


def _as_replayed(archive: Archive, device: DeviceChoice, vector: Choice) -> tuple[DeviceChoice, Choice]:
    """What the replayed run had chosen by measurement; a device that is not here cannot be had back."""
    try:
        then = device if archive.device is None else type(device).model_validate(archive.device)
    except ValueError as cause:
        raise ConfigError("The archive's device is none.", "The archive is damaged.") from cause
    if then.device != device.device and then.device != "cpu":
        then = device
    return then, vector if archive.vector is None else Choice.model_validate(archive.vector)


def _look_and_choose(
    env_id: str, kwargs: Mapping[str, Any], judge: str | None, settings: Settings, seed: int
) -> tuple[EnvCard, Choice]:
    """The card, and how trainings will step the environment, both found in one process that may crash."""
    silence = settings.silence_seconds
    card = _card_job(env_id, kwargs, judge, steps=settings.card_steps, seed=seed, silence=silence)
    found = in_turn("card", [card, vector_job(env_id, kwargs, settings)])
    return EnvCard.model_validate(found[0].value["card"]), Choice.model_validate(found[1].value["choice"])


def _forecast(goal: Goal, settings: Settings, card: EnvCard) -> Forecast:
    plan = plan_of(goal.budget, settings)
    controls = control_names(settings.controls)
    tokens, dollars = expected(settings, searched(plan))
    told = forecast(plan, goal.budget, settings, card, controls, target=goal.target, dollars=dollars)
    return told.model_copy(update={"tokens": tokens})


def _create(
    workspace: Workspace,
    goal: Goal,
    settings: Settings,
    card: EnvCard,
    run_id: str | None,
    command: Sequence[str],
) -> RunRecord:
    if run_id in workspace.run_names():
        raise ConfigError(
            f"There is a run named {run_id} already.", f"Go on with it: experimenter resume {run_id}"
        )
    record = RunRecord(
        id=run_id or new_run_name(goal.wish, workspace.run_names()),
        goal=goal,
        settings=settings.model_dump(mode="json"),
        planner=settings.planner,
        curriculum=settings.curriculum,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=versions(),
        command=tuple(command),
    )
    record = _created(workspace, record, named=run_id is not None)
    name = record.id
    workspace.put_document(name, "card", card.model_dump(mode="json"))
    workspace.put_document(name, "directory", {"path": str(Path.cwd())})
    workspace.spend(name, Ledger(card_steps=card.card_steps))
    workspace.emit(name, "run.created", {"wish": goal.wish, "environment": card.spec.id})
    return record


def _created(workspace: Workspace, record: RunRecord, *, named: bool) -> RunRecord:
    """Stores the run; one that nobody named takes the next name where another run was a moment quicker."""
    while True:
        try:
            workspace.create_run(record)
        except WorkspaceError:
            if named or record.id not in workspace.run_names():
                raise
            name = new_run_name(record.goal.wish, workspace.run_names())
            record = record.model_copy(update={"id": name})
        else:
            return record


def versions() -> dict[str, str]:
    """Releases of what a result depends on."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
