"""What lets a policy remember what it no longer sees: a gated recurrent unit or a long short-term memory, in numpy.

The memory of a row travels with the row: the network's inputs end with what was remembered before, and what the
perceptrons read is what is remembered from then on. So nothing that acts, judges or learns needs a hidden state.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["GATES", "PARTS", "Cell", "remembered"]

Array = NDArray[np.floating[Any]]
Cell = Literal["gru", "lstm"]
GATES: Final[Mapping[Cell, int]] = {"gru": 3, "lstm": 4}
"""How many rows of m weights each kind has."""
PARTS: Final[Mapping[Cell, int]] = {"gru": 1, "lstm": 2}
"""How many times m numbers travel with a row: the output h, and behind it an LSTM's cell c."""


def remembered(params: Mapping[str, Array], seen: Array, before: Array, cell: Cell = "gru") -> Array:
    """What is remembered after seeing (n, features), given what was remembered before: (n, m), or (n, 2m) for an LSTM,
    whose first m numbers are what the perceptrons read."""
    return _gated(params, seen, before) if cell == "gru" else _long(params, seen, before)


def _gated(params: Mapping[str, Array], seen: Array, before: Array) -> Array:
    """Method: Cho et al. 2014, with the reset gate after the product, as torch's ``GRUCell`` has it."""
    m = before.shape[1]
    by_sight = seen @ params["memory.sight.weight"] + params["memory.sight.bias"]
    by_memory = before @ params["memory.state.weight"] + params["memory.state.bias"]
    gates = _sigmoid(by_sight[:, : 2 * m] + by_memory[:, : 2 * m])
    reset, keep = gates[:, :m], gates[:, m:]
    fresh = np.tanh(by_sight[:, 2 * m :] + reset * by_memory[:, 2 * m :])
    after: Array = fresh + keep * (before - fresh)
    return after


def _long(params: Mapping[str, Array], seen: Array, before: Array) -> Array:
    """Method: Hochreiter and Schmidhuber 1997 with the forget gate of Gers et al. 2000; the gates are in the order of
    torch's ``LSTMCell``: input, forget, fresh, output."""
    m = before.shape[1] // 2
    said = seen @ params["memory.sight.weight"] + params["memory.sight.bias"]
    said += before[:, :m] @ params["memory.state.weight"] + params["memory.state.bias"]
    gates = _sigmoid(said[:, : 2 * m])
    after = np.empty_like(before)
    cell = after[:, m:]
    np.multiply(gates[:, m:], before[:, m:], out=cell)
    cell += gates[:, :m] * np.tanh(said[:, 2 * m : 3 * m])
    np.multiply(_sigmoid(said[:, 3 * m :]), np.tanh(cell), out=after[:, :m])
    return after


def _sigmoid(z: Array) -> Array:
    """By tanh, which neither overflows nor leaves the dtype."""
    made: Array = 0.5 * np.tanh(0.5 * z) + 0.5
    return made.astype(z.dtype, copy=False)
