"""Vectors of texts, as rows of the workspace: the truth that any index over them is made from again.

A vector is little-endian float32. ``seq`` only grows, also over deletions, so that a reader who remembers the last
number that it saw can ask for what is newer.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from experimenter.contracts.knowledge import NewVector, StoredVector, VectorBlock, VectorMark
from experimenter.workspace.database import Database
from experimenter.workspace.rows import Part

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Vectors", "WorkspaceVectors"]

_AT_ONCE: Final = 500
_WHOLE: Final = "SELECT seq, item, text_hash, vector FROM vectors WHERE embedder = ?"
_NEXT: Final = f"{_WHOLE} AND seq > ? ORDER BY seq LIMIT ?"


class WorkspaceVectors:
    """``contracts.VectorStore`` over one workspace's database."""

    def __init__(self, database: Database, root: Path, embedder: str) -> None:
        self.root = root
        self.embedder = embedder
        self._database = database

    def marks(self, embedder_id: str, after: int = 0) -> Sequence[VectorMark]:
        """Number, item and text hash of every vector numbered above ``after``, in their order."""
        rows = self._database.rows(
            "SELECT seq, item, text_hash FROM vectors WHERE embedder = ? AND seq > ? ORDER BY seq",
            (embedder_id, after),
        )
        return list(map(VectorMark._make, rows))

    def vectors(self, embedder_id: str, after: int = 0, limit: int | None = None) -> Sequence[StoredVector]:
        """Vectors numbered above ``after``, in their order, at most ``limit``; one that is damaged has size 0."""
        rows = self._database.rows(_NEXT, (embedder_id, after, -1 if limit is None else limit))
        return [_stored(row) for row in rows]

    def block(self, embedder_id: str, size: int, after: int, limit: int) -> VectorBlock | None:
        """The whole vectors of ``size`` numbers among the next ``limit`` rows; ``None`` where no row follows.

        What reads every vector of a large workspace: nothing is done row by row but a look at each length.
        """
        rows = self._database.rows(_NEXT, (embedder_id, after, limit))
        return _block(rows, size) if rows else None

    def vectors_of(self, embedder_id: str, items: Sequence[str]) -> Sequence[StoredVector]:
        """The vectors of some items, in the order of their numbers; items without one are left out."""
        found: list[StoredVector] = []
        for start in range(0, len(items), _AT_ONCE):
            some = items[start : start + _AT_ONCE]
            marks = ",".join("?" * len(some))
            rows = self._database.rows(f"{_WHOLE} AND item IN ({marks})", (embedder_id, *some))
            found += [_stored(row) for row in rows]
        return sorted(found, key=lambda one: one.seq)

    def put_vectors(self, embedder_id: str, rows: Sequence[NewVector]) -> None:
        """Stores vectors in one transaction; a row whose item is there already replaces it, with a new number."""
        encoded = [(embedder_id, row.item, row.text_hash, _bytes(row.vector)) for row in rows]
        with self._database.transaction() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO vectors (embedder, item, text_hash, vector) VALUES (?, ?, ?, ?)",
                encoded,
            )

    def drop_vectors(self, embedder_id: str | None = None, items: Sequence[str] = ()) -> None:
        """Forgets an embedder's vectors, or those of some items (of every embedder, where ``None``).

        With neither, every vector is forgotten.
        """
        where, values = ("1", ()) if embedder_id is None else ("embedder = ?", (embedder_id,))
        with self._database.transaction() as connection:
            if not items:
                connection.execute(f"DELETE FROM vectors WHERE {where}", values)
            for item in items:
                connection.execute(f"DELETE FROM vectors WHERE {where} AND item = ?", (*values, item))


class Vectors(Part):
    """The workspace's vectors, through a store that knows the embedder that the settings name."""

    root: Path

    def vector_store(self, embedder: str) -> WorkspaceVectors:
        """Where a memory keeps its vectors; ``embedder`` is the setting of that name."""
        return WorkspaceVectors(self._database, self.root, embedder)


def _bytes(vector: np.ndarray) -> bytes:
    import numpy as np

    return np.ascontiguousarray(vector, dtype="<f4").tobytes()


def _stored(row: tuple[Any, ...]) -> StoredVector:
    import numpy as np

    seq, item, text_hash, blob = row
    whole = isinstance(blob, bytes) and len(blob) % 4 == 0
    vector = np.frombuffer(blob if whole else b"", dtype="<f4")
    return StoredVector(seq, item, text_hash, vector if np.isfinite(vector).all() else vector[:0])


def _block(rows: list[tuple[Any, ...]], size: int) -> VectorBlock:
    import numpy as np

    whole = [row for row in rows if isinstance(row[3], bytes) and len(row[3]) == 4 * size]
    vectors = np.frombuffer(b"".join([row[3] for row in whole]), dtype="<f4").reshape(-1, size)
    with np.errstate(all="ignore"):
        every = np.isfinite(np.vdot(vectors, vectors))
    if not every:
        finite = np.isfinite(vectors).all(axis=1)
        whole, vectors = [row for row, good in zip(whole, finite, strict=True) if good], vectors[finite]
    return VectorBlock(rows[-1][0], tuple(r[1] for r in whole), tuple(r[2] for r in whole), vectors)
