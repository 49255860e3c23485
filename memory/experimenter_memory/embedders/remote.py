"""What embedders behind an endpoint share: batches of bounded texts, and a size that only an answer tells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Final

if TYPE_CHECKING:
    import numpy as np

__all__ = ["RemoteEmbedder"]

MOST_CHARACTERS: Final = 8_000


class RemoteEmbedder:
    """The common part of ``contracts.Embedder``; who inherits says how one batch is asked for."""

    contract: ClassVar[int] = 1
    batch: ClassVar[int]
    _size: int = 0

    @property
    def size(self) -> int:
        """Learned from the endpoint's first answer."""
        if not self._size:
            self.embed(["size"])
        return self._size

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """float64 (n, size), in the order of the texts."""
        import numpy as np

        rows: list[list[float]] = []
        for start in range(0, len(texts), self.batch):
            some = texts[start : start + self.batch]
            rows += self._some([text[:MOST_CHARACTERS] or " " for text in some])
        self._size = self._size or (len(rows[0]) if rows else 0)
        return np.array(rows, dtype=np.float64).reshape(len(texts), -1)

    def _some(self, texts: list[str]) -> list[list[float]]:
        """The vectors of one batch, in its order."""
        raise NotImplementedError
