"""One workspace and one embedder, as a memory knows them: what is embedded, what is loaded, and two ways to search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Literal

from experimenter.contracts import NewVector, VectorStore
from experimenter.identity import digest
from experimenter.records import MemoryItem, MemoryQuery, Recalled
from experimenter_memory.audit import CANDIDATES
from experimenter_memory.embedding import embed, load_embedder
from experimenter_memory.folder import FOLDER, was_closed
from experimenter_memory.owner import IndexProcess
from experimenter_memory.ranking import FLOOR, Asked, Shelf, exact_meaning, joined
from experimenter_memory.table import VectorTable

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Session"]

_AT_ONCE: Final = 256
# float32 sums of a scan differ from the exact ones by less than this.
_SLACK: Final = 1e-4
_MOST_FETCHED: Final = 2_000
_PATIENCE: Final = 3.0
_MOST_REMEMBERED: Final = 100_000


class Session:
    """Everything here is a cache over the store and can be lost at any time."""

    def __init__(self, store: VectorStore, index_from: int | None) -> None:
        self.store = store
        self.embedder = load_embedder(store.embedder)
        self.last_route: Literal["index", "scan"] = "scan"
        self._index_from = index_from
        self._index: IndexProcess | None = None
        self._forget()

    def _forget(self) -> None:
        self._seq = 0
        self._known: dict[str, str] = {}
        self._table = VectorTable(self.embedder.id, self.embedder.size)
        self._shelf = Shelf(())
        self._hashes: dict[str, str] = {}
        self._places: dict[str, list[int]] | None = None
        self._checked: tuple[int, int] | None = None
        self._columns: tuple[tuple[int, int], np.ndarray] | None = None

    def recall(self, query: MemoryQuery, items: Sequence[MemoryItem], limit: int) -> tuple[Recalled, ...]:
        """See ``VectorMemory.recall``."""
        shelf = self._laid_out(items)
        self._embed_missing(shelf)
        asked = shelf.asked(query)
        question = embed(self.embedder, [query.words])[0]
        found = None
        if question.any() and self._index_is_quicker():
            found = self._by_index(shelf, asked, question, limit)
        self.last_route = "scan" if found is None else "index"
        return self._by_scan(shelf, asked, question, limit) if found is None else found

    def _laid_out(self, items: Sequence[MemoryItem]) -> Shelf:
        """A tuple cannot have changed since it was last seen; anything else is laid out anew."""
        if items is not self._shelf.items:
            self._shelf = Shelf(items)
            texts = [item.text for item in self._shelf.items]
            if len(self._hashes) > 4 * len(texts) + _MOST_REMEMBERED:
                self._hashes = {}
            self._hashes.update((text, digest(text)) for text in texts if text not in self._hashes)
            self._checked = self._columns = self._places = None
        return self._shelf

    def _embed_missing(self, shelf: Shelf) -> None:
        """Embeds what has no vector, or one of another text, and stores it."""
        self._read_marks()
        if self._checked == (id(shelf), self._seq):
            return
        wanted = {item.id: item.text for item in shelf.items}
        missing = [
            (item, text) for item, text in wanted.items() if self._known.get(item) != self._hashes[text]
        ]
        for start in range(0, len(missing), _AT_ONCE):
            self._put(missing[start : start + _AT_ONCE])
        self._read_marks()
        self._checked = (id(shelf), self._seq)

    def _put(self, some: Sequence[tuple[str, str]]) -> None:
        vectors = embed(self.embedder, [text for _, text in some])
        rows = [NewVector(item, self._hashes[text], v) for (item, text), v in zip(some, vectors, strict=True)]
        self.store.put_vectors(self.embedder.id, rows)

    def _read_marks(self) -> None:
        if marks := self.store.marks(self.embedder.id, self._seq):
            self._known.update((item, text_hash) for _, item, text_hash in marks)
            self._seq = marks[-1].seq

    def _by_scan(self, shelf: Shelf, asked: Asked, question: np.ndarray, limit: int) -> tuple[Recalled, ...]:
        import numpy as np

        if not question.any():
            return shelf.best(asked, np.arange(len(shelf.items)), np.zeros(len(shelf.items)), limit)
        columns = self._stand(shelf)
        rough = self._table.rough(question)[columns]
        sure = joined(rough, asked, floor=FLOOR + _SLACK)
        least = np.partition(sure, -limit)[-limit] if limit < len(sure) else 0.0
        could = joined(rough, asked, floor=FLOOR - _SLACK)
        places = np.flatnonzero((could > 0) & (could >= least - _SLACK))
        return shelf.best(asked, places, exact_meaning(self._table.vectors(columns[places]), question), limit)

    def _stand(self, shelf: Shelf) -> np.ndarray:
        """Where each item's vector stands in the table; what was damaged in the store is embedded again."""
        self._table.update(self.store, len(self._known))
        if self._columns is None or self._columns[0] != (id(shelf), len(self._table)):
            names = [item.id for item in shelf.items]
            columns = self._table.columns(names)
            if (columns < 0).any():
                lost = {name for name, column in zip(names, columns, strict=True) if column < 0}
                self._put([(item.id, item.text) for item in shelf.items if item.id in lost])
                self._table.update(self.store)
                columns = self._table.columns(names)
            self._columns = ((id(shelf), len(self._table)), columns)
        return self._columns[1]

    def _index_is_quicker(self) -> bool:
        """Only as long as the vectors are not in memory, which a scan reads first: then the scan is quicker.

        Where an index was left in good order, waiting a moment for it takes less than reading every vector.
        """
        if self._table.seq:
            return False
        left_in_order = was_closed(self.store.root / FOLDER)
        if self._index_answers():
            return True
        return self._index is not None and left_in_order and self._index.settled(self._seq, _PATIENCE)

    def _index_answers(self) -> bool:
        if self._index_from is None or len(self._known) < self._index_from:
            return False
        if self._index is None:
            self._index = IndexProcess(self.store.root, self.embedder.id, self.embedder.size)
        self._index.poll()
        return self._index.covers(self._seq)

    def _by_index(
        self, shelf: Shelf, asked: Asked, question: np.ndarray, limit: int
    ) -> tuple[Recalled, ...] | None:
        """The same answer from candidates: every item that could still be among the best is looked at exactly.

        An item that the index left out means at most what its last candidate means. Whoever would, with that, reach
        the worst of the best so far is fetched as well; when those are too many, a scan is cheaper (``None``).
        """
        import numpy as np

        near = self._index.nearest(question, CANDIDATES) if self._index else None
        if near is None:
            return None
        standing = self._by_text(shelf)
        places = np.array([p for text, _ in near for p in standing.get(text, ())], dtype=np.int64)
        first = self._exact(shelf, places, question)
        if first is None:
            return None
        scores = np.sort(joined(first, asked, places))[::-1]
        least = scores[limit - 1] if len(scores) >= limit else 0.0
        ceiling = max(0.0, near[-1][1]) + _SLACK if len(near) == CANDIDATES else 0.0
        could = joined(ceiling, asked) >= max(least - _SLACK, 1e-9)
        could[places] = False
        more = np.flatnonzero(could)
        second = self._exact(shelf, more, question) if len(more) <= _MOST_FETCHED else None
        if second is None:
            return None
        return shelf.best(asked, np.concatenate([places, more]), np.concatenate([first, second]), limit)

    def _by_text(self, shelf: Shelf) -> dict[str, list[int]]:
        """Where the items of each text hash stand on the shelf; only an index asks by text."""
        if self._places is None:
            self._places = {}
            for place, item in enumerate(shelf.items):
                self._places.setdefault(self._hashes[item.text], []).append(place)
        return self._places

    def _exact(self, shelf: Shelf, places: np.ndarray, question: np.ndarray) -> np.ndarray | None:
        """Exact meanings (m,) of some items, read from the store; ``None`` when one of them has no whole vector."""
        import numpy as np

        names = [shelf.items[place].id for place in places]
        found = {one.item: one.vector for one in self.store.vectors_of(self.embedder.id, names)}
        vectors = [found.get(name) for name in names]
        if any(vector is None or vector.shape != question.shape for vector in vectors):
            return None
        return exact_meaning(np.array(vectors, dtype=np.float32).reshape(-1, len(question)), question)

    def reindex(self, items: Sequence[MemoryItem], seconds: float) -> int:
        """See ``VectorMemory.reindex``."""
        self.store.drop_vectors()
        self._forget()
        self._embed_missing(self._laid_out(items))
        if self._index is not None:
            self._index.close()
            self._index = None
        self.index_ready(seconds)
        return len(self._known)

    def index_ready(self, seconds: float) -> bool:
        """Waits for the index, where there is to be one."""
        self._read_marks()
        self._index_answers()
        return self._index is not None and self._index.settled(self._seq, seconds)

    def close(self) -> None:
        """Ends the index's process, if any."""
        if self._index is not None:
            self._index.close()
            self._index = None
