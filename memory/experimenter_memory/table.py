"""All vectors of one embedder in memory, number by number: what an exact scan reads.

The matrix lies on its side, (size, n): a short question of a hashing embedder is zero in most of its numbers, and what
is multiplied by zero need not be read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from experimenter.contracts import VectorBlock, VectorStore

if TYPE_CHECKING:
    import numpy as np

__all__ = ["VectorTable"]

# So few that a page is still in the processor's cache when it is turned on its side.
_PAGE: Final = 256
_ROOM: Final = 1_024
# Above this share of numbers that are not zero, one product over all of them is quicker.
_SPARSE: Final = 0.4


class VectorTable:
    """A growing float32 matrix with a column by item; brought up to date by reading only what is newer."""

    def __init__(self, embedder_id: str, size: int) -> None:
        import numpy as np

        self.seq = 0
        self._embedder = embedder_id
        self._matrix = np.zeros((size, 0), dtype=np.float32)
        self._columns: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._columns)

    def update(self, store: VectorStore, expected: int = 0) -> None:
        """Reads every vector that is newer than the last one read; damaged ones count as absent.

        ``expected`` is how many there are in all, where it is known: room for them is made at once.
        """
        while block := store.block(self._embedder, len(self._matrix), self.seq, _PAGE):
            self._take(block, expected)
            self.seq = block.seq

    def _take(self, block: VectorBlock, expected: int) -> None:
        known = self._columns
        columns = [known.setdefault(item, len(known)) for item in block.items]
        if columns:
            self._grow(expected)
            first, last = columns[0], columns[-1] + 1
            whole_row = columns == list(range(first, last))
            self._matrix[:, slice(first, last) if whole_row else columns] = block.vectors.T

    def _grow(self, expected: int) -> None:
        import numpy as np

        size, room = self._matrix.shape
        if len(self._columns) > room:
            wanted = max(len(self._columns), expected, int(room * 1.5)) + _ROOM
            larger = np.empty((size, wanted), np.float32)
            larger[:, :room] = self._matrix
            self._matrix = larger

    def columns(self, items: Sequence[str]) -> np.ndarray:
        """The column (m,) of each item, -1 where it has none."""
        import numpy as np

        return np.array([self._columns.get(item, -1) for item in items], dtype=np.int64)

    def rough(self, question: np.ndarray) -> np.ndarray:
        """float32 (n,): the product of every column with ``question`` (size,), right to about 1e-6."""
        import numpy as np

        told = np.flatnonzero(question)
        count = len(self._columns)
        if len(told) > _SPARSE * len(question):
            dense: np.ndarray = question @ self._matrix[:, :count]
            return dense
        total, part = np.zeros(count, np.float32), np.empty(count, np.float32)
        for number in told:
            np.multiply(self._matrix[number, :count], question[number], out=part)
            total += part
        return total

    def vectors(self, columns: np.ndarray) -> np.ndarray:
        """float32 (m, size): the vectors in some columns."""
        import numpy as np

        return np.ascontiguousarray(self._matrix[:, columns].T)
