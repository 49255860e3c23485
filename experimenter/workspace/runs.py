"""The table of runs: create, find by name, prefix or ``latest``, and the few things that may change later."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from experimenter.errors import BudgetError, NotFound, WorkspaceError, did_you_mean
from experimenter.identity import valid_name
from experimenter.records import Budget
from experimenter.results import RunStatus
from experimenter.workspace.files import make_folder
from experimenter.workspace.records import CONTROL_OF, LATEST, RunRecord
from experimenter.workspace.rows import Part, encode, now, read

__all__ = ["Runs"]

_ENDED: frozenset[RunStatus] = frozenset({"stopped", "finished", "failed"})
_CURRENCIES = ("env_steps", "seconds", "tokens", "dollars")


class Runs(Part):
    """The runs of a workspace. ``root`` is its absolute folder."""

    root: Path

    def create_run(self, record: RunRecord) -> None:
        """Stores a new run and makes its folder. Raises WorkspaceError when the name is taken."""
        moment = now()
        stored = record.model_copy(update={"created": record.created or moment, "updated": moment})
        value = encode(stored, f"run {record.id}")
        with self._database.transaction() as connection:
            if connection.execute("SELECT 1 FROM runs WHERE id = ?", (record.id,)).fetchone():
                raise WorkspaceError(
                    f"There is a run named {record.id} already.",
                    f"Choose another name, or go on with: experimenter resume {record.id}",
                )
            connection.execute("INSERT INTO runs (id, value) VALUES (?, ?)", (record.id, value))
        self.run_folder(record.id)

    def run(self, words: str) -> RunRecord:
        """The run of that name, of that unique beginning, or the newest for ``latest``. Raises NotFound."""
        run = self._resolve(words)
        row = self._database.row("SELECT value FROM runs WHERE id = ?", (run,))
        return read(RunRecord, row[0] if row else None, f"row {run} of table runs")

    def runs(self) -> tuple[RunRecord, ...]:
        """Every run, the oldest first."""
        rows = self._database.rows("SELECT id, value FROM runs ORDER BY number")
        return tuple(read(RunRecord, value, f"row {run} of table runs") for run, value in rows)

    def run_names(self) -> tuple[str, ...]:
        """Every run's name, the oldest first."""
        return tuple(row[0] for row in self._database.rows("SELECT id FROM runs ORDER BY number"))

    def set_status(
        self, run: str, status: RunStatus, error: str = "", hint: str = "", *, pid: int | None = None
    ) -> None:
        """Changes where a run stands. ``pid`` is its runner's; without one it is kept until the run has ended."""

        def change(record: RunRecord) -> dict[str, Any]:
            kept = None if status in _ENDED else record.pid
            return {"status": status, "error": error, "hint": hint, "pid": pid if pid is not None else kept}

        self._change(run, change)

    def raise_budget(self, run: str, budget: Budget) -> None:
        """Replaces a run's limits by larger ones; ``None`` lifts a limit. Raises BudgetError when one is smaller."""

        def change(record: RunRecord) -> dict[str, Any]:
            _check_larger(record.goal.budget, budget)
            return {"goal": record.goal.model_copy(update={"budget": budget})}

        self._change(run, change)

    def run_folder(self, run: str) -> Path:
        """``runs/<run>`` of this workspace, made where it is missing."""
        if not valid_name(run):
            raise NotFound(f"{run!r} is not a run's name.", "See all of them with: experimenter list.")
        return make_folder(self.root / "runs" / run)

    def _change(self, run: str, change: Callable[[RunRecord], dict[str, Any]]) -> None:
        with self._database.transaction() as connection:
            record = self._locked(connection, run)
            stored = record.model_copy(update={**change(record), "updated": now()})
            connection.execute(
                "UPDATE runs SET value = ? WHERE id = ?", (encode(stored, f"run {run}"), record.id)
            )

    def _locked(self, connection: sqlite3.Connection, run: str) -> RunRecord:
        row = connection.execute("SELECT value FROM runs WHERE id = ?", (run,)).fetchone()
        if row is None:
            raise self._no_run(run, self.run_names())
        return read(RunRecord, row[0], f"row {run} of table runs")

    def _resolve(self, words: str) -> str:
        names = self.run_names()
        if words in names:
            return words
        own = self._own_names()
        if words == LATEST and own:
            return own[-1]
        found = [name for name in own if words and name.startswith(words)]
        if len(found) > 1:
            some = ", ".join(sorted(found)[:5])
            raise NotFound(f"{words} is the beginning of {len(found)} runs.", f"Which of {some}?")
        if not found:
            raise self._no_run(words, names)
        return found[0]

    def _own_names(self) -> tuple[str, ...]:
        rows = self._database.rows(
            "SELECT id FROM runs WHERE id NOT IN (SELECT run FROM documents WHERE name = ?) ORDER BY number",
            (CONTROL_OF,),
        )
        return tuple(row[0] for row in rows)

    def _no_run(self, words: str, names: tuple[str, ...]) -> NotFound:
        if not names:
            return NotFound(
                f"There is no run {words}: {self.root} holds none yet.",
                'Start with: experimenter run "your wish" --env CartPole-v1',
            )
        hint = did_you_mean(words, (*names, LATEST)) or "See all of them with: experimenter list."
        return NotFound(f"There is no run {words} in {self.root}.", hint)


def _check_larger(old: Budget, new: Budget) -> None:
    for currency in _CURRENCIES:
        before, after = getattr(old, currency), getattr(new, currency)
        if after is not None and (before is None or after < before):
            has = "no limit" if before is None else f"{before:,}"
            raise BudgetError(
                f"A run's budget can only grow: {currency} has {has}, and {after:,} was asked for.",
                "Give at least as much, or start another run.",
            )
