"""The embedder that is always there: hashed words, concepts and character n-grams; no model, no download, no key.

Every feature of a text falls, with a sign, on two of 1024 numbers (feature hashing: Weinberger et al. 2009, "Feature
Hashing for Large Scale Multitask Learning"). Places come from blake2b, so that every process and machine agrees.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, Final

from experimenter_memory.embedders.words import concepts, is_common, is_field_word, stem, words

if TYPE_CHECKING:
    import numpy as np

__all__ = ["HashEmbedder"]

SIZE: Final = 1024
WORD, CONCEPT, PAIR, LETTERS, COMMON, NUMBER, FIELD = 1.0, 1.5, 0.1, 0.45, 0.05, 0.3, 0.4
GRAMS: Final = (4, 5)
MOST_WORDS: Final = 2_000


class HashEmbedder:
    """``contracts.Embedder`` by hashing. The version in ``id`` changes with anything that changes a vector."""

    contract: ClassVar[int] = 1
    name: ClassVar[str] = "hash"
    id: str = f"hash-1-{SIZE}"
    size: int = SIZE

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """float32 (n, 1024), each row of length 1; all zeros for a text without a word. Deterministic."""
        import numpy as np

        vectors = np.zeros((len(texts), SIZE), dtype=np.float64)
        for row, text in zip(vectors, texts, strict=True):
            for feature, weight in _features(text).items():
                for place, sign in _places(feature):
                    row[place] += sign * weight
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return (vectors / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)


def _features(text: str) -> dict[str, float]:
    """Each feature's weight; what is said twice counts less than twice."""
    weights: dict[str, float] = {}
    for feature, weight, times in _weighed(words(text)[:MOST_WORDS]):
        weights[feature] = weights.get(feature, 0.0) + weight * (1.0 + math.log(times))
    return weights


def _weighed(told: Sequence[str]) -> Iterator[tuple[str, float, int]]:
    stems = [stem(word) for word in told if not is_common(word)]
    meant: dict[int, list[float]] = {}
    for word, times in Counter(stems).items():
        share = NUMBER if word.isdigit() else FIELD if is_field_word(word) else 1.0
        yield f"w {word}", WORD * share, times
        if not word.isdigit():
            yield from ((gram, weight * share, times) for gram, weight in _letters(word))
        for number in concepts(word):
            meant.setdefault(number, []).extend([share] * times)
    for number, shares in meant.items():
        yield f"c {number}", CONCEPT * max(shares), len(shares)
    for pair, times in Counter(pairwise(stems)).items():
        yield f"p {pair[0]} {pair[1]}", PAIR, times
    for word, times in Counter(word for word in told if is_common(word)).items():
        yield f"f {word}", COMMON, times


@lru_cache(maxsize=65_536)
def _letters(word: str) -> tuple[tuple[str, float], ...]:
    """Character n-grams with the word's ends marked; together they weigh as much as LETTERS, however many."""
    marked = f"<{word[:40]}>"
    grams = [marked[i : i + n] for n in GRAMS for i in range(len(marked) - n + 1)]
    weight = LETTERS / math.sqrt(len(grams)) if grams else 0.0
    return tuple((f"g {gram}", weight) for gram in grams)


@lru_cache(maxsize=262_144)
def _places(feature: str) -> tuple[tuple[int, float], ...]:
    """Two places of SIZE, each with a sign, from one hash."""
    raw = hashlib.blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    halves = (int.from_bytes(raw[:4], "little"), int.from_bytes(raw[4:], "little"))
    return tuple((half % SIZE, 1.0 if half & 0x80000000 else -1.0) for half in halves)
