"""Which texts an environment may say, as its space declares them, and how they are therefore read.

MiniGrid's ``MissionSpace`` is recognised by what it has, so that other packages' spaces of its kind are read as well:
a function that makes sentences, and the words that go into its places.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import product
from typing import Any, Final

import gymnasium
from gymnasium import spaces

from experimenter.envs.faults import foreign
from experimenter.envs.words import HashedWords, KnownWords, Words

__all__ = ["words_of"]

_SENTENCES: Final = 4_096
_INPUTS: Final = 512
_UNHEARD_OF: Final = "?"


def words_of(space: gymnasium.Space[Any]) -> Words | None:
    """How the texts of a space are read; ``None`` where it holds no text, or says the same in every episode.

    Raises EnvironmentFault when the space's own code fails.
    """
    if isinstance(space, spaces.Text):
        return Words(HashedWords())
    if not callable(getattr(space, "mission_func", None)) or not hasattr(space, "ordered_placeholders"):
        return None
    with foreign("The observation space", "when its missions were listed"):
        said = _sentences(space)
    reading = HashedWords() if said is None else _reading(said)
    return Words(reading) if reading.size else None


@lru_cache(maxsize=64)
def _reading(sentences: tuple[str, ...]) -> KnownWords | HashedWords:
    known = KnownWords.of(sentences)
    return known if known.size <= _INPUTS else HashedWords()


def _sentences(space: Any) -> tuple[str, ...] | None:
    """Every sentence, or where there are too many, some with each word in each place; ``None`` where any may come."""
    choices = [list(words) for words in space.ordered_placeholders or ()]
    if not choices and space.contains(_UNHEARD_OF):
        return None
    if sum(map(len, choices)) > _SENTENCES:
        return None
    said = [space.mission_func(*words) for words in _fillings(choices)]
    return tuple(said) if all(isinstance(sentence, str) for sentence in said) else None


def _fillings(choices: Sequence[Sequence[Any]]) -> Iterator[tuple[Any, ...]]:
    if math.prod(map(len, choices)) <= _SENTENCES:
        yield from product(*choices)
        return
    for turn in range(max(map(len, choices))):
        yield tuple(words[turn % len(words)] for words in choices)
    usual = tuple(words[0] for words in choices)
    for at, words in enumerate(choices):
        yield from ((*usual[:at], word, *usual[at + 1 :]) for word in words)
