"""Exchanges with a planner: stored under their question's id before anything uses the answer."""

from __future__ import annotations

from dataclasses import dataclass

from experimenter.records import Json
from experimenter.workspace.database import Row
from experimenter.workspace.rows import Part, decode, encode, now

__all__ = ["Exchange", "Exchanges"]


@dataclass(frozen=True, slots=True)
class Exchange:
    """One archived exchange: what was asked, what was answered, and what it used."""

    id: str
    run: str
    kind: str
    question: Json
    answer: Json
    usage: Json
    at: str


class Exchanges(Part):
    """The archive of everything that was asked."""

    def exchange(self, question_id: str) -> Json | None:
        """The stored answer to a question, or ``None``."""
        row = self._database.row("SELECT answer FROM exchanges WHERE id = ?", (question_id,))
        return None if row is None else decode(row[0], f"row {question_id} of table exchanges")

    def put_exchange(
        self, run: str, question_id: str, kind: str, question: Json, answer: Json, usage: Json
    ) -> bool:
        """Archives an exchange. The first answer stays: returns false, changing nothing, when there is one."""
        what = f"exchange {question_id}"
        row = (
            question_id,
            run,
            kind,
            encode(question, what),
            encode(answer, what),
            encode(usage, what),
            now(),
        )
        with self._database.transaction() as connection:
            done = connection.execute(
                "INSERT INTO exchanges (id, run, kind, question, answer, usage, at) VALUES (?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (id) DO NOTHING",
                row,
            )
            return done.rowcount == 1

    def exchanges(self, run: str) -> tuple[Exchange, ...]:
        """Everything that a run asked, the oldest first."""
        rows = self._database.rows(
            "SELECT id, run, kind, question, answer, usage, at FROM exchanges WHERE run = ? ORDER BY number",
            (run,),
        )
        return tuple(_exchange(row) for row in rows)


def _exchange(row: Row) -> Exchange:
    number, run, kind, question, answer, usage, at = row
    where = f"row {number} of table exchanges"
    return Exchange(
        number, run, kind, decode(question, where), decode(answer, where), decode(usage, where), at
    )
