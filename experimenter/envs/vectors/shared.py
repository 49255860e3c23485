"""The memory that a vector environment and its worker processes share: observations, actions, rewards and flags.

One anonymous file, mapped by all of them, with every array at a place that both sides compute from the spaces alone.
It has no name that could be left behind.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Iterator
from typing import Any, Final

import gymnasium
import numpy as np
from gymnasium import spaces

from experimenter.envs.checks import Batch
from experimenter.envs.spaces import leaves

__all__ = ["SharedArrays", "anonymous_file"]

ALIGNED: Final = 64


def anonymous_file() -> int:
    """A file descriptor of memory without a name; on systems without such memory, of a file without a name."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("vector", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


class SharedArrays:
    """Views of one mapping: ``seeds`` (n,), ``actions`` (n, …), ``met`` and ``now`` (observations by leaf name),
    ``reward`` float64, ``terminated`` and ``truncated`` bool (n,)."""

    def __init__(
        self, file: int, n: int, observations: gymnasium.Space[Any], actions: gymnasium.Space[Any]
    ) -> None:
        layout = dict(_layout(n, observations, actions))
        size = sum(_room(shape, dtype) for shape, dtype in layout.values())
        if os.fstat(file).st_size < size:
            os.ftruncate(file, size)
        self._memory = mmap.mmap(file, size)
        placed, at = dict[str, np.ndarray](), 0
        for name, (shape, dtype) in layout.items():
            count = int(np.prod(shape, dtype=np.int64))
            placed[name] = np.frombuffer(self._memory, dtype, count, at).reshape(shape)
            at += _room(shape, dtype)
        self.size = size
        self.seeds, self.actions = placed["seeds"], placed["actions"]
        self.reward, self.terminated, self.truncated = (
            placed[name] for name in ("reward", "terminated", "truncated")
        )
        self.met: Batch = {name[4:]: array for name, array in placed.items() if name.startswith("met:")}
        self.now: Batch = {name[4:]: array for name, array in placed.items() if name.startswith("now:")}


def _room(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    return max(ALIGNED, -(-size // ALIGNED) * ALIGNED)


def _layout(
    n: int, observations: gymnasium.Space[Any], actions: gymnasium.Space[Any]
) -> Iterator[tuple[str, tuple[tuple[int, ...], np.dtype[Any]]]]:
    chosen = np.dtype(np.int64) if isinstance(actions, spaces.Discrete) else np.dtype(actions.dtype)
    yield "seeds", ((n,), np.dtype(np.uint64))
    yield "actions", ((n, *(actions.shape or ())), chosen)
    yield "reward", ((n,), np.dtype(np.float64))
    yield "terminated", ((n,), np.dtype(bool))
    yield "truncated", ((n,), np.dtype(bool))
    for leaf in leaves(observations):
        yield f"met:{leaf.name}", ((n, *leaf.shape), leaf.dtype)
        yield f"now:{leaf.name}", ((n, *leaf.shape), leaf.dtype)
