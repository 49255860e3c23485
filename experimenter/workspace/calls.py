"""Calls of language models: kept the moment a reply arrives, with what it cost, before anything uses it."""

from __future__ import annotations

from experimenter.budget import Ledger
from experimenter.records import Json
from experimenter.workspace.rows import Part, decode, encode, now
from experimenter.workspace.steps import add_spend

__all__ = ["Calls"]


class Calls(Part):
    """Every call of a run, by its id, which comes from who was asked and what was said."""

    def call(self, run: str, call_id: str) -> Json | None:
        """The stored call, or ``None``."""
        row = self._database.row("SELECT value FROM calls WHERE run = ? AND id = ?", (run, call_id))
        return None if row is None else decode(row[0], f"row {call_id} of table calls")

    def keep_call(self, run: str, call_id: str, question: str, value: Json, spend: Ledger) -> bool:
        """Keeps a call and charges the run for it, in one transaction.

        The first one stays: returns false, and charges nothing, when there is one of that id.
        """
        row = (run, call_id, question, encode(value, f"call {call_id}"), now())
        with self._database.transaction() as connection:
            done = connection.execute(
                "INSERT INTO calls (run, id, question, value, at) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (run, id) DO NOTHING",
                row,
            )
            if done.rowcount != 1:
                return False
            add_spend(connection, run, spend)
        return True

    def calls(self, run: str) -> tuple[Json, ...]:
        """All calls of a run, the oldest first."""
        rows = self._database.rows("SELECT id, value FROM calls WHERE run = ? ORDER BY number", (run,))
        return tuple(decode(value, f"row {name} of table calls") for name, value in rows)
