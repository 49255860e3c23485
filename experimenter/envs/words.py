"""Text as a fixed row of zeros and ones, so that everything behind an environment's border sees numbers only.

Where all sentences of an environment are known, each word that may be missing has an input of its own, and each place
where a word may stand has one more where there are several. Any other text is hashed (Weinberger and others, 2009):
each word switches on two of 256 inputs, and each pair of words one or two apart one of 256 more, for their order.
Words are runs of letters, digits and underscores in lower case; of very long text only the beginning is read.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from experimenter.records import Json

__all__ = ["MAX_CHARACTERS", "MAX_WORDS", "HashedWords", "KnownWords", "Reading", "Words", "split"]

MAX_CHARACTERS: Final = 2_000
MAX_WORDS: Final = 64
_VERSION: Final = 1
_REMEMBERED: Final = 1_024
_WORD: Final = re.compile(r"\w+")
_APART: Final = (1, 2)


def split(text: str) -> tuple[str, ...]:
    """The words of a text: at most 64, out of its first 2,000 characters."""
    return tuple(_WORD.findall(text[:MAX_CHARACTERS].lower())[:MAX_WORDS])


class Reading(Protocol):
    """One way to turn words into inputs."""

    @property
    def size(self) -> int: ...

    @property
    def described(self) -> str: ...

    def switched_on(self, words: Sequence[str]) -> Iterable[int]: ...

    def to_json(self) -> dict[str, Json]: ...


@dataclass(frozen=True, slots=True)
class KnownWords:
    """Inputs for the words of a known set of sentences, then for ``places``: a position and the word that is there."""

    words: tuple[str, ...]
    places: tuple[tuple[int, str], ...]

    @classmethod
    def of(cls, sentences: Iterable[str]) -> KnownWords:
        """What tells these sentences apart; of size 0 when nothing does."""
        lists = {split(sentence) for sentence in sentences}
        standing = {(at, word) for words in lists for at, word in enumerate(words)}
        words = sorted({word for _, word in standing})
        homes = {word: sum(other == word for _, other in standing) for word in words}
        told = tuple(word for word in words if not all(word in one for one in lists))
        moving = (place for place in sorted(standing) if homes[place[1]] > 1)
        return cls(told, tuple(place for place in moving if not all(_stands(place, one) for one in lists)))

    @property
    def size(self) -> int:
        return len(self.words) + len(self.places)

    @property
    def described(self) -> str:
        asked = "whether and where" if self.places else "whether"
        return f"{asked} it says {', '.join(sorted({*self.words, *(word for _, word in self.places)}))}"

    def switched_on(self, words: Sequence[str]) -> Iterator[int]:
        yield from (index for index, word in enumerate(self.words) if word in words)
        first = len(self.words)
        yield from (first + index for index, place in enumerate(self.places) if _stands(place, words))

    def to_json(self) -> dict[str, Json]:
        return {"words": list(self.words), "places": [list(place) for place in self.places]}


@dataclass(frozen=True, slots=True)
class HashedWords:
    """Inputs for any words: ``buckets`` for single ones, ``pairs`` for two that stand close to each other."""

    buckets: int = 256
    pairs: int = 256

    @property
    def size(self) -> int:
        return self.buckets + self.pairs

    @property
    def described(self) -> str:
        return "its words and their order, hashed"

    def switched_on(self, words: Sequence[str]) -> Iterator[int]:
        for word in words:
            number = _hash(word)
            yield number % self.buckets
            yield (number >> 32) % self.buckets
        for apart in _APART:
            for before, after in zip(words, words[apart:], strict=False):
                yield self.buckets + _hash(f"{apart} {before} {after}") % self.pairs

    def to_json(self) -> dict[str, Json]:
        return {"buckets": self.buckets, "pairs": self.pairs}


class Words(spaces.MultiBinary):
    """The space of texts as they are read: rows of ``reading.size`` zeros and ones."""

    def __init__(self, reading: Reading) -> None:
        super().__init__(reading.size)
        self.reading = reading
        self._known: dict[str, NDArray[np.int8]] = {}

    def read(self, text: object) -> NDArray[np.int8]:
        """The text's row, int8 (size,), not to be written into. Raises TypeError for what is no text."""
        if not isinstance(text, str):
            raise TypeError(f"{type(text).__name__} is not text")
        beginning = text[:MAX_CHARACTERS]
        row = self._known.get(beginning)
        return self._new(beginning) if row is None else row

    def rows(self, texts: Iterable[object]) -> NDArray[np.int8]:
        """A fresh batch int8 (n, size). Raises TypeError for what is no text."""
        return np.stack([self.read(text) for text in texts])

    def _new(self, text: str) -> NDArray[np.int8]:
        row = np.zeros(self.reading.size, dtype=np.int8)
        row[list(self.reading.switched_on(split(text)))] = 1
        row.setflags(write=False)
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[text] = row
        return row

    def to_json(self) -> dict[str, Json]:
        return {"type": "Words", "v": _VERSION, **self.reading.to_json()}

    @classmethod
    def from_json(cls, json: Any) -> Words:
        """The inverse of ``to_json``. Raises ValueError for a version that this release does not know."""
        if json["v"] != _VERSION:
            raise ValueError(f"text is read in way {json['v']}, and this release knows way {_VERSION}")
        if "words" not in json:
            return cls(HashedWords(json["buckets"], json["pairs"]))
        places = tuple((at, word) for at, word in json["places"])
        return cls(KnownWords(tuple(json["words"]), places))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Words) and other.reading == self.reading

    __hash__ = None  # type: ignore[assignment]


def _stands(place: tuple[int, str], words: Sequence[str]) -> bool:
    at, word = place
    return at < len(words) and words[at] == word


def _hash(text: str) -> int:
    """64 bits that are the same on every machine, whatever characters the text holds."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8)
    return int.from_bytes(digest.digest(), "little")
