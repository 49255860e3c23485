"""What finds and keeps knowledge: memories with their vectors, embedders, and skill libraries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, runtime_checkable

from experimenter.records import (
    MemoryItem,
    MemoryQuery,
    Recalled,
    Skill,
)

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class NewVector:
    """``vector`` is float32 (size,), of length 1; ``text_hash`` is the digest of the text that it was made from."""

    item: str
    text_hash: str
    vector: np.ndarray


@dataclass(frozen=True, slots=True)
class StoredVector:
    seq: int
    item: str
    text_hash: str
    vector: np.ndarray


@dataclass(frozen=True, slots=True)
class VectorBlock:
    """Many stored vectors at once: ``vectors`` is float32 (n, size), row by row of ``items`` and ``text_hashes``.

    ``seq`` is the number of the last row that was read, damaged ones included: these are left out of the block.
    """

    seq: int
    items: tuple[str, ...]
    text_hashes: tuple[str, ...]
    vectors: np.ndarray


class VectorMark(NamedTuple):
    """A stored vector without the vector: enough to know whether it still belongs to its item's text."""

    seq: int
    item: str
    text_hash: str


class VectorStore(Protocol):
    """Where a memory keeps its vectors: rows of the workspace's SQLite, numbered in the order of their writing.

    ``root`` is the workspace's folder (an index may live below it and be deleted at any time); ``embedder`` is the
    name that the settings give. ``embedder_id`` names the version of an embedder whose vectors are meant.
    """

    root: Path
    embedder: str

    def marks(self, embedder_id: str, after: int = 0) -> Sequence[VectorMark]:
        """What is stored of that embedder above the sequence number ``after``, in order, without the vectors."""
        ...

    def vectors(self, embedder_id: str, after: int = 0, limit: int | None = None) -> Sequence[StoredVector]:
        """The vectors of that embedder with a sequence number above ``after``, in their order, at most ``limit``.

        A damaged one has size 0: its text is embedded again.
        """
        ...

    def block(self, embedder_id: str, size: int, after: int, limit: int) -> VectorBlock | None:
        """The whole vectors of ``size`` numbers among the next ``limit`` rows; ``None`` where no row follows."""
        ...

    def vectors_of(self, embedder_id: str, items: Sequence[str]) -> Sequence[StoredVector]:
        """The vectors of some items; those without one are left out."""
        ...

    def put_vectors(self, embedder_id: str, rows: Sequence[NewVector]) -> None:
        """Stores vectors in one transaction; a row whose item is there already replaces it, with a new number."""
        ...

    def drop_vectors(self, embedder_id: str | None = None, items: Sequence[str] = ()) -> None:
        """Forgets an embedder's vectors, or those of some items (of every embedder, where ``None``)."""
        ...


@runtime_checkable
class Memory(Protocol):
    """Finds lessons, skills and methods by meaning. The truth stays in the workspace; a memory is an index over it."""

    contract: ClassVar[int]
    name: ClassVar[str]

    def recall(
        self, query: MemoryQuery, items: Sequence[MemoryItem], store: VectorStore, limit: int
    ) -> tuple[Recalled, ...]:
        """Up to ``limit`` of ``items``, best first; the same whatever process asks, index or no index."""
        ...

    def reindex(self, items: Sequence[MemoryItem], store: VectorStore) -> int:
        """Makes every vector and the index anew from the texts; returns how many items it holds."""
        ...


class Embedder(Protocol):
    """Turns texts into vectors of ``size`` numbers; ``id`` names the version."""

    contract: ClassVar[int]
    id: str
    size: int

    def embed(self, texts: Sequence[str]) -> Any: ...


@runtime_checkable
class SkillLibrary(Protocol):
    """Keeps certified policies as folders under the workspace's ``skills/``."""

    contract: ClassVar[int]
    name: ClassVar[str]

    def keep(self, skill: Skill, policy_folder: Path, root: Path) -> Path: ...

    def load(self, name: str, root: Path) -> tuple[Skill, Path]: ...

    def names(self, root: Path) -> tuple[str, ...]: ...

    def replace(self, skill: Skill, root: Path) -> Path:
        """Writes a newer certificate for the policy that is kept already."""
        ...

    def remove(self, name: str, root: Path) -> None: ...

    def pack(self, name: str, root: Path, destination: Path) -> Path:
        """Copies a skill out, as a folder or, by the ending ``.zip``, as one file; returns what was written."""
        ...

    def unpack(self, source: Path, root: Path, name: str | None = None) -> Skill:
        """Takes in what ``pack`` wrote somewhere else, believing nothing of it but what can be verified."""
        ...

    def convert(self, name: str, root: Path, form: str, destination: Path, seen: Any) -> dict[str, Any]:
        """Writes the policy as ``onnx`` or ``torchscript`` after checking it on ``seen``, a batch of observations."""
        ...
