"""The actor and the critic: two perceptrons of one shape, computed side by side in numpy.

Their hidden weights are stacked on a first axis (0 is the actor, 1 the critic), so that one call computes both.
torch is not needed at run time: a worker starts in a fifth of a second, and small products are faster without it.
What both read may come from convolutions (``convolution.py``) and a memory (``recurrence.py``) that they share.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from experimenter.envs.images import ImagePart
from experimenter.policies.convolution import convolved, sizes
from experimenter.policies.recurrence import GATES, PARTS, Cell, remembered
from experimenter.policies.scratch import Scratch
from experimenter.records import Convolution

__all__ = [
    "Params",
    "Shape",
    "activate",
    "actor_output",
    "actor_top",
    "features",
    "hidden_layers",
    "initial_params",
    "perceived",
    "values",
    "views",
]

Array = NDArray[np.floating[Any]]
Params = dict[str, Array]


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of the two perceptrons. ``log_std``: a learnt deviation per output, independent of the state; with ``sde``
    one for each output and unit of the actor's last hidden layer, whose activations stand behind the outputs.

    ``critic`` is false where there is only the first of them, as in what off-policy algorithms store.
    ``image`` is the part of the inputs that goes through ``convolution`` first; ``None`` where there is no such layer.
    The last ``memory`` inputs are what was remembered before, by a recurrent layer of kind ``cell``. The inputs from
    ``mask[0]`` up to ``mask[1]`` say which choices are possible, and stand behind the outputs (``masked.py``).
    """

    inputs: int
    hidden: tuple[int, ...]
    outputs: int
    log_std: bool
    activation: Literal["tanh", "relu"] = "tanh"
    image: ImagePart | None = None
    convolution: tuple[Convolution, ...] = ()
    critic: bool = True
    memory: int = 0
    cell: Cell = "gru"
    sde: bool = False
    mask: tuple[int, int] | None = None

    @property
    def plain(self) -> bool:
        """Whether this is nothing but two perceptrons whose outputs stand for themselves."""
        return self.image is None and self.critic and not (self.memory or self.sde or self.mask)

    @property
    def seen(self) -> int:
        """How many numbers an observation is after the convolutions."""
        if self.image is None:
            return self.inputs - self.memory
        made = int(np.prod(sizes(self.image, self.convolution)[-1]))
        return made + self.inputs - self.memory - self.image.size

    @property
    def features(self) -> int:
        """How many numbers the perceptrons read."""
        return self.memory // PARTS[self.cell] or self.seen

    @property
    def top(self) -> int:
        """How many units the last hidden layer has: what the heads read."""
        return self.hidden[-1] if self.hidden else self.features

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name to array shape, in the order of the flat vector."""
        made: dict[str, tuple[int, ...]] = {}
        if self.image is not None:
            before = sizes(self.image, self.convolution)
            for i, layer in enumerate(self.convolution):
                k = layer.kernel
                made[f"convolution.{i}.weight"] = (k, k, before[i][2], layer.filters)
                made[f"convolution.{i}.bias"] = (layer.filters,)
        if self.memory:
            m, gates = self.features, GATES[self.cell] * self.features
            made |= {"memory.sight.weight": (self.seen, gates), "memory.sight.bias": (gates,)}
            made |= {"memory.state.weight": (m, gates), "memory.state.bias": (gates,)}
        width = self.features
        nets = 2 if self.critic else 1
        for i, size in enumerate(self.hidden):
            made[f"hidden.{i}.weight"] = (nets, width, size)
            made[f"hidden.{i}.bias"] = (nets, 1, size)
            width = size
        made |= {"actor.weight": (width, self.outputs), "actor.bias": (self.outputs,)}
        if self.critic:
            made |= {"critic.weight": (width, 1), "critic.bias": (1,)}
        if self.log_std:
            made["actor.log_std"] = (self.top, self.outputs) if self.sde else (self.outputs,)
        return made

    @property
    def size(self) -> int:
        """Numbers in all."""
        return sum(int(np.prod(s)) for s in self.shapes().values())

    @property
    def products(self) -> int:
        """Multiplications for one row, about: a filter's weights are used at each of its places."""
        if self.image is None:
            return self.size
        places = [height * width for height, width, _ in sizes(self.image, self.convolution)[1:]]
        named = self.shapes()
        again = sum(
            (count - 1) * int(np.prod(named[f"convolution.{i}.weight"])) for i, count in enumerate(places)
        )
        return self.size + again


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


