"""Finished steps, and what each wrote in its one transaction: result, events, spend, documents, journal."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from experimenter.budget import Ledger
from experimenter.errors import WorkspaceError
from experimenter.events import NewEvent
from experimenter.records import Json, Lesson, Skill, Testimony, Trial
from experimenter.workspace.journal import write_lesson, write_skill, write_testimony, write_trial
from experimenter.workspace.log import append
from experimenter.workspace.rows import Part, decode, encode, now, read

__all__ = ["Steps", "add_spend"]


@dataclass(frozen=True, slots=True)
class _Rows:
    """What a step leaves behind, encoded before the transaction begins, so that others wait less."""

    value: str
    spend: str
    documents: tuple[tuple[str, str], ...]
    trial: tuple[str, str] | None
    lesson: tuple[str, str] | None
    skill: tuple[str, str] | None
    testimonies: tuple[tuple[str, str, str], ...]


class Steps(Part):
    """What a run has finished, what it has spent, and its documents."""

    def step(self, step: str) -> Json | None:
        """The stored result of a finished step, or ``None``."""
        row = self._database.row("SELECT value FROM steps WHERE id = ?", (step,))
        return None if row is None else decode(row[0], f"row {step} of table steps")

    def finish_step(
        self,
        run: str,
        step: str,
        kind: str,
        value: Json,
        *,
        events: Sequence[NewEvent] = (),
        spend: Ledger = Ledger(),  # noqa: B008 - frozen
        documents: Mapping[str, Json] | None = None,
        trial: Trial | None = None,
        lesson: Lesson | None = None,
        skill: Skill | None = None,
        testimonies: Sequence[Testimony] = (),
    ) -> bool:
        """Marks a step done, with everything that it leaves behind, in one transaction.

        Returns false, and changes nothing, when the step is done already. An event without a step gets this one.
        Raises WorkspaceError for a ``value`` that is null, as ``step`` answers that for a step that is missing.
        """
        if value is None:
            raise WorkspaceError(f"The result of step {step} is null.", "This is a fault; please report it.")
        rows = _Rows(
            encode(value, f"step {step}"),
            encode(spend, f"spend of step {step}"),
            tuple((name, encode(content, f"document {name}")) for name, content in (documents or {}).items()),
            None if trial is None else (trial.id, encode(trial, f"trial {trial.id}")),
            None if lesson is None else (lesson.id, encode(lesson, f"lesson {lesson.id}")),
            None if skill is None else (skill.name, encode(skill, f"skill {skill.name}")),
            tuple((one.lesson, one.trial, encode(one, f"testimony of {one.trial}")) for one in testimonies),
        )
        with self._database.transaction() as connection:
            if connection.execute("SELECT 1 FROM steps WHERE id = ?", (step,)).fetchone():
                return False
            connection.execute(
                "INSERT INTO steps (id, run, kind, value, spend, at) VALUES (?, ?, ?, ?, ?, ?)",
                (step, run, kind, rows.value, rows.spend, now()),
            )
            add_spend(connection, run, spend)
            append(connection, run, [_of_step(event, step) for event in events])
            _write(connection, run, rows)
        return True

    def spend(self, run: str, delta: Ledger) -> None:
        """Adds to what a run has spent, outside any step."""
        with self._database.transaction() as connection:
            add_spend(connection, run, delta)

    def ledger(self, run: str) -> Ledger:
        """Everything a run has spent so far."""
        row = self._database.row("SELECT value FROM ledgers WHERE run = ?", (run,))
        return Ledger() if row is None else read(Ledger, row[0], f"row {run} of table ledgers")

    def document(self, run: str, name: str) -> Json | None:
        """The newest version of a named document of a run, or ``None``."""
        row = self._database.row("SELECT value FROM documents WHERE run = ? AND name = ?", (run, name))
        return None if row is None else decode(row[0], f"row {run}, {name} of table documents")

    def documents(self, run: str) -> dict[str, Json]:
        """Every document of a run by name."""
        rows = self._database.rows("SELECT name, value FROM documents WHERE run = ? ORDER BY name", (run,))
        return {name: decode(value, f"row {run}, {name} of table documents") for name, value in rows}

    def put_document(self, run: str, name: str, value: Json) -> None:
        """Stores or replaces a document, outside any step."""
        rows = ((name, encode(value, f"document {name}")),)
        with self._database.transaction() as connection:
            _put_documents(connection, run, rows)


def _write(connection: sqlite3.Connection, run: str, rows: _Rows) -> None:
    _put_documents(connection, run, rows.documents)
    if rows.trial:
        write_trial(connection, run, *rows.trial)
    if rows.lesson:
        write_lesson(connection, *rows.lesson)
    if rows.skill:
        write_skill(connection, *rows.skill)
    for testimony in rows.testimonies:
        write_testimony(connection, *testimony)


def _of_step(event: NewEvent, step: str) -> NewEvent:
    return event if event.step else event.model_copy(update={"step": step})


def add_spend(connection: sqlite3.Connection, run: str, delta: Ledger) -> None:
    """Adds to a run's ledger within the transaction that ``connection`` is in."""
    row = connection.execute("SELECT value FROM ledgers WHERE run = ?", (run,)).fetchone()
    before = Ledger() if row is None else read(Ledger, row[0], f"row {run} of table ledgers")
    connection.execute(
        "INSERT INTO ledgers (run, value) VALUES (?, ?) ON CONFLICT (run) DO UPDATE SET value = excluded.value",
        (run, encode(before + delta, f"ledger of {run}")),
    )


def _put_documents(connection: sqlite3.Connection, run: str, rows: Sequence[tuple[str, str]]) -> None:
    connection.executemany(
        "INSERT INTO documents (run, name, value) VALUES (?, ?, ?)"
        " ON CONFLICT (run, name) DO UPDATE SET value = excluded.value",
        [(run, name, value) for name, value in rows],
    )
