"""How faces start and watch runs: look at the environment, create the run, start its detached runner, follow its log.

The command that starts a run is only a viewer of it: the runner is a session of its own and outlives the terminal.
"""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from experimenter import plugins
from experimenter.budget import Forecast, Ledger, check, forecast
from experimenter.config import Settings
from experimenter.contracts import Executor, Job, JobResult
from experimenter.envs.records import EnvCard
from experimenter.errors import BudgetError, ConfigError, ExperimenterError, RunLocked, Stopped, UsageError
from experimenter.events import Event
from experimenter.execution.local import LocalExecutor, worker_environment
from experimenter.identity import seeds
from experimenter.judge.controls import control_names
from experimenter.loop.faults import error_kind, raise_from
from experimenter.loop.plan import affordable, make_plan, nominal_steps
from experimenter.records import Budget, Goal
from experimenter.results import RunResult
from experimenter.workspace.locks import RunLock
from experimenter.workspace.records import RunRecord, new_run_name
from experimenter.workspace.store import Workspace

STARTING_SECONDS: Final = 30.0
PACKAGES: Final = ("rl-experimenter", "gymnasium", "numpy", "optuna", "langgraph", "minigrid", "pydantic")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run that exists and has not started."""

    record: RunRecord
    card: EnvCard
    forecast: Forecast


def look_at(
    env_id: str, kwargs: Mapping[str, Any], *, judge: str | None, steps: int, seed: int, silence: float
) -> EnvCard:
    """The card of an environment, measured in a process of its own. Raises NotFound or EnvironmentFault."""
    payload = {"id": env_id, "kwargs": dict(kwargs), "judge": judge, "steps": steps, "seed": seed}
    result = one_job("card", Job(id="card", kind="card", payload=payload, silence=silence))
    return EnvCard.model_validate(result.value["card"])


def one_job(role: str, job: Job) -> JobResult:
    """Runs one job in a process of its own; raises what it fails with."""
    executor: Executor = LocalExecutor(1)
    try:
        results = list(executor.run([job], role=role, progress=lambda *_: None, interrupt=lambda: False))
    finally:
        executor.close()
    if not results[0].ok:
        raise_from(results[0])
    return results[0]


def prepare(
    wish: str,
    env_id: str,
    kwargs: Mapping[str, Any],
    settings: Settings,
    *,
    judge: str | None = None,
    target: float | None = None,
    seed: int = 0,
    run_id: str | None = None,
    command: Sequence[str] = (),
) -> Prepared:
    """Checks everything that can be wrong before the first step, then creates the run.

    Raises NotFound, ConfigError, BudgetError, EnvironmentFault, ContainmentError or WorkspaceError.
    """
    _check_words(wish)
    _check_plugins(settings)
    _check_containment(settings)
    budget = _budget(settings)
    check(budget, settings.confirm_seeds)
    _check_plan(budget, settings)
    with Workspace.open(Path(settings.workspace)) as workspace:
        probe_seed = seeds(seed, "probe", 1)[0]
        card = look_at(
            env_id,
            kwargs,
            judge=judge,
            steps=settings.card_steps,
            seed=probe_seed,
            silence=settings.silence_seconds,
        )
        goal = Goal(wish=wish, environment=card.spec, judge=judge, target=target, budget=budget, seed=seed)
        record = _create(workspace, goal, settings, card, run_id, command)
        foreseen = _forecast(budget, settings, card)
        workspace.put_document(record.id, "forecast", foreseen.model_dump(mode="json"))
    return Prepared(record, card, foreseen)


def _check_words(wish: str) -> None:
    if not wish.strip():
        raise UsageError("The wish is empty.", 'Say in a sentence what you want, e.g. "reach the flag".')
    if len(wish) > 4000:
        raise UsageError("The wish is longer than 4,000 characters.", "Say it shorter.")


def _check_plugins(settings: Settings) -> None:
    plugins.load("planners", settings.planner)
    plugins.load("curricula", settings.curriculum)


def _check_containment(settings: Settings) -> None:
    from experimenter.sandbox.level import require_containment

    require_containment(allow_unsandboxed=settings.allow_unsandboxed)


def _budget(settings: Settings) -> Budget:
    return Budget(
        env_steps=settings.budget_steps,
        seconds=settings.budget_seconds,
        tokens=settings.budget_tokens,
        dollars=settings.budget_dollars,
    )


def _check_plan(budget: Budget, settings: Settings) -> None:
    """The smallest run is one design with its checks, and its confirmation."""
    steps = budget.env_steps or nominal_steps()
    if _buys_a_trial(steps, settings):
        return
    enough = steps
    while not _buys_a_trial(enough, settings):
        enough += max(1, enough // 20)
    raise BudgetError(
        f"A budget of {steps:,} learning steps cannot buy the smallest run.",
        f"With --confirm-seeds {settings.confirm_seeds} it needs about {enough:,}.",
    )


def _buys_a_trial(steps: int, settings: Settings) -> bool:
    plan = make_plan(steps, settings.confirm_seeds, settings.designs, settings.chunk_steps)
    return affordable(plan.search_limit, plan) > 0


def _forecast(budget: Budget, settings: Settings, card: EnvCard) -> Forecast:
    steps = budget.env_steps or nominal_steps()
    plan = make_plan(steps, settings.confirm_seeds, settings.designs, settings.chunk_steps)
    return forecast(budget, settings, card, plan.design_steps, control_names(settings.controls))


def _create(
    workspace: Workspace,
    goal: Goal,
    settings: Settings,
    card: EnvCard,
    run_id: str | None,
    command: Sequence[str],
) -> RunRecord:
    name = run_id or new_run_name(goal.wish, workspace.run_names())
    if name in workspace.run_names():
        raise ConfigError(
            f"There is a run named {name} already.", f"Go on with it: experimenter resume {name}"
        )
    record = RunRecord(
        id=name,
        goal=goal,
        settings=settings.model_dump(mode="json"),
        planner=settings.planner,
        curriculum=settings.curriculum,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=versions(),
        command=tuple(command),
    )
    workspace.create_run(record)
    workspace.put_document(name, "card", card.model_dump(mode="json"))
    workspace.put_document(name, "directory", {"path": str(Path.cwd())})
    workspace.spend(name, Ledger(card_steps=card.card_steps))
    workspace.emit(name, "run.created", {"wish": goal.wish, "environment": card.spec.id})
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


def raise_budget(root: Path, run_id: str, changes: Mapping[str, float]) -> None:
    """Puts larger limits in place, by currency; nothing happens without any. Raises BudgetError for smaller ones."""
    if not changes:
        return
    with Workspace.open(root, create=False) as workspace:
        record = workspace.run(run_id)
        workspace.raise_budget(record.id, record.goal.budget.model_copy(update=dict(changes)))


def start(root: Path, run_id: str) -> int:
    """Starts the detached runner and waits until it holds the run's lock; returns its pid.

    Raises RunLocked when another runner has the run, ExperimenterError when the runner does not come up.
    """
    with Workspace.open(root, create=False) as workspace:
        record = workspace.run(run_id)
        folder, directory = workspace.run_folder(record.id), workspace.document(record.id, "directory")
        folder.mkdir(parents=True, exist_ok=True)
        holder = RunLock(folder).holder()
        if holder is not None and record.status == "paused":
            workspace.send(record.id, "resume")
            return holder
    if holder is not None:
        raise RunLocked(
            f"The run {record.id} is already running, in process {holder}.",
            f"Watch it: experimenter watch {record.id}",
        )
    place = Path(directory["path"]) if directory and Path(directory["path"]).is_dir() else Path.cwd()
    with (folder / "runner.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "experimenter.loop.runner", str(root.absolute()), record.id],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=place,
            env={**worker_environment(), "LANGGRAPH_STRICT_MSGPACK": "true"},
            start_new_session=True,
        )
    _wait_until_up(process, folder)
    return process.pid


def _wait_until_up(process: subprocess.Popen[bytes], folder: Path) -> None:
    """The runner holds the lock, or has already ended by itself (which its result will tell)."""
    deadline = time.monotonic() + STARTING_SECONDS
    lock = RunLock(folder)
    while time.monotonic() < deadline:
        if process.poll() is not None or lock.holder() is not None:
            return
        time.sleep(0.05)
    raise ExperimenterError("The runner did not come up.", f"Its log: {folder / 'runner.log'}")


def follow(root: Path, run_id: str, *, poll: float = 0.2, after: int = 0) -> Iterator[Event]:
    """The run's events from ``after`` on, until its runner has ended and all were given."""
    with Workspace.open(root, create=False) as workspace:
        run_id = workspace.run(run_id).id
        lock = RunLock(workspace.run_folder(run_id))
        while True:
            alive = lock.holder() is not None
            for event in workspace.events(run_id, after):
                after = event.seq
                yield event
            if not alive:
                return
            time.sleep(poll)


