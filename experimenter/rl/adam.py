"""Adam over one flat vector: a handful of array operations in place of one for each weight matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Adam", "clip_norm"]

Array = NDArray[np.floating[Any]]


class Adam:
    """Kingma and Ba (2015), with the epsilon of 1e-5 that PPO implementations use."""

    def __init__(self, size: int, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-5) -> None:
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon
        self.m = np.zeros(size, dtype=np.float32)
        self.v = np.zeros(size, dtype=np.float32)
        self.t = 0
        self._work = np.empty(size, dtype=np.float32)

    def step(self, params: Array, gradient: Array, learning_rate: float) -> None:
        """One step down the gradient, in place; ``gradient`` is used up."""
        self.t += 1
        work = self._work
        self.m *= self.beta1
        np.multiply(gradient, 1.0 - self.beta1, out=work)
        self.m += work
        self.v *= self.beta2
        np.square(gradient, out=gradient)
        gradient *= 1.0 - self.beta2
        self.v += gradient
        np.sqrt(self.v, out=work)
        root = float(np.sqrt(1.0 - self.beta2**self.t))
        work += self.epsilon * root
        np.divide(self.m, work, out=work)
        work *= learning_rate * root / (1.0 - self.beta1**self.t)
        params -= work


def clip_norm(gradient: Array, limit: float) -> float:
    """Shrink the whole gradient to Euclidean norm ``limit``, in place; returns the norm before."""
    norm = float(np.sqrt(np.dot(gradient, gradient)))
    if norm > limit:
        gradient *= limit / (norm + 1e-6)
    return norm
