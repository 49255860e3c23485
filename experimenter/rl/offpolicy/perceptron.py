"""Perceptrons of one shape side by side, forward and backward in numpy, in arrays that are made once.

At 256 units nine tenths of an update are matrix products, which numpy and torch hand to equally fast libraries: what
can be saved is everything around them. So no array is made in a pass, and no framework records one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Activation", "Array", "Layer", "Pass", "Perceptrons", "mask_inactive", "uniform_weights"]

Array = NDArray[np.floating[Any]]
Activation = Literal["tanh", "relu"]


@dataclass(frozen=True, slots=True)
class Layer:
    """``weight`` (count, in, out) and ``bias`` (count, 1, out): views into a flat vector."""

    weight: Array
    bias: Array


@dataclass(frozen=True, slots=True)
class Perceptrons:
    """``count`` multi-layer perceptrons with the same layers and different weights; the last layer is linear."""

    count: int
    inputs: int
    hidden: tuple[int, ...]
    outputs: int
    activation: Activation = "relu"

    @property
    def widths(self) -> tuple[int, ...]:
        return (self.inputs, *self.hidden, self.outputs)

    @property
    def size(self) -> int:
        """Numbers in all."""
        return sum(self.count * (a + 1) * b for a, b in zip(self.widths, self.widths[1:], strict=False))

    def layers(self, flat: Array) -> list[Layer]:
        """Views into a vector of ``size`` numbers: each layer's weight, then its bias."""
        made, at = [], 0
        for a, b in zip(self.widths, self.widths[1:], strict=False):
            middle, end = at + self.count * a * b, at + self.count * (a + 1) * b
            weight = flat[at:middle].reshape(self.count, a, b)
            made.append(Layer(weight, flat[middle:end].reshape(self.count, 1, b)))
            at = end
        return made


def uniform_weights(shape: Perceptrons, flat: Array, rng: np.random.Generator) -> None:
    """Fresh weights and biases in place: uniform within ±1/√inputs of each layer, torch's own default, with which
    the published figures of SAC and DQN implementations were made."""
    for layer in shape.layers(flat):
        bound = 1.0 / np.sqrt(layer.weight.shape[1])
        layer.weight[...] = rng.uniform(-bound, bound, layer.weight.shape)
        layer.bias[...] = rng.uniform(-bound, bound, layer.bias.shape)


def mask_inactive(d_h: Array, h: Array, activation: str, work: Array) -> None:
    """From a derivative by activations ``h`` to that by what went into them, in place."""
    if activation == "tanh":
        np.square(h, out=work)
        np.subtract(1.0, work, out=work)
    else:
        np.greater(h, 0.0, out=work)
    d_h *= work


class Pass:
    """Room for passes of ``n`` rows through ``shape``: activations forward, derivatives backward.

    ``outputs`` and everything else returned is overwritten by the next pass.
    """

    def __init__(self, shape: Perceptrons, n: int) -> None:
        self.shape, self.n = shape, n
        sizes = [(shape.count, n, width) for width in shape.widths[1:]]
        self.h: list[Array] = [np.zeros(size, np.float32) for size in sizes]
        self._zeros: list[Array] = [np.zeros(size, np.float32) for size in sizes[:-1]]
        self._d: list[Array] = [np.zeros(size, np.float32) for size in sizes[:-1]]
        self._work: list[Array] = [np.zeros(size, np.float32) for size in sizes[:-1]]
        self._ones = np.ones((1, n), np.float32)

    def forward(self, layers: list[Layer], x: Array) -> Array:
        """Outputs (count, n, outputs) for inputs (n, inputs), which all perceptrons read."""
        below, last = x, len(layers) - 1
        for i, layer in enumerate(layers):
            z = np.matmul(below, layer.weight, out=self.h[i])
            z += layer.bias
            if i < last:
                # With an array of zeros numpy takes its vectorised loop, with a number it does not.
                np.tanh(z, out=z) if self.shape.activation == "tanh" else np.maximum(z, self._zeros[i], out=z)
            below = z
        return self.h[-1]

    def backward(self, layers: list[Layer], x: Array, d_out: Array, gradient: list[Layer], rows: int) -> None:
        """Writes the derivatives by all weights, given those by the outputs (count, rows, outputs) of the first
        ``rows`` rows of the last forward pass; ``d_out`` is used up."""
        d_z, ones = d_out, self._ones[:, :rows]
        for i in range(len(layers) - 1, -1, -1):
            below = self.h[i - 1][:, :rows].transpose(0, 2, 1) if i else x[:rows].T
            np.matmul(below, d_z, out=gradient[i].weight)
            np.matmul(ones, d_z, out=gradient[i].bias)
            if i:
                d_h = np.matmul(d_z, layers[i].weight.transpose(0, 2, 1), out=self._d[i - 1][:, :rows])
                h, work = self.h[i - 1][:, :rows], self._work[i - 1][:, :rows]
                mask_inactive(d_h, h, self.shape.activation, work)
                d_z = d_h