def request_stop(root: Path, run_id: str) -> None:
    """Asks the run's runner to finish or checkpoint what it does, and leave."""
    with Workspace.open(root, create=False) as workspace:
        workspace.send(workspace.run(run_id).id, "stop")


def result(root: Path, run_id: str) -> RunResult:
    """How the run stands, as one typed object; also of a run that has not finished."""
    with Workspace.open(root, create=False) as workspace:
        record = workspace.run(run_id)
        stored = workspace.document(record.id, "result")
        ledger = workspace.ledger(record.id)
        card = EnvCard.model_validate(workspace.document(record.id, "card"))
        trials = len(workspace.trials(record.id))
        record = _as_it_is(workspace, record)
    base = RunResult.model_validate(stored) if stored else _unfinished(record, card, trials)
    changes: dict[str, Any] = {
        "status": record.status,
        "ledger": ledger,
        "error": record.error,
        "hint": record.hint,
    }
    return base.model_copy(update=changes | {"exit_code": _exit_code(record)})


def _as_it_is(workspace: Workspace, record: RunRecord) -> RunRecord:
    """A record that says "running" while no runner holds the lock belongs to a run that was killed."""
    folder = workspace.run_folder(record.id)
    if record.status not in ("running", "paused") or RunLock(folder).holder() is not None:
        return record
    words = {
        "error": "The runner ended without a word; it was killed, or ran out of memory.",
        "status": "stopped",
    }
    hint = f"What was finished is kept. Go on with: experimenter resume {record.id}"
    return record.model_copy(update=words | {"hint": hint})


def _unfinished(record: RunRecord, card: EnvCard, trials: int) -> RunResult:
    return RunResult(
        run=record.id,
        status=record.status,
        planner=record.planner,
        judge=card.judge.words,
        environment=card.spec.id,
        wish=record.goal.wish,
        trials=trials,
    )


def _exit_code(record: RunRecord) -> int:
    if record.status == "stopped":
        return Stopped.exit_code
    return error_kind(record.error.partition(":")[0]).exit_code if record.status == "failed" else 0


def raise_failure(found: RunResult) -> None:
    """Raises what made a run fail, as the kind of error that it was; nothing for a run that did not fail."""
    if found.status == "failed":
        name, _, words = found.error.partition(": ")
        raise error_kind(name)(words or found.error, found.hint)
