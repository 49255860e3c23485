"""Adam for several parts of one flat vector, whose steps come at different moments of one update."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Adam"]

Floats = NDArray[np.float32]
# A stretch of this many numbers, with its gradient and both moments, stays in the cache from pass to pass.
BLOCK = 16384


class Adam:
    """Kingma and Ba (2015), with their epsilon. Parts share the count of updates ``t``, of which each has one step."""

    def __init__(self, size: int, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8) -> None:
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon
        self.m, self.v = np.zeros(size, np.float32), np.zeros(size, np.float32)
        self.t = 0
        self._work = np.empty(min(size, BLOCK), np.float32)

    def begin(self) -> None:
        """A new update: the steps that follow belong to it."""
        self.t += 1

    def step(self, params: Floats, gradient: Floats, part: slice, rate: float) -> None:
        """One step of ``params[part]`` down ``gradient[part]``, which is used up."""
        root = float(np.sqrt(1.0 - self.beta2**self.t))
        scale, epsilon = rate * root / (1.0 - self.beta1**self.t), self.epsilon * root
        for at in range(part.start, part.stop, BLOCK):
            end = min(at + BLOCK, part.stop)
            p, g, m, v = params[at:end], gradient[at:end], self.m[at:end], self.v[at:end]
            work = self._work[: end - at]
            m *= self.beta1
            np.multiply(g, 1.0 - self.beta1, out=work)
            m += work
            v *= self.beta2
            np.square(g, out=g)
            g *= 1.0 - self.beta2
            v += g
            np.sqrt(v, out=work)
            work += epsilon
            np.divide(m, work, out=work)
            work *= scale
            p -= work
