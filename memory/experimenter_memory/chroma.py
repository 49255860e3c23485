"""The index itself: a Chroma collection of distinct vectors, followed by sequence number and audited before use.

Only the embedded client is used, never its server; the collection gets our own vectors, so nothing is downloaded.
A graph search is approximate by nature. Before the index may answer, it must give what an exact scan gives on a set of
questions made from its own content; until it does, its search is widened, and where that is not enough it is not used.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from experimenter.contracts import VectorBlock, VectorStore
from experimenter_memory.audit import audit
from experimenter_memory.folder import discard, open_manifest, write_manifest

if TYPE_CHECKING:
    import numpy as np

__all__ = ["FEW", "ChromaIndex"]

_BATCH: Final = 2_500
_FORMAT: Final = 2
# A quarter more vectors than at the last audit: it is asked again.
_GROWN: Final = 1.25


@dataclass(frozen=True)
class _Graph:
    """How carefully a graph is made, how many records its searches visit at first, and what an audit asks of it."""

    construction: int
    width: int
    questions: int

    def settings(self) -> dict[str, Any]:
        return {
            "space": "cosine",
            "ef_construction": self.construction,
            "max_neighbors": 24,
            "ef_search": self.width,
            "sync_threshold": 5_000,
        }


# So few vectors are all visited at every search: a graph that is made in a third of the time is enough.
FEW: Final = 6_000
_COARSE: Final = _Graph(20, 8_192, 96)
_FINE: Final = _Graph(60, 4_096, 288)


class ChromaIndex:
    """Distinct texts' vectors by text hash. ``seq`` is the last number followed, ``fit`` whether it may answer.

    Up to ``few`` vectors the graph is a coarse one; when more have come, a finer one is made.
    """

    def __init__(self, folder: Path, embedder_id: str, size: int, store: VectorStore, few: int = FEW) -> None:
        self.fit = False
        self._few = few
        self._folder, self._embedder, self._size, self._store = folder, embedder_id, size, store
        self._begin(open_manifest(folder))

    @property
    def name(self) -> str:
        """The collection's name: the embedder's id and the size of its vectors."""
        return re.sub(r"[^a-zA-Z0-9.-]+", "-", f"e-{self._embedder}-{self._size}")[:500].strip("-.")

    def _begin(self, told: dict[str, Any] | None) -> None:
        if not self._fits(told):
            discard(self._folder)
            told = None
        self._client = _client(self._folder)
        few = len(self._store.marks(self._embedder)) <= self._few
        self._collection = self._client.get_or_create_collection(
            self.name,
            embedding_function=None,
            configuration={"hnsw": (_COARSE if few else _FINE).settings()},
        )
        told = told or {}
        self.seq: int = told.get("seq", 0)
        self._skipped: set[str] = set(told.get("skipped", ()))
        self._audited = int(told.get("audited", 0))
        self.fit = bool(told.get("fit", False))
        self._texts: set[str] = set(self._collection.get(include=[])["ids"]) if told else set()
        self._file = self._inode()
        if told and not self._holds_all():
            self._restart()

    def _fits(self, told: dict[str, Any] | None) -> bool:
        mine = {"format": _FORMAT, "embedder": self._embedder, "size": self._size}
        return told is not None and all(told.get(key) == value for key, value in mine.items())

    def _holds_all(self) -> bool:
        """Whether everything that the workspace has up to ``seq`` is here: it may be another file by now."""
        marks = self._store.marks(self._embedder)
        return all(
            m.text_hash in self._texts or m.text_hash in self._skipped for m in marks if m.seq <= self.seq
        )

    def _restart(self) -> None:
        self._client.close()
        self._begin(None)

    def replaced(self) -> bool:
        """Whether the folder was deleted or exchanged since it was opened."""
        return self._inode() != self._file

    def _inode(self) -> int:
        try:
            return (self._folder / "chroma.sqlite3").stat().st_ino
        except OSError:
            return 0

    def advance(self) -> bool:
        """Takes up the next vectors; true while there are more. The last call of a row audits."""
        block = self._store.block(self._embedder, self._size, self.seq, _BATCH)
        if block and self._was_dropped():
            self._restart()
            return True
        if block:
            self._add(block)
            self.seq = block.seq
            return True
        if len(self._texts) > self._few and self._graph() is _COARSE:
            self._restart()
            return True
        if len(self._texts) > self._audited * _GROWN:
            self._audit()
        return False

    def _graph(self) -> _Graph:
        made = self._collection.configuration_json["hnsw"]["ef_construction"]
        return _COARSE if made == _COARSE.construction else _FINE

    def _was_dropped(self) -> bool:
        """Whether most of what is here has left the workspace, as after a reindex."""
        there = {mark.text_hash for mark in self._store.marks(self._embedder) if mark.seq <= self.seq}
        return len(there & self._texts) < len(self._texts) / 2

    def _add(self, block: VectorBlock) -> None:
        fresh: dict[str, int] = {}
        length = (block.vectors**2).sum(axis=1)
        for place, text in enumerate(block.text_hashes):
            if not length[place]:
                self._skipped.add(text)
            elif text not in self._texts:
                fresh[text] = place
        if fresh:
            self._collection.add(ids=list(fresh), embeddings=block.vectors[list(fresh.values())])
            self._texts.update(fresh)

    def _audit(self) -> None:
        """Doubles the width of the search until it agrees with a scan, and once more: the questions are a sample."""
        graph, every = self._graph(), len(self._texts)
        width, self.fit = graph.width, False
        while not self.fit:
            self._widen(width)
            self.fit = audit(self._store, self._embedder, self._size, self.nearest, graph.questions)
            if width >= every:
                break
            width *= 2
        self._widen(width)
        self._audited = every

    def _widen(self, width: int) -> None:
        if self._collection.configuration_json["hnsw"]["ef_search"] == width:
            return
        self._collection.modify(configuration={"hnsw": {"ef_search": width}})
        # An index that is loaded goes on with its old width.
        self._client.close()
        self._client = _client(self._folder)
        self._collection = self._client.get_collection(self.name, embedding_function=None)

    def nearest(self, question: np.ndarray, count: int) -> list[tuple[str, float]]:
        """Up to ``count`` text hashes with their cosines, the nearest first."""
        if not self._texts:
            return []
        found = self._collection.query(
            query_embeddings=[question], n_results=min(count, len(self._texts)), include=["distances"]
        )
        return [(name, 1.0 - far) for name, far in zip(found["ids"][0], found["distances"][0], strict=True)]

    def close(self) -> None:
        """Closes the index and keeps what the next owner needs to trust it."""
        self._client.close()
        if self.replaced():
            return
        facts = {"format": _FORMAT, "embedder": self._embedder, "size": self._size, "seq": self.seq}
        kept = {"skipped": sorted(self._skipped), "audited": self._audited, "fit": self.fit}
        write_manifest(self._folder, facts | kept)


def _client(folder: Path) -> Any:
    import chromadb
    from chromadb.config import Settings

    return chromadb.PersistentClient(str(folder), settings=Settings(anonymized_telemetry=False))
