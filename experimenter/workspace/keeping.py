"""What a person does with lessons and skills outside any run: bring in, take out."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from experimenter.errors import NotFound, UsageError, did_you_mean
from experimenter.records import Lesson, Skill, Testimony
from experimenter.workspace.journal import Journal, write_lesson, write_skill, write_testimony
from experimenter.workspace.rows import encode, read

__all__ = ["Keeping"]


class Keeping(Journal):
    """Lessons and skills that come and go by a person's wish, each change in one transaction."""

    def add_lesson(self, lesson: Lesson, testimonies: Sequence[Testimony] = ()) -> bool:
        """Stores a lesson with what was testified about it; false when exactly that was there already."""
        return self.add_lessons((lesson,), testimonies) > 0

    def add_lessons(self, lessons: Sequence[Lesson], testimonies: Sequence[Testimony] = ()) -> int:
        """Stores lessons and testimonies, all or none, and returns how many of them were new.

        Raises UsageError, changing nothing, when one is known by the same id with another content: evidence is not
        overwritten, and not merged.
        """
        new_lessons = [(one.id, encode(one, f"lesson {one.id}")) for one in lessons]
        new_testimonies = [
            (one.lesson, one.trial, encode(one, f"testimony of {one.trial}")) for one in testimonies
        ]
        with self._database.transaction() as connection:
            fresh = [row for row in new_lessons if _is_new_lesson(connection, *row)]
            told = [row for row in new_testimonies if _is_new_testimony(connection, *row)]
            for lesson in fresh:
                write_lesson(connection, *lesson)
            for testimony in told:
                write_testimony(connection, *testimony)
        return len(fresh) + len(told)

    def forget_lesson(self, lesson: str) -> None:
        """Removes a lesson with its testimonies and its vectors. Raises NotFound (with did-you-mean)."""
        with self._database.transaction() as connection:
            _remove(connection, "lessons", "id", lesson, "lesson")
            connection.execute("DELETE FROM testimonies WHERE lesson = ?", (lesson,))
            connection.execute("DELETE FROM vectors WHERE item = ?", (f"lesson:{lesson}",))

    def put_skill(self, skill: Skill) -> None:
        """Stores a skill's record, or its newer certificate; the folder is the library's."""
        value = encode(skill, f"skill {skill.name}")
        with self._database.transaction() as connection:
            write_skill(connection, skill.name, value)

    def forget_skill(self, name: str) -> None:
        """Removes a skill's record with its vectors; its folder is the library's. Raises NotFound."""
        with self._database.transaction() as connection:
            _remove(connection, "skills", "name", name, "skill")
            connection.execute("DELETE FROM vectors WHERE item = ?", (f"skill:{name}",))


def _is_new_lesson(connection: sqlite3.Connection, lesson: str, value: str) -> bool:
    row = connection.execute("SELECT value FROM lessons WHERE id = ?", (lesson,)).fetchone()
    if row is None:
        return True
    # An older release's row lacks newer fields: what it means is compared, and not how it is written.
    if encode(read(Lesson, row[0], f"row {lesson} of table lessons"), f"lesson {lesson}") != value:
        raise _differs(f"lesson {lesson}")
    return False


def _is_new_testimony(connection: sqlite3.Connection, lesson: str, trial: str, value: str) -> bool:
    row = connection.execute(
        "SELECT value FROM testimonies WHERE lesson = ? AND trial = ?", (lesson, trial)
    ).fetchone()
    if row is None:
        return True
    if encode(read(Testimony, row[0], f"row {lesson}, {trial} of table testimonies"), trial) != value:
        raise _differs(f"testimony of {trial} about lesson {lesson}")
    return False


def _differs(what: str) -> UsageError:
    return UsageError(
        f"Another {what} is known here already.",
        "Nothing was changed. Forget the old one first, with: experimenter memory forget ID.",
    )


def _remove(connection: sqlite3.Connection, table: str, column: str, name: str, kind: str) -> None:
    if connection.execute(f"DELETE FROM {table} WHERE {column} = ?", (name,)).rowcount:
        return
    known = [row[0] for row in connection.execute(f"SELECT {column} FROM {table}")]
    hint = did_you_mean(name, known) or "See all of them with: experimenter memory list."
    raise NotFound(f"There is no {kind} {name}.", hint)
