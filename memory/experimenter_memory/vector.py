"""Finds lessons, skills and methods by meaning, by environment and by evidence: the memory that is the default.

The vectors are rows of the workspace. Whoever owns the index's lock may take candidates from it; everyone else scans.
Both end in the same exact formula (``ranking``), so that the same question gets the same answer in every process.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final, Literal

from experimenter.contracts import VectorStore
from experimenter.records import MemoryItem, MemoryQuery, Recalled
from experimenter_memory.session import Session

__all__ = ["INDEX_FROM", "VectorMemory"]

# A scan was quicker than the index wherever both were measured (docs/memory.md), the first question of a process
# included. But it holds every vector in memory, in each process: from here on, with 1,024 numbers each, that is a
# gigabyte, and whoever owns an index need not hold them.
INDEX_FROM: Final = 250_000


class VectorMemory:
    """``contracts.Memory`` over vectors; keeps what it has read of a workspace, so keep the object too.

    ``index_from`` is the number of vectors from which an index is kept; ``None``: never. It answers while the vectors
    are not in memory: until the first scan of the process.
    """

    contract: ClassVar[int] = 1
    name: ClassVar[str] = "vector"

    def __init__(self, index_from: int | None = INDEX_FROM) -> None:
        self._index_from = index_from
        self._sessions: dict[tuple[Path, str], Session] = {}
        self.last_route: Literal["index", "scan"] = "scan"

    def recall(
        self, query: MemoryQuery, items: Sequence[MemoryItem], store: VectorStore, limit: int
    ) -> tuple[Recalled, ...]:
        """Up to ``limit`` of ``items``, best first. Texts that are new or changed are embedded on the way.

        Raises ExperimenterError when the embedder fails, WorkspaceError when vectors cannot be stored.
        """
        if limit <= 0 or not items:
            return ()
        session = self._session(store)
        found = session.recall(query, items, limit)
        self.last_route = session.last_route
        return found

    def reindex(self, items: Sequence[MemoryItem], store: VectorStore, seconds: float = 120.0) -> int:
        """Drops and makes again every vector of the embedder, then the index, waiting up to ``seconds`` for it.

        Vectors of other embedders go too. Returns how many items it holds.
        """
        return self._session(store).reindex(items, seconds)

    def index_ready(self, store: VectorStore, seconds: float = 60.0) -> bool:
        """Waits up to ``seconds`` for the index; false where it is not used or another process owns it."""
        return self._session(store).index_ready(seconds)

    def close(self) -> None:
        """Ends what was started. Not needed before the process ends."""
        for session in self._sessions.values():
            session.close()
        self._sessions.clear()

    def _session(self, store: VectorStore) -> Session:
        key = (store.root, store.embedder)
        if key not in self._sessions:
            self._sessions[key] = Session(store, self._index_from)
        session = self._sessions[key]
        session.store = store
        return session
