"""What the screen shows, read from the workspace in one go; knows nothing of widgets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from experimenter.cli.progress import event_words
from experimenter.cli.runs import status_of
from experimenter.cli.tables import spent_words
from experimenter.loop.results import own_runs
from experimenter.report.lines import number, percent, trial_line
from experimenter.report.text import clip, safe_text
from experimenter.workspace.store import Workspace

__all__ = ["RUN_COLUMNS", "TRIAL_COLUMNS", "View", "read_view"]

RUN_COLUMNS = ("run", "status", "environment", "wish", "trials")
TRIAL_COLUMNS = ("trial", "lever", "candidates", "rung", "true score", "success", "reach", "faults")
Rows = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class View:
    """Rows and lines, already safe to show. ``lines`` are the shown run's events after ``after``."""

    runs: Rows
    shown: str | None
    trials: Rows
    lines: tuple[str, ...]
    after: int
    spent: str


def read_view(root: Path, shown: str | None, after: int) -> View:
    """The workspace as it is now; ``shown`` is the run in view (the newest one when ``None``)."""
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
        events = store.events(chosen.id, after if chosen.id == shown else 0)
        words = [(event.at[11:19], event_words(event.kind, event.data)) for event in events]
        last = max((event.seq for event in events), default=after if chosen.id == shown else 0)
        return View(
            runs=runs,
            shown=chosen.id,
            trials=_trials(store, chosen.id),
            lines=tuple(safe_text(f"{at}  {text}") for at, text in words if text),
            after=last,
            spent=spent_words(store.ledger(chosen.id), chosen.goal.budget),
        )


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
