"""Adam and the gradient's bound by torch's operations, over the state of ``adam.Adam``, on whatever device."""

from __future__ import annotations

from typing import Any

import numpy as np

from experimenter.rl.adam import Adam
from experimenter.rl.tensors import Networks, load_torch

__all__ = ["Descent"]


class Descent:
    """``adam.Adam.step`` and ``adam.clip_norm`` for the networks' flat vector.

    On the CPU the moments are ``adam``'s own; elsewhere ``push`` writes them back.
    """

    def __init__(self, adam: Adam, networks: Networks) -> None:
        self._torch = load_torch()
        self.adam, self.networks = adam, networks
        self._given = [self._torch.from_numpy(moments) for moments in (adam.m, adam.v)]
        self._m, self._v = (moments.to(networks.flat.device) for moments in self._given)
        self._work = self._torch.empty_like(self._m)

    def clip_norm(self, limit: float) -> Any:
        """Shrinks the whole gradient to Euclidean norm ``limit``; the norm before, as a tensor."""
        gradient = self.networks.gradient
        norm = self._torch.linalg.vector_norm(gradient)
        gradient.mul_((limit / (norm + 1e-6)).clamp(max=1.0))
        return norm

    def step(self, rate: float) -> None:
        """One step down the gradient."""
        adam, gradient = self.adam, self.networks.gradient
        adam.t += 1
        root = float(np.sqrt(1.0 - adam.beta2**adam.t))
        self._m.lerp_(gradient, 1.0 - adam.beta1)
        self._v.mul_(adam.beta2).addcmul_(gradient, gradient, value=1.0 - adam.beta2)
        self._torch.sqrt(self._v, out=self._work).add_(adam.epsilon * root)
        self.networks.flat.addcdiv_(self._m, self._work, value=-rate * root / (1.0 - adam.beta1**adam.t))

    def push(self) -> None:
        """Writes the moments back, where they are not shared."""
        for given, moments in zip(self._given, (self._m, self._v), strict=True):
            if given is not moments:
                given.copy_(moments)
