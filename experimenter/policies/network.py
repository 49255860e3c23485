"""The actor and the critic: two perceptrons of one shape, computed side by side in numpy.

Their hidden weights are stacked on a first axis (0 is the actor, 1 the critic), so that one call computes both.
torch is not needed at run time: a worker starts in a fifth of a second, and small products are faster without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Params",
    "Shape",
    "activate",
    "actor_output",
    "hidden_layers",
    "initial_params",
    "values",
    "views",
]

Array = NDArray[np.floating[Any]]
Params = dict[str, Array]


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of the two perceptrons. ``log_std``: a learnt deviation per output, independent of the state."""

    inputs: int
    hidden: tuple[int, ...]
    outputs: int
    log_std: bool
    activation: Literal["tanh", "relu"] = "tanh"

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name to array shape, in the order of the flat vector."""
        made: dict[str, tuple[int, ...]] = {}
        width = self.inputs
        for i, size in enumerate(self.hidden):
            made[f"hidden.{i}.weight"] = (2, width, size)
            made[f"hidden.{i}.bias"] = (2, 1, size)
            width = size
        made |= {"actor.weight": (width, self.outputs), "actor.bias": (self.outputs,)}
        made |= {"critic.weight": (width, 1), "critic.bias": (1,)}
        if self.log_std:
            made["actor.log_std"] = (self.outputs,)
        return made

    @property
    def size(self) -> int:
        """Numbers in all."""
        return sum(int(np.prod(s)) for s in self.shapes().values())


def views(flat: Array, shape: Shape) -> Params:
    """Named views into a flat vector of ``shape.size`` numbers; writing to one writes to the other."""
    made, at = {}, 0
    for name, dims in shape.shapes().items():
        size = int(np.prod(dims))
        made[name] = flat[at : at + size].reshape(dims)
        at += size
    return made


def _orthogonal(rng: np.random.Generator, shape: tuple[int, ...], gain: float) -> Array:
    """Orthogonal initialisation (Saxe et al. 2013): orthonormal rows or columns, times ``gain``."""
    rows, columns = shape
    q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
    q = q * np.sign(np.diag(r))
    return gain * (q if rows >= columns else q.T)


def initial_params(shape: Shape, rng: np.random.Generator) -> NDArray[np.float32]:
    """A fresh flat float32 vector: gain √2 in hidden layers, 0.01 for the actor's head, 0.1 for the
    critic's, because where rewards are rare and small an invented value would drown them at first."""
    flat = np.zeros(shape.size, dtype=np.float32)
    for name, array in views(flat, shape).items():
        if name.startswith("hidden") and name.endswith("weight"):
            for half in (0, 1):
                array[half] = _orthogonal(rng, array[half].shape, float(np.sqrt(2.0)))
        elif name in ("actor.weight", "critic.weight"):
            array[:] = _orthogonal(rng, array.shape, 0.01 if name == "actor.weight" else 0.1)
    return flat


def activate(z: Array, activation: str) -> Array:
    """The activation, in place."""
    out: Array = np.tanh(z, out=z) if activation == "tanh" else np.maximum(z, 0.0, out=z)
    return out


def hidden_layers(params: Params, shape: Shape, x: Array) -> list[Array]:
    """Activations (2, n, width) of every hidden layer for inputs (n, inputs)."""
    layers: list[Array] = []
    h: Array = x
    for i in range(len(shape.hidden)):
        z = np.matmul(h, params[f"hidden.{i}.weight"])
        z += params[f"hidden.{i}.bias"]
        h = activate(z, shape.activation)
        layers.append(h)
    return layers


def actor_output(params: Params, shape: Shape, x: Array) -> Array:
    """The actor's output (n, outputs) for inputs (n, inputs), without the critic: what acting needs."""
    h = x
    for i in range(len(shape.hidden)):
        z = h @ params[f"hidden.{i}.weight"][0]
        z += params[f"hidden.{i}.bias"][0]
        h = activate(z, shape.activation)
    out: Array = h @ params["actor.weight"] + params["actor.bias"]
    return out


def values(params: Params, shape: Shape, x: Array) -> Array:
    """The critic's values (n,) for inputs (n, inputs)."""
    h = x
    for i in range(len(shape.hidden)):
        z = h @ params[f"hidden.{i}.weight"][1]
        z += params[f"hidden.{i}.bias"][1]
        h = activate(z, shape.activation)
    out: Array = (h @ params["critic.weight"])[:, 0] + params["critic.bias"][0]
    return out
