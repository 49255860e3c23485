"""How a face asks something of a running run, and waits a moment for what the runner makes of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from experimenter.errors import UsageError
from experimenter.loop.commands import budget_flags, larger_budget
from experimenter.records import Record
from experimenter.workspace.locks import RunLock
from experimenter.workspace.records import RunRecord
from experimenter.workspace.store import Workspace

__all__ = ["Kind", "Reply", "ask", "request_stop"]

POLL: Final = 0.1
Kind = Literal["stop", "pause", "resume", "budget"]
_DONE: Final = {
    "stop": "run {run} runs no more; go on with: experimenter resume {run}",
    "pause": "run {run} is paused; go on with: experimenter unpause {run}",
    "resume": "run {run} goes on",
    "budget": "run {run} has its larger budget",
}
_WAITING: Final = {
    "stop": "run {run} was asked to stop, and first brings its step to a safe end",
    "pause": "run {run} was asked to pause, and first brings its step to a safe end",
    "resume": "run {run} was asked to go on",
    "budget": "run {run} was asked for a larger budget, and has not answered yet",
}
_INSTEAD: Final = {
    "stop": "There is nothing to stop. Go on with: experimenter resume {run}",
    "pause": "There is nothing to pause. Go on with: experimenter resume {run}",
    "resume": "Go on with: experimenter resume {run}",
    "budget": "Go on with more: experimenter resume {run} {flags}",
}


class Reply(Record):
    """What became of a command: ``done``, or ``waiting`` where the runner has yet to obey. ``words`` say it."""

    run: str
    asked: str
    command: int
    state: Literal["done", "waiting"]
    words: str


def request_stop(root: Path, run_id: str) -> None:
    """Asks the run's runner to finish or checkpoint what it does, and leave; does not wait, nor mind if it has left."""
    with Workspace.open(root, create=False) as workspace:
        workspace.send(workspace.run(run_id).id, "stop")


def ask(
    root: Path, run_id: str, kind: Kind, payload: Mapping[str, Any] | None = None, *, patience: float = 5.0
) -> Reply:
    """Asks a running run, and waits up to ``patience`` seconds for its runner to obey, or at least to answer.

    ``payload`` of a ``budget`` are larger limits by currency. Raises UsageError when the run is not running, or ends
    before it hears, or refuses; BudgetError for limits that are not larger; NotFound for no such run.
    """
    asked = dict(payload or {})
    with Workspace.open(root, create=False) as workspace:
        record = workspace.run(run_id)
        if not _runs(workspace, record.id):
            raise _not_running(record, kind, asked)
        if kind == "budget":
            larger_budget(record.goal.budget, asked)
        seen = max((event.seq for event in workspace.events(record.id)), default=0)
        request = _Request(workspace, record.id, kind, workspace.send(record.id, kind, asked), seen)
        request.wait(patience)
        return request.reply(asked)


@dataclass(frozen=True, slots=True)
class _Request:
    """A command that was sent; ``seen`` is the last event before it."""

    workspace: Workspace
    run: str
    kind: Kind
    number: int
    seen: int

    def wait(self, patience: float) -> None:
        """Until the runner has obeyed or answered, or is no more."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if self.is_done() or self.answer() or not _runs(self.workspace, self.run):
                return
            time.sleep(POLL)

    def is_done(self) -> bool:
        if self.kind == "stop":
            return not _runs(self.workspace, self.run)
        if self.kind == "pause" and self.workspace.run(self.run).status == "paused":
            return True
        return self.workspace.command(self.number).state == "done"

    def answer(self) -> str:
        """The runner's last words about the command."""
        events = self.workspace.events(self.run, self.seen)
        words = [event.data.get("words") for event in events if event.data.get("command") == self.number]
        return str(words[-1]) if words else ""

    def reply(self, asked: Mapping[str, Any]) -> Reply:
        running, done = _runs(self.workspace, self.run), self.is_done()
        if self.workspace.command(self.number).state == "refused":
            raise UsageError(self.answer() or "The runner refused.", f"See: experimenter show {self.run}")
        if not done and not running:
            self.workspace.settle(self.number, "dropped")
            raise _not_running(self.workspace.run(self.run), self.kind, asked)
        words = self.answer() or (_DONE if done else _WAITING)[self.kind].format(run=self.run)
        state: Literal["done", "waiting"] = "done" if done else "waiting"
        return Reply(run=self.run, asked=self.kind, command=self.number, state=state, words=words)


def _runs(workspace: Workspace, run: str) -> bool:
    return RunLock(workspace.run_folder(run)).holder() is not None


def _not_running(record: RunRecord, kind: Kind, asked: Mapping[str, Any]) -> UsageError:
    hint = _INSTEAD[kind].format(run=record.id, flags=budget_flags(asked, "--budget-"))
    status = "interrupted" if record.status in ("running", "paused") else record.status
    return UsageError(f"The run {record.id} is not running: it is {status}.", hint)
