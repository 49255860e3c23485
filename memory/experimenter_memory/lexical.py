"""Finds lessons by their words and their environment, with nothing but SQLite: the memory that always works.

The index is built in memory from the lessons that it is given, so it can never be stale and never be damaged.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import ClassVar, Final

from experimenter.errors import ExperimenterError
from experimenter.records import Lesson

__all__ = ["LexicalMemory", "similarity"]

WORDS: Final = re.compile(r"[^\W_]+")
MOST_WORDS: Final = 64
_COMMON: Final = frozenset(
    WORDS.findall(
        "a an and are as at be but by for from had has have how i if in into is it its no not of on or so than that "
        "the their then there these they this to was were what when where which while who why will with you"
    )
)
_VERSION: Final = re.compile(r"v\d+")
_TABLE: Final = "CREATE VIRTUAL TABLE lessons USING fts5(sentence, environment, tokenize='porter unicode61')"
_QUERY: Final = "SELECT rowid, bm25(lessons, 1.0, 0.5) FROM lessons WHERE lessons MATCH ?"


class LexicalMemory:
    """``contracts.Memory`` by SQLite FTS5: lessons of the same environment first, then of its family, then others.

    Within each of these groups the order is BM25's, and at equal rank the later lesson comes first. Lessons of
    unrelated environments need a word in common with the question, beyond "the" and its like; related ones do not.
    """

    contract: ClassVar[int] = 1
    name: ClassVar[str] = "lexical"

    def recall(
        self, words: str, environment: str, lessons: Sequence[Lesson], limit: int
    ) -> tuple[Lesson, ...]:
        """Up to ``limit`` lessons, best first. ``words`` may be any text: nothing in it is read as query syntax.

        Raises ExperimenterError when this Python's SQLite was built without FTS5.
        """
        if limit <= 0 or not lessons:
            return ()
        ranks = _ranks(words, lessons)
        scored = [
            (-similarity(lesson.environment, environment), ranks.get(place, 0.0), -place)
            for place, lesson in enumerate(lessons)
        ]
        found = [lessons[-place] for near, rank, place in sorted(scored) if near < 0 or rank < 0]
        return tuple(found[:limit])


def similarity(one: str, other: str) -> int:
    """3 for the same environment id, 2 for another version of it, 1 for the same family prefix, else 0."""
    if one == other:
        return 3
    ones, others = _parts(one), _parts(other)
    if ones == others:
        return 2
    return int(bool(ones and others) and ones[0] == others[0])


def _parts(environment: str) -> list[str]:
    """``module:Family-Task-v1`` as ``[family, task]``."""
    parts = environment.rpartition(":")[2].lower().split("-")
    return parts[:-1] if len(parts) > 1 and _VERSION.fullmatch(parts[-1]) else parts


def _ranks(words: str, lessons: Sequence[Lesson]) -> dict[int, float]:
    """BM25 of every lesson that shares a word with ``words``: below zero, the smaller the better."""
    told = dict.fromkeys(WORDS.findall(words.lower()))
    terms = [word for word in told if word not in _COMMON][:MOST_WORDS]
    if not terms:
        return {}
    with closing(sqlite3.connect(":memory:")) as index:
        _fill(index, lessons)
        query = " OR ".join(f'"{term}"' for term in terms)
        return {place: float(rank) for place, rank in index.execute(_QUERY, (query,))}


def _fill(index: sqlite3.Connection, lessons: Sequence[Lesson]) -> None:
    try:
        index.execute(_TABLE)
    except sqlite3.OperationalError as error:
        raise ExperimenterError(
            f"This Python's SQLite has no full-text search ({error}).",
            "Run with --memory off, or use a Python whose SQLite includes FTS5.",
        ) from error
    rows = [(place, lesson.sentence, lesson.environment) for place, lesson in enumerate(lessons)]
    index.executemany("INSERT INTO lessons(rowid, sentence, environment) VALUES (?, ?, ?)", rows)
