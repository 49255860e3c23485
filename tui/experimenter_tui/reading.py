"""What the screen shows, read from the workspace in one go; knows nothing of widgets."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from experimenter.cli.progress import event_words
from experimenter.cli.runs import status_of
from experimenter.cli.tables import spent_words
from experimenter.cli.waiting import Waiting, waiting_after
from experimenter.loop.results import own_runs
from experimenter.report.lines import number, percent, trial_line
from experimenter.report.text import clip, safe_text
from experimenter.workspace.records import RunRecord
from experimenter.workspace.store import Workspace

__all__ = ["RUN_COLUMNS", "TRIAL_COLUMNS", "View", "read_view"]

RUN_COLUMNS = ("run", "status", "environment", "wish", "trials")
TRIAL_COLUMNS = ("trial", "lever", "candidates", "rung", "true score", "success", "reach", "faults")
Rows = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class View:
    """Rows and lines, already safe to show. ``lines`` are the shown run's events after ``after``.

    ``waiting`` is the question that the run's last event left without an answer; ``spent`` says so too.
    """

    runs: Rows
    shown: str | None
    trials: Rows
    lines: tuple[str, ...]
    after: int
    spent: str
    waiting: Waiting | None = None


def read_view(root: Path, shown: str | None, after: int, waiting: Waiting | None = None) -> View:
    """The workspace as it is now; ``shown`` is the run in view (the newest one when ``None``).

    ``waiting`` is what was waited for when the events up to ``after`` were read.
    """
    with Workspace.open(root, create=False) as store:
        records = own_runs(store)
        runs = tuple(
            (
                record.id,
                status_of(store, record),
                clip(record.goal.environment.id, 30),
                clip(record.goal.wish, 50),
                str(len(store.trials(record.id))),
            )
            for record in records
        )
        chosen = next((record for record in records if record.id == shown), records[0] if records else None)
        if chosen is None:
            return View(runs, None, (), (), 0, "no run yet")
        same = chosen.id == shown
        events = store.events(chosen.id, after if same else 0)
        waiting = waiting if same and after else None
        for event in events:
            waiting = waiting_after(waiting, event.kind, event.data, event.at)
        words = [(event.at[11:19], event_words(event.kind, event.data)) for event in events]
        last = max((event.seq for event in events), default=after if same else 0)
        return View(
            runs=runs,
            shown=chosen.id,
            trials=_trials(store, chosen.id),
            lines=tuple(safe_text(f"{at}  {text}") for at, text in words if text),
            after=last,
            spent=_spent(store, chosen, waiting),
            waiting=waiting,
        )


def _spent(store: Workspace, record: RunRecord, waiting: Waiting | None) -> str:
    """What was spent; before it, of a run that goes on, whom it waits for."""
    spent = spent_words(store.ledger(record.id), record.goal.budget)
    goes_on = waiting is not None and status_of(store, record) in ("running", "paused")
    return f"{waiting.words(datetime.now(UTC))} · {spent}" if goes_on and waiting is not None else spent


def _trials(store: Workspace, run: str) -> Rows:
    lines = [trial_line(trial) for trial in store.trials(run)]
    return tuple(
        (
            clip(line.id, 30),
            line.lever,
            str(line.candidates),
            str(line.rung),
            number(line.score),
            percent(line.success_rate),
            number(line.reach),
            ", ".join(line.faults) or "none",
        )
        for line in lines
    )
