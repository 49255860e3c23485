"""Whether an index finds what a scan finds: asked of the index itself, on questions made from what it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from experimenter.contracts import VectorStore

if TYPE_CHECKING:
    import numpy as np

__all__ = ["CANDIDATES", "audit"]

# How many candidates an index is asked for at a recall.
CANDIDATES: Final = 300
_TOP: Final = 20
_PAGE: Final = 2_000
_TOLERANCE: Final = 1e-4

Nearest = Callable[["np.ndarray", int], list[tuple[str, float]]]


def audit(store: VectorStore, embedder_id: str, size: int, nearest: Nearest, count: int = 96) -> bool:
    """Whether the best 20 cosines agree with an exact scan, to 1e-4, on each of up to ``count`` questions.

    Only so many are asked for: how far a graph search goes does not depend on it, as long as it is wider than that.
    """
    import numpy as np

    questions = _questions(store, embedder_id, size, count)
    if not len(questions):
        return True
    wanted = _scan(store, embedder_id, size, questions)
    for question, best in zip(questions, wanted, strict=True):
        found = np.array([cosine for _, cosine in nearest(question, _TOP)])
        if len(found) < len(best) or np.abs(found[: len(best)] - best).max(initial=0.0) > _TOLERANCE:
            return False
    return True


def _pages(store: VectorStore, embedder_id: str, size: int) -> Iterator[tuple[Sequence[str], np.ndarray]]:
    """Text hashes (n) and vectors (n, size), without those that are damaged or have no direction."""
    import numpy as np

    after = 0
    while block := store.block(embedder_id, size, after, _PAGE):
        after = block.seq
        kept = np.flatnonzero(block.vectors.any(axis=1))
        yield [block.text_hashes[place] for place in kept], block.vectors[kept]


def _questions(store: VectorStore, embedder_id: str, size: int, count: int) -> np.ndarray:
    """Parts of what is there (a short question: far from everything), and mixtures of two (one that joins themes)."""
    import numpy as np

    rng = np.random.default_rng(0)
    chosen: list[np.ndarray] = []
    for _, some in _pages(store, embedder_id, size):
        chosen += list(some[rng.choice(len(some), min(len(some), count), replace=False)])
    picked = [chosen[i] for i in rng.permutation(len(chosen))[:count]]
    shares = (0.05, 0.1, 0.2, 0.5, 1.0)
    parts = [one * (rng.random(size) < shares[i % len(shares)]) for i, one in enumerate(picked)]
    mixed = [one + other for one, other in zip(picked[1::3], parts[::3], strict=False)]
    made = [*mixed, *parts][:count]
    return np.array([one / np.linalg.norm(one) for one in made if one.any()], dtype=np.float32)


def _scan(store: VectorStore, embedder_id: str, size: int, questions: np.ndarray) -> list[np.ndarray]:
    """The best cosines of each question, over distinct texts, in descending order."""
    import numpy as np

    best = np.full((len(questions), 0), -1.0)
    seen: set[str] = set()
    for texts, vectors in _pages(store, embedder_id, size):
        places = {text: place for place, text in enumerate(texts) if text not in seen}
        seen.update(places)
        fresh = list(places.values())
        if fresh:
            both = np.hstack([best, questions @ vectors[fresh].T])
            best = -np.sort(-both, axis=1)[:, :_TOP]
    return list(best)
