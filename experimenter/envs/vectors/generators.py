"""Stands in for a batched environment's one generator, so that every row draws from a generator of its own.

A batched environment draws for all rows at once from one stream: what a row meets then depends on how many rows stand
beside it. Behind this facade each row's share of a draw comes from its own generator, one row after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from experimenter.errors import EnvironmentFault

__all__ = ["RowGenerators", "copied", "generators"]

Draw = Callable[..., np.ndarray]


def generators(seeds: Sequence[int]) -> list[np.random.Generator]:
    """One generator for each seed, as ``Env.reset(seed=…)`` makes it, so that single environments draw the same."""
    from gymnasium.utils.seeding import np_random

    return [np_random(int(seed))[0] for seed in seeds]


class _Unseeded(np.random.bit_generator.ISeedSequence):
    """Costs nothing, for a generator whose state is set at once."""

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> np.ndarray:
        return np.zeros(n_words, dtype)


def copied(generator: np.random.Generator) -> np.random.Generator:
    """Another generator that will draw the same; a tenth of the time of a deep copy."""
    bits: Any = type(generator.bit_generator)
    made = np.random.Generator(bits(_Unseeded()))
    made.bit_generator.state = generator.bit_generator.state
    return made


class RowGenerators:
    """Has every drawing method of ``numpy.random.Generator`` that names its ``size``.

    ``rows``: the generators of the rows that are drawn for now; one axis of ``size`` must count them (``last``: the
    last one, as in states of shape (k, n), else the first) or be 0. Raises EnvironmentFault for any other draw.
    """

    def __init__(self, *, last: bool) -> None:
        self.rows: Sequence[np.random.Generator] = ()
        self._axis = -1 if last else 0

    def __getattr__(self, name: str) -> Draw:
        if name.startswith("_") or not hasattr(np.random.Generator, name):
            raise AttributeError(name)

        def draw(*given: Any, size: int | tuple[int, ...] | None = None, **named: Any) -> np.ndarray:
            return self._draw(name, given, size, named)

        self.__dict__[name] = draw
        return draw

    def _draw(
        self, name: str, given: tuple[Any, ...], size: int | tuple[int, ...] | None, named: dict[str, Any]
    ) -> np.ndarray:
        shape = () if size is None else (size,) if isinstance(size, (int, np.integer)) else tuple(size)
        if 0 in shape:
            return np.empty(shape)
        if not shape or shape[self._axis] != len(self.rows):
            raise EnvironmentFault(
                f"The batched environment draws {name} of size {size} for {len(self.rows)} rows.",
                "Such draws cannot be shared out by rows; use the synchronous vector environment.",
            )
        last = self._axis == -1
        one = shape[:-1] if last else shape[1:]
        drawn = [getattr(generator, name)(*given, size=one, **named) for generator in self.rows]
        return np.array(drawn).reshape(len(drawn), -1).T.reshape(shape) if last else np.array(drawn)
