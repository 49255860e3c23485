"""The detached runner of one run: the only holder of its lock, and the only process that writes its steps.

Run as ``python -m experimenter.loop.runner WORKSPACE RUN``.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path
from types import FrameType

from experimenter.errors import ExperimenterError, Stopped
from experimenter.events import NewEvent
from experimenter.identity import digest
from experimenter.loop.assemble import TEMPORARY, open_context, plan_for
from experimenter.loop.commands import budget_words, settle_old_commands
from experimenter.loop.context import BudgetSpent, Outcome, RunContext
from experimenter.loop.graph import drive
from experimenter.loop.nodes.conclude import finish
from experimenter.workspace.locks import RunLock
from experimenter.workspace.store import Workspace


def main() -> None:
    root, run = Path(sys.argv[1]), sys.argv[2]
    try:
        with Workspace.open(root, create=False) as workspace, RunLock(workspace.run_folder(run)):
            code = run_to_end(workspace, run)
    except ExperimenterError as error:
        print(f"error: {error}", file=sys.stderr)
        code = error.exit_code
    raise SystemExit(code)


def run_to_end(workspace: Workspace, run: str) -> int:
    """Drives the run until it ends in one of its ways; returns the exit code and leaves the status behind."""
    signals = _Signals()
    try:
        ctx = open_context(workspace, run, signals.stop_requested)
    except ExperimenterError as error:
        return _failed(workspace, run, error)
    resumed = bool(workspace.document(run, "plan")) and workspace.ledger(run).seconds > 0
    workspace.set_status(run, "running")
    workspace.emit(
        run, "run.resumed" if resumed else "run.started", {"pid": os.getpid(), "planner": ctx.planner.name}
    )
    try:
        return _drive(ctx)
    except ExperimenterError as error:
        return _failed(workspace, run, error)
    except Exception as error:  # noqa: BLE001  the border: whatever happens is written into the run
        traceback.print_exc()
        words = f"{type(error).__name__}: {error}"
        hint = f"This is a fault of ours; the details are in {ctx.folder / 'runner.log'}"
        return _failed(workspace, run, ExperimenterError(words, hint))
    finally:
        ctx.executor.close()
        # Workers that are killed leave theirs behind; so does a runner, whose next one clears up for both.
        shutil.rmtree(ctx.folder / TEMPORARY, ignore_errors=True)
        workspace.project_events(run)


def _drive(ctx: RunContext) -> int:
    began = time.monotonic()
    try:
        _drive_to_the_end(ctx)
    except Stopped as stopped:
        settle_old_commands(ctx.workspace, ctx.run)
        ctx.workspace.set_status(ctx.run, "stopped")
        ctx.emit("run.stopped", {"words": stopped.message})
        return stopped.exit_code
    ctx.workspace.set_status(ctx.run, "finished")
    ctx.emit("run.finished", _share_of_work(ctx, time.monotonic() - began))
    return 0


def _drive_to_the_end(ctx: RunContext) -> None:
    """Drives the graph until it has ended and no larger budget waits; each raise begins it anew."""
    while True:
        try:
            ended = drive(ctx)
        except BudgetSpent as spent:
            ended = True
            if not ctx.listener.larger_budget_waits():
                _finish_early(ctx, spent.message)
        if not _take_larger_budgets(ctx) and ended:
            return


def _finish_early(ctx: RunContext, why: str) -> None:
    step = ctx.step_id("spent", 0, ctx.plan.epoch, design=digest(why))
    ctx.announce(step, "note", {"words": why})
    finish(ctx, why)


def _take_larger_budgets(ctx: RunContext) -> bool:
    """Puts the larger budgets that wait in place, as stored steps, and plans again; whether there were any."""
    taken = False
    for command, budget in ctx.listener.larger_budgets():
        words = f"the budget is now {budget_words(budget)}"
        ctx.workspace.raise_budget(ctx.run, budget)
        ctx.commit(
            ctx.step_id("budget", command.id),
            "budget",
            Outcome(
                value={"command": command.id, "budget": budget.model_dump(mode="json")},
                events=(NewEvent(kind="budget.raised", data={"words": words, "command": command.id}),),
            ),
        )
        ctx.workspace.settle(command.id, "done")
        taken = True
    if taken:
        ctx.record = ctx.workspace.run(ctx.run)
        ctx.plan = plan_for(ctx.workspace, ctx.record, ctx.settings)
    return taken


def _share_of_work(ctx: RunContext, wall: float) -> dict[str, float]:
    """How much of this process's time was training, checking or judging; the rest is orchestration."""
    working = ctx.executor.working_seconds()
    return {"wall_seconds": wall, "working_seconds": working, "orchestration": 1 - working / max(wall, 1e-9)}


def _failed(workspace: Workspace, run: str, error: ExperimenterError) -> int:
    name = type(error).__name__
    workspace.set_status(run, "failed", f"{name}: {error.message}", error.hint)
    workspace.emit(run, "run.failed", {"error": name, "message": error.message, "hint": error.hint})
    return error.exit_code


class _Signals:
    """SIGINT or SIGTERM once asks to stop, twice ends at once."""

    def __init__(self) -> None:
        self._asked = 0
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._asked += 1
        if self._asked > 1:
            os._exit(Stopped.exit_code)

    def stop_requested(self) -> bool:
        return self._asked > 0


if __name__ == "__main__":
    main()
