"""Deep Q-learning with hand-derived gradients, to be read from top to bottom.

Method: Mnih et al. 2015: a target network, the Huber loss, actions drawn at random with a falling share. With
``double_q`` the learning network chooses the next action and the target network values it (van Hasselt et al. 2016).
The tests compare an update with that of Stable-Baselines3, weight by weight.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experimenter.rl.adam import clip_norm
from experimenter.rl.offpolicy.batch import Batch
from experimenter.rl.offpolicy.losses import DQNLosses
from experimenter.rl.offpolicy.optimiser import Adam
from experimenter.rl.offpolicy.perceptron import Activation, Pass, Perceptrons, uniform_weights

__all__ = ["DQNLearner", "DQNShape"]

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class DQNShape:
    """Where each part lies in the flat vector: the learning network, then the target network."""

    network: Perceptrons

    @classmethod
    def of(cls, inputs: int, hidden: tuple[int, ...], actions: int, kind: Activation = "relu") -> DQNShape:
        return cls(Perceptrons(1, inputs, hidden, actions, kind))

    @property
    def learnt(self) -> int:
        return self.network.size

    @property
    def size(self) -> int:
        return 2 * self.network.size

    def fresh(self, rng: np.random.Generator) -> Floats:
        """A flat vector of new weights, with both networks equal."""
        flat = np.zeros(self.size, np.float32)
        uniform_weights(self.network, flat[: self.learnt], rng)
        flat[self.learnt :] = flat[: self.learnt]
        return flat


class DQNLearner:
    """Updates ``flat`` in place; ``adam`` has ``m``, ``v`` (``learnt`` numbers) and ``t``, which counts updates."""

    def __init__(
        self,
        shape: DQNShape,
        flat: Floats,
        batch_size: int,
        *,
        gamma: float,
        tau: float,
        target_update_interval: int,
        double_q: bool,
        max_grad_norm: float,
    ) -> None:
        self.shape, self.flat, self.n = shape, flat, batch_size
        self.gamma, self.tau, self.interval = gamma, tau, target_update_interval
        self.double_q, self.max_grad_norm = double_q, max_grad_norm
        self.gradient = np.zeros(shape.learnt, np.float32)
        self.adam = Adam(shape.learnt)
        self._online, self._target = flat[: shape.learnt], flat[shape.learnt :]
        self._layers = shape.network.layers(self._online)
        self._targets = shape.network.layers(self._target)
        self._d_layers = shape.network.layers(self.gradient)
        self._now, self._next = Pass(shape.network, batch_size), Pass(shape.network, batch_size)
        self._rows = np.arange(batch_size)

    def update(self, batch: Batch, rate: float) -> DQNLosses:
        """One step down the Huber loss, and, when it is time, one of the target network."""
        self.adam.begin()
        n, rows, action = self.n, self._rows, batch.action[:, 0].astype(np.int64)
        target = batch.reward + self.gamma * batch.keep * self._following(batch.next_obs)
        q = self._now.forward(self._layers, batch.obs)[0]
        chosen = q[rows, action]
        error = chosen - target
        small = np.clip(error, -1.0, 1.0)
        # Huber's loss is small · (error − small / 2), and its derivative is small.
        loss, mean = float(np.dot(small, error - 0.5 * small)) / n, float(chosen.mean())
        d_q = np.zeros((1, *q.shape), np.float32)
        d_q[0, rows, action] = small / n
        self._now.backward(self._layers, batch.obs, d_q, self._d_layers, n)
        norm = clip_norm(self.gradient, self.max_grad_norm)
        self.adam.step(self.flat, self.gradient, slice(0, self.shape.learnt), rate)
        if self.adam.t % self.interval == 0:
            self._target += self.tau * (self._online - self._target)
        return DQNLosses(loss, mean, norm)

    def _following(self, next_obs: Floats) -> Floats:
        """The value (n,) of what comes next."""
        value = self._next.forward(self._targets, next_obs)[0]
        if not self.double_q:
            highest: Floats = value.max(axis=1)
            return highest
        chosen = self._now.forward(self._layers, next_obs)[0].argmax(axis=1)
        return np.asarray(value[self._rows, chosen])