def initial_params(shape: Shape, rng: np.random.Generator, orthogonal: bool = True) -> NDArray[np.float32]:
    """A fresh flat float32 vector, ``orthogonal`` or as torch begins its layers.

    Orthogonal means gain √2 in hidden layers, 0.01 for the actor's head, 0.1 for the critic's, because where rewards
    are rare and small an invented value would drown them at first. An LSTM then begins by keeping what it knows: its
    forget gate has a bias of one (Jozefowicz et al. 2015).
    """
    flat = np.zeros(shape.size, dtype=np.float32)
    if not orthogonal:
        return _uniform(flat, shape, rng)
    for name, array in views(flat, shape).items():
        if name.startswith("hidden") and name.endswith("weight"):
            for half in (0, 1):
                array[half] = _orthogonal(rng, array[half].shape, float(np.sqrt(2.0)))
        elif name.startswith("convolution") and name.endswith("weight"):
            filters = array.reshape(-1, array.shape[-1])
            filters[:] = _orthogonal(rng, filters.shape, float(np.sqrt(2.0)))
        elif name.startswith("memory") and name.endswith("weight"):
            for gate in np.split(array, GATES[shape.cell], axis=1):
                gate[:] = _orthogonal(rng, gate.shape, 1.0)
        elif name == "memory.sight.bias" and shape.cell == "lstm":
            array[shape.features : 2 * shape.features] = 1.0
        elif name in ("actor.weight", "critic.weight"):
            array[:] = _orthogonal(rng, array.shape, 0.01 if name == "actor.weight" else 0.1)
    return flat


def _uniform(flat: NDArray[np.float32], shape: Shape, rng: np.random.Generator) -> NDArray[np.float32]:
    """Weights and biases within ±1/√(what a unit reads), those of a memory within ±1/√(its width)."""
    bound = 0.0
    for name, array in views(flat, shape).items():
        if name.endswith("weight"):
            layer = array[0] if name.startswith("hidden") else array
            reads = shape.features if name.startswith("memory") else layer[..., 0].size
            bound = float(1.0 / np.sqrt(reads))
        if name != "actor.log_std":
            array[...] = rng.uniform(-bound, bound, array.shape)
    return flat


def activate(z: Array, activation: str) -> Array:
    """The activation, in place."""
    out: Array = np.tanh(z, out=z) if activation == "tanh" else np.maximum(z, 0.0, out=z)
    return out


def features(params: Params, shape: Shape, x: Array) -> Array:
    """What both perceptrons read (n, features) for inputs (n, inputs): the inputs themselves, what convolutions made of
    them, or what is remembered from now on."""
    return perceived(params, shape, x)[:, : shape.features]


def perceived(params: Params, shape: Shape, x: Array) -> Array:
    """As ``features``, but with a memory all of it (n, memory), of which an LSTM's cell is not read."""
    if shape.image is None and not shape.memory:
        return x
    seen, before = x[:, : shape.inputs - shape.memory], x[:, shape.inputs - shape.memory :]
    if shape.image is not None:
        seen = convolved(params, shape.image, shape.convolution, shape.activation, seen)
    return remembered(params, seen, before, shape.cell) if shape.memory else seen


def hidden_layers(params: Params, shape: Shape, x: Array, scratch: Scratch | None = None) -> list[Array]:
    """Activations (2, n, width) of every hidden layer for what the perceptrons read (n, features); in ``scratch``,
    where given, until it is used for the next."""
    layers: list[Array] = []
    h: Array = x
    for i in range(len(shape.hidden)):
        weight = params[f"hidden.{i}.weight"]
        size = (len(weight), len(x), weight.shape[2])
        z = np.matmul(h, weight, out=scratch.array(f"layer {i}", size, x.dtype) if scratch else None)
        z += params[f"hidden.{i}.bias"]
        h = activate(z, shape.activation)
        layers.append(h)
    return layers


def actor_output(params: Params, shape: Shape, x: Array) -> Array:
    """The actor's output (n, outputs) for inputs (n, inputs), without the critic: what acting needs."""
    return actor_top(params, shape, features(params, shape, x))


def actor_top(params: Params, shape: Shape, h: Array) -> Array:
    """The actor's output (n, outputs) for what the perceptrons read (n, features); with ``sde`` (n, outputs + top), and
    (n, 2 outputs) with a mask."""
    seen = h
    for i in range(len(shape.hidden)):
        z = h @ params[f"hidden.{i}.weight"][0]
        z += params[f"hidden.{i}.bias"][0]
        h = activate(z, shape.activation)
    out: Array = h @ params["actor.weight"] + params["actor.bias"]
    if shape.mask is not None:
        return np.concatenate([out, seen[:, slice(*shape.mask)]], axis=1)
    return np.concatenate([out, h], axis=1) if shape.sde else out


def values(params: Params, shape: Shape, x: Array) -> Array:
    """The critic's values (n,) for inputs (n, inputs)."""
    h = features(params, shape, x)
    for i in range(len(shape.hidden)):
        z = h @ params[f"hidden.{i}.weight"][1]
        z += params[f"hidden.{i}.bias"][1]
        h = activate(z, shape.activation)
    out: Array = (h @ params["critic.weight"])[:, 0] + params["critic.bias"][0]
    return out
