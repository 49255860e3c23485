"""Finds items by their words and their environment, with nothing but SQLite: the plain alternative to vectors.

The index is built in memory from the items that it is given, so it can never be stale and never be damaged.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import ClassVar, Final

from experimenter.contracts import VectorStore
from experimenter.errors import ExperimenterError
from experimenter.records import MemoryItem, MemoryQuery, Recalled
from experimenter_memory.ranking import Shelf

__all__ = ["LexicalMemory"]

WORDS: Final = re.compile(r"[^\W_]+")
MOST_WORDS: Final = 64
_COMMON: Final = frozenset(
    WORDS.findall(
        "a an and are as at be but by for from had has have how i if in into is it its no not of on or so than that "
        "the their then there these they this to was were what when where which while who why will with you"
    )
)
_TABLE: Final = "CREATE VIRTUAL TABLE items USING fts5(text, tokenize='porter unicode61')"
_QUERY: Final = "SELECT rowid, bm25(items) FROM items WHERE items MATCH ?"


class LexicalMemory:
    """``contracts.Memory`` by SQLite FTS5. BM25, as a share of the best item's, stands where a vector has a cosine.

    Items of unrelated environments need a word in common with the question, beyond "the" and its like; related ones
    do not.
    """

    contract: ClassVar[int] = 1
    name: ClassVar[str] = "lexical"

    def recall(
        self, query: MemoryQuery, items: Sequence[MemoryItem], store: VectorStore, limit: int
    ) -> tuple[Recalled, ...]:
        """Up to ``limit`` items, best first. The words may be any text: nothing in them is read as query syntax.

        Raises ExperimenterError when this Python's SQLite was built without FTS5.
        """
        import numpy as np

        if limit <= 0 or not items:
            return ()
        shelf = Shelf(items)
        meaning = np.zeros(len(items))
        for place, rank in _ranks(query.words, items).items():
            meaning[place] = -rank
        meaning /= max(float(meaning.max()), 1e-12)
        return shelf.best(shelf.asked(query), np.arange(len(items)), meaning, limit)

    def reindex(self, items: Sequence[MemoryItem], store: VectorStore) -> int:
        """Nothing is kept, so there is nothing to make anew; returns how many items there are."""
        return len(items)


def _ranks(words: str, items: Sequence[MemoryItem]) -> dict[int, float]:
    """BM25 of every item that shares a word with ``words``: below zero, the smaller the better."""
    told = dict.fromkeys(WORDS.findall(words.lower()))
    terms = [word for word in told if word not in _COMMON][:MOST_WORDS]
    if not terms:
        return {}
    with closing(sqlite3.connect(":memory:")) as index:
        _fill(index, items)
        query = " OR ".join(f'"{term}"' for term in terms)
        return {place: float(rank) for place, rank in index.execute(_QUERY, (query,))}


def _fill(index: sqlite3.Connection, items: Sequence[MemoryItem]) -> None:
    try:
        index.execute(_TABLE)
    except sqlite3.OperationalError as error:
        raise ExperimenterError(
            f"This Python's SQLite has no full-text search ({error}).",
            "Run with --memory off, or use a Python whose SQLite includes FTS5.",
        ) from error
    rows = [(place, item.text) for place, item in enumerate(items)]
    index.executemany("INSERT INTO items(rowid, text) VALUES (?, ?)", rows)
