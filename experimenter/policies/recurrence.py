"""A gated recurrent unit in numpy: what lets a policy remember what it no longer sees.

The memory of a row travels with the row: the network's inputs end with what was remembered before, and what the
perceptrons read is what is remembered from then on. So nothing that acts, judges or learns needs a hidden state.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["remembered"]

Array = NDArray[np.floating[Any]]


def remembered(params: Mapping[str, Array], seen: Array, before: Array) -> Array:
    """What is remembered (n, m) after seeing (n, features), given what was remembered before (n, m).

    Method: Cho et al. 2014, with the reset gate after the product, as torch's ``GRUCell`` has it.
    """
    m = before.shape[1]
    by_sight = seen @ params["memory.sight.weight"] + params["memory.sight.bias"]
    by_memory = before @ params["memory.state.weight"] + params["memory.state.bias"]
    gates = _sigmoid(by_sight[:, : 2 * m] + by_memory[:, : 2 * m])
    reset, keep = gates[:, :m], gates[:, m:]
    fresh = np.tanh(by_sight[:, 2 * m :] + reset * by_memory[:, 2 * m :])
    after: Array = fresh + keep * (before - fresh)
    return after


def _sigmoid(z: Array) -> Array:
    """By tanh, which neither overflows nor leaves the dtype."""
    made: Array = 0.5 * np.tanh(0.5 * z) + 0.5
    return made.astype(z.dtype, copy=False)
