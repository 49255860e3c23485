"""How faces start runs, follow them, and go on with them.

The command that starts a run is only a viewer of it: the runner is a session of its own and outlives the terminal.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from experimenter.errors import ExperimenterError, RunLocked
from experimenter.events import Event
from experimenter.execution.local import runner_environment
from experimenter.loop.commands import budget_flags, settle_old_commands
from experimenter.workspace.locks import RunLock
from experimenter.workspace.records import RunRecord
from experimenter.workspace.store import Workspace

__all__ = ["News", "follow", "news", "raise_budget", "start"]

STARTING_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class News:
    """What a look at a run brings: the events since the last look, and whether its runner may bring more."""

    run: str
    events: tuple[Event, ...]
    alive: bool


def raise_budget(root: Path, run_id: str, changes: Mapping[str, float]) -> None:
    """Puts larger limits in place of a run that is not running; nothing happens without any.

    ``changes`` are limits by currency. Raises BudgetError for smaller ones, RunLocked while a runner has the run.
    """
    if not changes:
        return
    with Workspace.open(root, create=False) as workspace:
        record = workspace.run(run_id)
        if RunLock(workspace.run_folder(record.id)).holder() is not None:
            flags = budget_flags(changes)
            raise RunLocked(
                f"The run {record.id} is running.", f"Ask it: experimenter budget {record.id} {flags}"
            )
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
        if holder is None:
            # Here and not in the runner: a stop that is asked of a runner while it comes up must reach it.
            settle_old_commands(workspace, record.id)
    if holder is not None:
        raise RunLocked(
            f"The run {record.id} is already running, in process {holder}.",
            f"Watch it: experimenter watch {record.id}",
        )
    place = Path(directory["path"]) if directory and Path(directory["path"]).is_dir() else Path.cwd()
    with (folder / "runner.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "experimenter.loop.runner", str(root.absolute()), record.id],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=place,
            env={**runner_environment(), "LANGGRAPH_STRICT_MSGPACK": "true"},
            start_new_session=True,
        )
    _wait_until_up(process, folder)
    _check_that_it_began(root, record, process.poll(), folder / "runner.log")
    return process.pid


def _check_that_it_began(root: Path, before: RunRecord, code: int | None, log: Path) -> None:
    """A runner that fails in the run writes that into the run; one that never reached it tells only its log."""
    if not code:
        return
    with Workspace.open(root, create=False) as workspace:
        if workspace.run(before.id).updated != before.updated:
            return
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    last = f": {lines[-1][:300]}" if lines else "."
    raise ExperimenterError(
        f"The runner ended with code {code} before the run began{last}", f"Its log: {log}"
    )


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
        while True:
            seen = _look(workspace, run_id, after)
            for event in seen.events:
                after = event.seq
                yield event
            if not seen.alive:
                return
            time.sleep(poll)


def news(root: Path, run_id: str, after: int = 0) -> News:
    """One look at a run, for those who cannot wait inside ``follow``. Raises NotFound."""
    with Workspace.open(root, create=False) as workspace:
        return _look(workspace, workspace.run(run_id).id, after)


def _look(workspace: Workspace, run: str, after: int) -> News:
    """The lock is asked first: what a runner wrote before it let go is then among the events."""
    alive = RunLock(workspace.run_folder(run)).holder() is not None
    return News(run, workspace.events(run, after), alive)
