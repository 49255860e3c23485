"""Watching a run to its end, with Ctrl-C meaning: once, ask it to stop; twice, end it now."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from experimenter.cli.console import say
from experimenter.cli.live import JsonLines, LiveView, PlainLines, Sink, Snapshot
from experimenter.errors import Stopped

if TYPE_CHECKING:
    from experimenter.results import RunResult
    from experimenter.workspace.store import Workspace

__all__ = ["conclude", "exit_code_of", "follow_run"]

PATIENCE = 10.0


def follow_run(root: Path, run_id: str, *, events: bool, after: int = 0) -> RunResult:
    """Shows the run's events from ``after`` on until its runner has ended, then returns its result.

    Raises Stopped when the person leaves before the runner has ended.
    """
    from experimenter.loop.launch import follow
    from experimenter.loop.results import result
    from experimenter.workspace.store import Workspace

    with (
        Workspace.open(root, create=False) as workspace,
        _heeding_interrupts(root, run_id, workspace),
        _sink(workspace, run_id, events) as sink,
    ):
        for event in follow(root, run_id, after=after):
            sink.event(event)
    return result(root, run_id)


def _sink(workspace: Workspace, run_id: str, events: bool) -> Sink:
    if events:
        return JsonLines()
    if not sys.stderr.isatty():
        return PlainLines()

    def look() -> Snapshot:
        budget = workspace.run(run_id).goal.budget
        return Snapshot(workspace.trials(run_id), workspace.ledger(run_id), budget)

    return LiveView(look)


@contextmanager
def _heeding_interrupts(root: Path, run_id: str, workspace: Workspace) -> Iterator[None]:
    asked = False

    def interrupted(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            _end_runner(workspace.run_folder(run_id))
            raise Stopped(f"left at once; run {run_id} is ended", _go_on(run_id))
        asked = True
        _ask_to_stop(root, run_id)
        signal.setitimer(signal.ITIMER_REAL, PATIENCE)

    def waited(number: int, frame: FrameType | None) -> None:
        words = f"run {run_id} is still finishing its step and will stop by itself"
        raise Stopped(words, f"Look with: experimenter watch {run_id}. {_go_on(run_id)}")

    old = signal.signal(signal.SIGINT, interrupted), signal.signal(signal.SIGALRM, waited)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGINT, old[0])
        signal.signal(signal.SIGALRM, old[1])


def _ask_to_stop(root: Path, run_id: str) -> None:
    from experimenter.loop.asking import request_stop

    request_stop(root, run_id)
    say("asked the run to stop; what is finished is kept. Ctrl-C again ends it at once.")


def _go_on(run_id: str) -> str:
    return f"Go on later with: experimenter resume {run_id}"


def _end_runner(folder: Path) -> None:
    """Ends the process that holds the run. Its journal survives that at any moment; its workers die with it."""
    from experimenter.workspace.locks import RunLock

    pid = RunLock(folder).holder()
    if pid and pid != os.getpid():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def conclude(result: RunResult, root: Path, *, as_json: bool, events: bool) -> int:
    """Says how the run ended, on stdout for a person or as one object. Returns the exit code."""
    from experimenter.cli.console import print_json, screen
    from experimenter.cli.failures import Failure, show_failure
    from experimenter.cli.tables import verdict_panel
    from experimenter.report.lines import without_kind

    code = exit_code_of(result)
    if as_json:
        print_json(result.model_dump(mode="json"))
    elif not events and result.status != "failed":
        screen().print(verdict_panel(result, root))
    if result.status == "failed":
        show_failure(
            Failure(without_kind(result.error) or "the run failed", _next(result), code), as_json=False
        )
    return code


def _next(result: RunResult) -> str:
    return result.hint or f"See it with: experimenter show {result.run}. {_go_on(result.run)}"


def exit_code_of(result: RunResult) -> int:
    """What the command ends with: the result's own code, 130 when stopped, 1 when failed without a code."""
    if result.exit_code or result.status not in ("failed", "stopped"):
        return result.exit_code
    return 130 if result.status == "stopped" else 1
