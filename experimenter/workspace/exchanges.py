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
        """The stored answer to a question, or ``None``, also where there was none for now."""
        row = self._database.row("SELECT answer FROM exchanges WHERE id = ? AND passing = 0", (question_id,))
        return None if row is None else decode(row[0], f"row {question_id} of table exchanges")

    def put_exchange(
        self,
        run: str,
        question_id: str,
        kind: str,
        question: Json,
        answer: Json,
        usage: Json,
        *,
        passing: bool = False,
    ) -> bool:
        """Archives an exchange. The first answer stays: returns false, changing nothing, when there is one.

        Only what was archived as ``passing`` (no answer for now) is replaced by whatever comes later.
        """
        what = f"exchange {question_id}"
        row = (
            question_id,
            run,
            kind,
            encode(question, what),
            encode(answer, what),
            encode(usage, what),
            now(),
            int(passing),
        )
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM exchanges WHERE id = ? AND passing = 1", (question_id,))
            done = connection.execute(
                "INSERT INTO exchanges (id, run, kind, question, answer, usage, at, passing)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (id) DO NOTHING",
                row,
            )
            return done.rowcount == 1

    def asked(self, run: str, kind: str) -> int:
        """How many questions of a kind a run has had answered."""
        row = self._database.row(
            "SELECT COUNT(*) FROM exchanges WHERE run = ? AND kind = ? AND passing = 0", (run, kind)
        )
        return int(row[0]) if row else 0

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
