"""Soft actor-critic with hand-derived gradients, to be read from top to bottom.

Method: Haarnoja et al. 2018 (arXiv 1812.05905): two critics, of which the smaller value counts; a squashed Gaussian
actor; a temperature that is learnt so that the entropy comes to a target. The order within an update is that of
Stable-Baselines3: temperature, critics, actor, targets; the tests compare both, weight by weight.

Three things make it cheap. The actor sees observations and next observations in one pass, since its weights are the
same for both. Its gradient goes, in each row, only through the critic whose value is the smaller one, so that half
of that product is never computed. And nothing is allocated or recorded on the way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from experimenter.policies.squashed import LOG_STD_MAX, LOG_STD_MIN
from experimenter.rl.offpolicy.batch import Batch
from experimenter.rl.offpolicy.losses import SACLosses
from experimenter.rl.offpolicy.optimiser import Adam
from experimenter.rl.offpolicy.perceptron import (
    Activation,
    Array,
    Pass,
    Perceptrons,
    mask_inactive,
    uniform_weights,
)

__all__ = ["SACLearner", "SACShape"]

Floats = NDArray[np.float32]
LOG_TWO_PI: Final = float(np.log(2.0 * np.pi))
LOG_TWO: Final = float(np.log(2.0))


@dataclass(frozen=True, slots=True)
class SACShape:
    """Where each part lies in the flat vector: actor, both critics, logarithm of the temperature, target critics.

    Only what stands before the targets has a gradient: ``learnt`` numbers.
    """

    actor: Perceptrons
    critics: Perceptrons

    @classmethod
    def of(cls, inputs: int, hidden: tuple[int, ...], actions: int, kind: Activation = "relu") -> SACShape:
        return cls(
            Perceptrons(1, inputs, hidden, 2 * actions, kind),
            Perceptrons(2, inputs + actions, hidden, 1, kind),
        )

    @property
    def learnt(self) -> int:
        return self.actor.size + self.critics.size + 1

    @property
    def size(self) -> int:
        return self.learnt + self.critics.size

    def fresh(self, rng: np.random.Generator, alpha: float) -> Floats:
        """A flat vector of new weights, with the targets equal to the critics."""
        flat = np.zeros(self.size, np.float32)
        edge = self.actor.size + self.critics.size
        uniform_weights(self.actor, flat[: self.actor.size], rng)
        uniform_weights(self.critics, flat[self.actor.size : edge], rng)
        flat[edge] = np.log(alpha)
        flat[self.learnt :] = flat[self.actor.size : edge]
        return flat


class SACLearner:
    """Updates ``flat`` in place; ``m`` and ``v`` (``learnt`` numbers) and ``t`` are Adam's."""

    def __init__(
        self,
        shape: SACShape,
        flat: Floats,
        batch_size: int,
        *,
        gamma: float,
        tau: float,
        target_update_interval: int,
        target_entropy: float,
        learns_alpha: bool,
    ) -> None:
        self.shape, self.flat = shape, flat
        self.gamma, self.tau, self.interval = gamma, tau, target_update_interval
        self.target_entropy, self.learns_alpha = target_entropy, learns_alpha
        self.gradient = np.zeros(shape.learnt, np.float32)
        edge, actor = shape.actor.size + shape.critics.size, shape.actor.size
        self._parts = {
            "actor": slice(0, actor),
            "critics": slice(actor, edge),
            "alpha": slice(edge, edge + 1),
        }
        self._actor = shape.actor.layers(flat[:actor])
        self._critics = shape.critics.layers(flat[actor:edge])
        self._targets = shape.critics.layers(flat[shape.learnt :])
        self._d_actor = shape.actor.layers(self.gradient[:actor])
        self._d_critics = shape.critics.layers(self.gradient[actor:edge])
        self._online, self._target = flat[actor:edge], flat[shape.learnt :]
        self._lag = np.empty_like(self._online)
        self._log_alpha = flat[edge : edge + 1]
        self.adam = Adam(shape.learnt)
        n, d = batch_size, shape.actor.outputs // 2
        self.n, self.d = n, d
        self._both = np.empty((2 * n, shape.actor.inputs), np.float32)
        self._sa = np.empty((n, shape.critics.inputs), np.float32)
        self._actor_pass, self._critic_pass = Pass(shape.actor, 2 * n), Pass(shape.critics, n)

    @property
    def alpha(self) -> float:
        """The entropy's temperature."""
        return float(np.exp(self._log_alpha[0]))

    def update(self, batch: Batch, noise: Array, rate: float) -> SACLosses:
        """One step of temperature, critics, actor and targets. ``noise`` (2n, d) is standard normal: the first n
        rows for actions at ``obs``, the others for those at ``next_obs``."""
        self.adam.begin()
        n, alpha = self.n, self.alpha
        drawn = self._act(batch, noise)
        alpha_loss = self._learn_alpha(drawn.log_prob[:n], rate)
        qf_loss, qf_values = self._learn_critics(batch, drawn, alpha, rate)
        actor_loss = self._learn_actor(batch, drawn, alpha, rate)
        if self.adam.t % self.interval == 0:
            np.subtract(self._online, self._target, out=self._lag)
            self._lag *= self.tau
            self._target += self._lag
        entropy = -float(drawn.log_prob[:n].mean())
        return SACLosses(qf_loss, actor_loss, alpha_loss, alpha, qf_values, entropy)

    def _act(self, batch: Batch, noise: Array) -> _Drawn:
        """Actions and log-probabilities at observations and next observations, with what their gradient needs.

        log(1 − tanh²u) = 2 (log 2 − u − softplus(−2u)) stays exact where tanh saturates.
        """
        self._both[: self.n], self._both[self.n :] = batch.obs, batch.next_obs
        out = self._actor_pass.forward(self._actor, self._both)[0]
        mean, free = out[:, : self.d], out[:, self.d :]
        log_std = np.clip(free, LOG_STD_MIN, LOG_STD_MAX)
        spread = np.exp(log_std)
        spread *= noise
        u = mean + spread
        each = np.logaddexp(0.0, -2.0 * u)
        each += u
        each -= LOG_TWO
        each *= 2.0
        each -= log_std
        each -= 0.5 * np.square(noise)
        each -= 0.5 * LOG_TWO_PI
        return _Drawn(np.tanh(u), each.sum(axis=1), spread, log_std == free)

    def _learn_alpha(self, log_prob: Array, rate: float) -> float:
        if not self.learns_alpha:
            return 0.0
        gap = float(log_prob.mean()) + self.target_entropy
        loss = -float(self._log_alpha[0]) * gap
        self.gradient[-1] = -gap
        self._step("alpha", rate)
        return loss

    def _learn_critics(self, batch: Batch, drawn: _Drawn, alpha: float, rate: float) -> tuple[float, float]:
        n, sa, inputs = self.n, self._sa, self.shape.actor.inputs
        sa[:, :inputs], sa[:, inputs:] = batch.next_obs, drawn.action[n:]
        following = self._critic_pass.forward(self._targets, sa)[:, :, 0].min(axis=0)
        following -= alpha * drawn.log_prob[n:]
        target = batch.reward + self.gamma * batch.keep * following
        sa[:, :inputs], sa[:, inputs:] = batch.obs, batch.action
        q = self._critic_pass.forward(self._critics, sa)[:, :, 0]
        mean = float(q.mean())
        error = q - target
        loss = 0.5 * float(np.dot(error.reshape(-1), error.reshape(-1))) / n
        error /= n
        self._critic_pass.backward(self._critics, sa, error[:, :, None], self._d_critics, n)
        self._step("critics", rate)
        return loss, mean

    def _learn_actor(self, batch: Batch, drawn: _Drawn, alpha: float, rate: float) -> float:
        n, d, inputs = self.n, self.d, self.shape.actor.inputs
        action, log_prob = drawn.action[:n], drawn.log_prob[:n]
        self._sa[:, inputs:] = action
        q = self._critic_pass.forward(self._critics, self._sa)[:, :, 0]
        loss = (alpha * float(log_prob.sum()) - float(q.min(axis=0).sum())) / n
        d_action = self._through_smaller(q)
        # By the number before squashing: from the critic, through tanh, and from its own log-probability.
        d_u = 1.0 - np.square(action)
        d_u *= d_action
        d_u += (2.0 * alpha / n) * action
        d_out = np.empty((1, n, 2 * d), np.float32)
        d_out[0, :, :d] = d_u
        np.multiply(d_u, drawn.spread[:n], out=d_u)
        d_u -= alpha / n
        np.multiply(d_u, drawn.free[:n], out=d_out[0, :, d:])
        self._actor_pass.backward(self._actor, self._both, d_out, self._d_actor, n)
        self._step("actor", rate)
        return loss

    def _through_smaller(self, q: Array) -> Array:
        """The derivative (n, d) of −mean(min(q₀, q₁)) by the actions of the last critics' pass.

        The gradient of a minimum is that of its smaller argument: each row goes back through one critic only.
        """
        n, inputs, kind = self.n, self.shape.actor.inputs, self.shape.critics.activation
        made = np.empty((n, self.d), np.float32)
        first = q[0] <= q[1]
        for critic, rows in enumerate((np.flatnonzero(first), np.flatnonzero(~first))):
            d_z: Array = np.full((len(rows), 1), -1.0 / n, np.float32)
            for i in range(len(self._critics) - 1, 0, -1):
                d_z = d_z @ self._critics[i].weight[critic].T
                h = self._critic_pass.h[i - 1][critic].take(rows, axis=0)
                mask_inactive(d_z, h, kind, h)
            made[rows] = d_z @ self._critics[0].weight[critic, inputs:].T
        return made

    def _step(self, part: str, rate: float) -> None:
        where = self._parts[part]
        self.adam.step(self.flat, self.gradient, where, rate)


@dataclass(frozen=True, slots=True)
class _Drawn:
    """Squashed ``action`` (2n, d), ``log_prob`` (2n,), deviation times noise (2n, d), and where the logarithm of the
    deviation was not held at a bound."""

    action: Array
    log_prob: Array
    spread: Array
    free: NDArray[np.bool_]
