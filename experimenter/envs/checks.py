"""Turns what environments return into arrays, and names the row and the fault when something is wrong.

The usual case is checked for a whole batch at once; only when that fails are rows looked at one by one, either to
accept what is unusual but right or to say what is wrong. Nothing unchecked reaches a policy or a reward program.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import gymnasium
import numpy as np
from gymnasium import spaces

from experimenter.envs.pipeline import Observations
from experimenter.envs.spaces import Leaf, leaves

__all__ = ["Batch", "Broken", "ObservationReader", "check_infos", "read_flags", "read_rewards"]

Batch = dict[str, np.ndarray]

_NUMBERS: Final = frozenset(
    {
        float,
        int,
        bool,
        np.bool_,
        np.float64,
        np.float32,
        np.float16,
        np.int64,
        np.int32,
        np.int16,
        np.int8,
        np.uint8,
    }
)
_FLAGS: Final = frozenset({bool, np.bool_})


class Broken(Exception):
    """The environment in ``row`` returned ``what`` it must not; the vector environment says which one, and when."""

    def __init__(self, row: int, what: str) -> None:
        super().__init__(what)
        self.row = row
        self.what = what


class ObservationReader:
    """Stacks observations of one space into batches: an array by leaf name (``""`` for a space that is one leaf)."""

    def __init__(self, space: gymnasium.Space[Any]) -> None:
        self._leaves = leaves(space)
        self._plain = not isinstance(space, (spaces.Dict, spaces.Tuple))
        self._ranges = tuple(_integer_range(leaf) for leaf in self._leaves)

    def out(self, batch: Batch) -> Observations:
        """The batch as others see it: a plain array where the space is one leaf."""
        return batch[""] if self._plain else batch

    def empty(self, n: int) -> Batch:
        """Room for n observations."""
        return {leaf.name: np.empty((n, *leaf.shape), leaf.dtype) for leaf in self._leaves}

    def stack(self, observations: Sequence[Any]) -> Batch:
        """A fresh, checked batch of one observation each. Raises Broken."""
        batch = {leaf.name: _stack(leaf, observations) for leaf in self._leaves}
        self.check(batch)
        return batch

    def store(self, batch: Batch, row: int, obs: Any) -> None:
        """Puts one observation into a row, checking its types and shapes. Raises Broken."""
        for leaf in self._leaves:
            batch[leaf.name][row] = _value(leaf, row, obs)

    def check(self, batch: Batch) -> None:
        """Numbers must be finite, categories inside their space. Raises Broken for the first row that is not so."""
        for leaf, limits in zip(self._leaves, self._ranges, strict=True):
            array = batch[leaf.name]
            if limits is not None:
                bad = (array < limits[0]) | (array > limits[1])
                if bad.any():
                    raise _bad_row(leaf, bad, "outside its space")
            elif array.dtype.kind == "f" and not math.isfinite(np.vdot(array, array)):
                bad = ~np.isfinite(array)
                if bad.any():
                    raise _bad_row(leaf, bad, "with NaN or infinity")


def read_rewards(rewards: Sequence[Any]) -> np.ndarray:
    """float64 (n,). Raises Broken for what is no number or not finite."""
    if not _NUMBERS.issuperset(map(type, rewards)):
        for row, reward in enumerate(rewards):
            if type(reward) not in _NUMBERS and not _is_number(reward):
                raise Broken(row, f"returned a reward of type {type(reward).__name__}, not a number")
    if not math.isfinite(sum(rewards)):
        for row, reward in enumerate(rewards):
            if not math.isfinite(reward):
                raise Broken(row, f"returned the reward {reward}")
    return np.array(rewards, dtype=np.float64)


def read_flags(name: str, flags: Sequence[Any]) -> np.ndarray:
    """bool (n,). Raises Broken for what is neither true nor false (integers are not)."""
    if not _FLAGS.issuperset(map(type, flags)):
        for row, flag in enumerate(flags):
            if type(flag) not in _FLAGS:
                raise Broken(row, f"returned {name} of type {type(flag).__name__}, not true or false")
    return np.array(flags, dtype=bool)


def check_infos(infos: Sequence[Any]) -> None:
    """Raises Broken for what is no dictionary."""
    for row, info in enumerate(infos):
        if not isinstance(info, dict):
            raise Broken(row, f"returned an info of type {type(info).__name__}, not a dictionary")


def _stack(leaf: Leaf, observations: Sequence[Any]) -> np.ndarray:
    shape, values = leaf.shape, observations
    try:
        for key in leaf.keys:
            values = [value[key] for value in values]
        if leaf.text is not None:
            return leaf.text.rows(values)
        if not shape:
            array = np.array(values)
            if array.ndim == 1 and array.dtype.kind in "iub" and leaf.dtype.kind != "f":
                return array.astype(leaf.dtype)
        elif [value.shape for value in values] == [shape] * len(values):
            joined = np.concatenate(values, dtype=leaf.dtype, casting="same_kind")
            return joined.reshape(len(values), *shape)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError):
        pass
    return np.array([_value(leaf, row, obs) for row, obs in enumerate(observations)], dtype=leaf.dtype)


def _value(leaf: Leaf, row: int, obs: Any) -> Any:
    """The leaf's own part of an observation, checked by itself."""
    name = f" {leaf.name!r}" if leaf.name else ""
    value = obs
    for key in leaf.keys:
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            raise Broken(row, f"returned an observation without {leaf.name!r}") from None
    if leaf.text is not None:
        if not isinstance(value, str):
            raise Broken(row, f"returned an observation{name} of type {type(value).__name__}, not text")
        return leaf.text.read(value)
    if leaf.shape and not isinstance(value, np.ndarray):
        raise Broken(row, f"returned an observation{name} of type {type(value).__name__}, not an array")
    array = np.asarray(value)
    if array.shape != leaf.shape:
        raise Broken(row, f"returned an observation{name} of shape {array.shape} instead of {leaf.shape}")
    wanted = np.dtype(leaf.space.dtype or np.float32)
    if array.dtype.kind not in "biuf" or not np.can_cast(array.dtype, wanted, "same_kind"):
        raise Broken(row, f"returned an observation{name} of dtype {array.dtype} instead of {wanted}")
    return array


def _bad_row(leaf: Leaf, bad: np.ndarray, what: str) -> Broken:
    row = int(np.flatnonzero(bad.reshape(len(bad), -1).any(axis=1))[0])
    name = f" {leaf.name!r}" if leaf.name else ""
    return Broken(row, f"returned an observation{name} {what}")


def _integer_range(leaf: Leaf) -> tuple[Any, Any] | None:
    """Inclusive limits that one-hot encoding relies on; ``None`` where any number will do."""
    space = leaf.space
    if isinstance(space, spaces.Discrete):
        return int(space.start), int(space.start) + int(space.n) - 1
    if isinstance(space, spaces.MultiDiscrete):
        return space.start, space.start + space.nvec - 1
    return None


def _is_number(value: Any) -> bool:
    array = value if isinstance(value, (np.ndarray, np.generic)) else None
    return array is not None and array.shape == () and array.dtype.kind in "biuf"
