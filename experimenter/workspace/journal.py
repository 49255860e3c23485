"""The journal: trials of every run, and the lessons and skills that outlive them."""

from __future__ import annotations

import sqlite3

from experimenter.errors import NotFound, did_you_mean
from experimenter.records import Lesson, Skill, Testimony, Trial
from experimenter.workspace.database import Row
from experimenter.workspace.records import FoundTrial
from experimenter.workspace.rows import read
from experimenter.workspace.runs import Runs

__all__ = ["Journal", "write_lesson", "write_skill", "write_testimony", "write_trial"]


def write_trial(connection: sqlite3.Connection, run: str, trial: str, value: str) -> None:
    """Stores a trial, or its newer version, as JSON."""
    connection.execute(
        "INSERT INTO trials (run, id, value) VALUES (?, ?, ?)"
        " ON CONFLICT (run, id) DO UPDATE SET value = excluded.value",
        (run, trial, value),
    )


def write_lesson(connection: sqlite3.Connection, lesson: str, value: str) -> None:
    """Stores a lesson, or its newer version, as JSON; its place in the order stays."""
    connection.execute(
        "INSERT INTO lessons (id, value) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET value = excluded.value",
        (lesson, value),
    )


def write_skill(connection: sqlite3.Connection, skill: str, value: str) -> None:
    """Stores a skill, or its newer version, as JSON; its place in the order stays."""
    connection.execute(
        "INSERT INTO skills (name, value) VALUES (?, ?)"
        " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (skill, value),
    )


def write_testimony(connection: sqlite3.Connection, lesson: str, trial: str, value: str) -> None:
    """Stores what a trial says about a lesson, or its newer version; a trial testifies once about a lesson."""
    connection.execute(
        "INSERT INTO testimonies (lesson, trial, value) VALUES (?, ?, ?)"
        " ON CONFLICT (lesson, trial) DO UPDATE SET value = excluded.value",
        (lesson, trial, value),
    )


class Journal(Runs):
    """Trials by run; lessons and skills by workspace, all in the order in which they were first written."""

    def trials(self, run: str) -> tuple[Trial, ...]:
        """A run's trials, the oldest first."""
        rows = self._database.rows("SELECT run, id, value FROM trials WHERE run = ? ORDER BY number", (run,))
        return tuple(_trial(row) for row in rows)

    def trial(self, run: str, trial: str) -> Trial:
        """One trial of a run. Raises NotFound."""
        row = self._database.row("SELECT run, id, value FROM trials WHERE run = ? AND id = ?", (run, trial))
        if row is None:
            known = [found[0] for found in self._database.rows("SELECT id FROM trials WHERE run = ?", (run,))]
            hint = did_you_mean(trial, known) or f"It has {', '.join(known[:10]) or 'none yet'}."
            raise NotFound(f"The run {run} has no trial {trial}.", hint)
        return _trial(row)

    def find_trial(self, words: str) -> Trial:
        """The trial meant by ``RUN/TRIAL`` (RUN as in ``run``) or by an id that only one run has. Raises NotFound."""
        return self.locate_trial(words).trial

    def locate_trial(self, words: str) -> FoundTrial:
        """As ``find_trial``, together with the run's name. Raises NotFound."""
        run, slash, trial = words.rpartition("/")
        if slash:
            name = self.run(run).id
            return FoundTrial(name, self.trial(name, trial))
        rows = self._database.rows("SELECT run, id, value FROM trials WHERE id = ? ORDER BY number", (words,))
        if len(rows) > 1:
            some = ", ".join(f"{row[0]}/{row[1]}" for row in rows[-5:])
            raise NotFound(f"{len(rows)} runs have a trial {words}.", f"Which of {some}?")
        if not rows:
            raise self._no_trial(words)
        return FoundTrial(rows[0][0], _trial(rows[0]))

    def lessons(self) -> tuple[Lesson, ...]:
        """Every lesson of the workspace, the oldest first."""
        rows = self._database.rows("SELECT id, value FROM lessons ORDER BY number")
        return tuple(read(Lesson, value, f"row {lesson} of table lessons") for lesson, value in rows)

    def skills(self) -> tuple[Skill, ...]:
        """Every skill of the workspace, the oldest first."""
        rows = self._database.rows("SELECT name, value FROM skills ORDER BY number")
        return tuple(read(Skill, value, f"row {name} of table skills") for name, value in rows)

    def testimonies(self) -> tuple[Testimony, ...]:
        """What later trials said about lessons, the oldest first."""
        rows = self._database.rows("SELECT lesson, trial, value FROM testimonies ORDER BY number")
        return tuple(
            read(Testimony, value, f"row {lesson}, {trial} of table testimonies")
            for lesson, trial, value in rows
        )

    def _no_trial(self, words: str) -> NotFound:
        rows = self._database.rows("SELECT DISTINCT id FROM trials ORDER BY id")
        hint = (
            did_you_mean(words, [row[0] for row in rows]) or "See a run's trials with: experimenter show RUN."
        )
        return NotFound(f"There is no trial {words}.", hint)


def _trial(row: Row) -> Trial:
    run, trial, value = row
    return read(Trial, value, f"row {run}, {trial} of table trials")
