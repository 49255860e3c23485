"""Reads what a batched environment returns: whole arrays, checked as strictly as single values are, but all at once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import gymnasium
import numpy as np
from gymnasium import spaces

from experimenter.envs.checks import Batch, Broken, ObservationReader
from experimenter.envs.pipeline import Observations
from experimenter.envs.spaces import Leaf, leaves
from experimenter.errors import EnvironmentFault
from experimenter.records import EnvSpec

__all__ = ["BatchReader", "Infos", "batch_fault", "batched_actions", "one_of_all", "rows_of_infos"]

Infos = Sequence[Mapping[str, Any]]
_MASK: Final = "_"
_FLAG: Final = np.dtype(bool)


class BatchReader:
    """Reads batches of ``n`` observations of one space; a batch is an array by leaf name."""

    def __init__(self, space: gymnasium.Space[Any], n: int) -> None:
        self._reader, self._n = ObservationReader(space), n
        self._parts = tuple(_Part(leaf) for leaf in leaves(space))

    def read(self, observations: Any, n: int | None = None) -> Batch:
        """A fresh, checked batch in C order. Raises Broken."""
        batch: Batch = {}
        fine = True
        for part in self._parts:
            array = part.reach(observations)
            if array.shape != (wanted := (self._n if n is None else n, *part.shape)):
                raise Broken(0, f"returned observations of shape {array.shape} instead of {wanted}")
            fresh = batch[part.name] = np.array(array, dtype=part.dtype, order="C")
            fine = fine and part.real and math.isfinite(np.vdot(fresh, fresh))
        if not fine:
            self._reader.check(batch)
        return batch

    def store(self, batch: Batch, row: int, observation: Any) -> None:
        """Puts one row's observation, as a single environment would give it, into a batch. Raises Broken."""
        self._reader.store(batch, row, observation)

    def out(self, batch: Batch) -> Observations:
        """The batch as others see it: a plain array where the space is one leaf."""
        return self._reader.out(batch)

    def rewards(self, rewards: Any) -> np.ndarray:
        """float64 (n,), fresh. Raises Broken for what is no number or not finite."""
        array = np.array(rewards, dtype=np.float64)
        if array.shape != (self._n,):
            raise Broken(0, f"returned rewards of shape {array.shape} instead of ({self._n},)")
        if not math.isfinite(np.add.reduce(array)):
            bad = np.flatnonzero(~np.isfinite(array))
            if bad.size:
                raise Broken(int(bad[0]), f"returned the reward {array[bad[0]]}")
        return array

    def flags(self, name: str, flags: Any) -> np.ndarray:
        """bool (n,), fresh. Raises Broken for what is neither true nor false."""
        array = np.array(flags)
        if array.dtype != _FLAG or array.shape != (self._n,):
            raise Broken(
                0, f"returned {name} as {array.dtype} of shape {array.shape}, not as {self._n} flags"
            )
        return array


class _Part:
    """What reading one leaf needs, found out once: reading is on the fast path."""

    def __init__(self, leaf: Leaf) -> None:
        self.name, self.shape, self.dtype = leaf.name, leaf.shape, leaf.dtype
        self.real = leaf.dtype.kind == "f"
        self._keys = leaf.keys
        self._own = np.dtype(leaf.space.dtype or np.float32)
        self._fits: set[np.dtype[Any]] = set()

    def reach(self, observations: Any) -> np.ndarray:
        value = observations
        for key in self._keys:
            try:
                value = value[key]
            except (KeyError, IndexError, TypeError):
                raise Broken(0, f"returned observations without {self.name!r}") from None
        array = np.asarray(value)
        if array.dtype not in self._fits:
            if array.dtype.kind not in "biuf" or not np.can_cast(array.dtype, self._own, "same_kind"):
                raise Broken(0, f"returned observations of dtype {array.dtype} instead of {self._own}")
            self._fits.add(array.dtype)
        return array


def batched_actions(space: gymnasium.Space[Any], n: int, actions: np.ndarray) -> np.ndarray:
    """``actions`` as a batch of the space's own shape and dtype, the caller's array or a copy; never written into."""
    if isinstance(space, spaces.Discrete):
        return np.asarray(actions).reshape(n)
    return np.asarray(actions, dtype=space.dtype).reshape(n, *(space.shape or ()))


def one_of_all(specs: EnvSpec | Sequence[EnvSpec], num_envs: int) -> tuple[EnvSpec, ...]:
    """One specification for each row. Raises ValueError where they are not as many as rows."""
    every = (specs,) * num_envs if isinstance(specs, EnvSpec) else tuple(specs)
    if len(every) != num_envs or not every:
        raise ValueError(f"{len(every)} specifications for {num_envs} environments")
    return every


def batch_fault(specs: Sequence[EnvSpec], broken: Broken, when: str) -> EnvironmentFault:
    """The fault of one row, worded as ``SyncVector`` words it."""
    return EnvironmentFault(
        f"{specs[broken.row].id} {broken.what} {when}.",
        "Fix the environment, or change its parameters with --set.",
    )


def rows_of_infos(infos: Mapping[str, Any], n: int, nothing: Infos) -> Infos:
    """Gymnasium's batched info as one mapping for each row; ``nothing``, shared, where it is empty."""
    if not infos:
        return nothing
    named = {key: value for key, value in infos.items() if not key.startswith(_MASK)}
    return [
        {key: value[row] for key, value in named.items() if _told(infos, key, value, row)} for row in range(n)
    ]


def _told(infos: Mapping[str, Any], key: str, value: Any, row: int) -> bool:
    mask = infos.get(_MASK + key)
    return isinstance(value, (np.ndarray, list, tuple)) and (mask is None or bool(mask[row]))
