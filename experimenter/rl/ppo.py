"""Proximal policy optimisation, from rollout to update, to be read from top to bottom.

Method: Schulman et al. 2017, with the details that matter of Huang et al. 2022 (CleanRL): orthogonal weights,
advantages normalised in each minibatch, a linearly falling learning rate, a bound on the gradient's norm. The value
loss is not clipped. Truncation bootstraps from the true final observation, termination does not (Pardo et al. 2018).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from experimenter.errors import TrainingFault
from experimenter.policies.actions import ActionHead, Said
from experimenter.policies.network import Shape, hidden_layers, views
from experimenter.policies.scratch import Scratch
from experimenter.records import Design, Hyperparameters
from experimenter.rl.adam import Adam, clip_norm
from experimenter.rl.dormant import dormant_share
from experimenter.rl.gradient import LossWeights, Minibatch, heads, loss_and_gradient
from experimenter.rl.plugin import AlgorithmPlugin

if TYPE_CHECKING:
    from experimenter.rl.course import OnPolicy

__all__ = [
    "PPO",
    "Advantages",
    "Learner",
    "Rollout",
    "UpdateStats",
    "advantages",
    "explained_variance_of",
    "minibatches",
]

Array = NDArray[np.floating[Any]]
Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]


# Rows whose activations stay in the second-level cache.
_BLOCK: Final = 256


class PPO(AlgorithmPlugin):
    """The built-in algorithm plug-in."""

    name: ClassVar[str] = "ppo"

    def says(self, design: Design) -> Said:
        """Raises TrainingFault where phases would need different networks."""
        chosen = {phase.hyperparameters.sde for phase in design.phases}
        if len(chosen) > 1:
            raise TrainingFault(
                "some phases of the design explore by the state (`sde`) and others do not",
                "Set `sde` alike in the hyperparameters of every phase: it is part of the network.",
            )
        return "sde" if chosen.pop() else "distribution"

    def course(self, job: Any, policy: Any, state: Any, account: Any) -> OnPolicy:
        """See ``experimenter.contracts.Algorithm``."""
        from experimenter.rl.course import OnPolicy

        return OnPolicy(job, policy, state, account)


@dataclass(frozen=True, slots=True)
class Rollout:
    """What a rollout learns from, time first: ``obs`` (T, N, inputs), ``raw`` (T, N, width), the rest (T, N).

    ``final_obs`` holds the encoded true final
    observations of truncated steps, at ``final_at`` = (times, environments), and ``last_obs`` (N, inputs) what follows.
    """

    obs: Floats
    raw: NDArray[Any]
    reward: Floats
    terminated: Flags
    truncated: Flags
    final_obs: Floats
    final_at: tuple[NDArray[np.int64], NDArray[np.int64]]
    last_obs: Floats


@dataclass(frozen=True, slots=True)
class Advantages:
    advantage: Floats
    target: Floats


@dataclass(frozen=True, slots=True)
class UpdateStats:
    """Means over an update's minibatches, by CleanRL's names in ``metrics.jsonl``."""

    policy_loss: float
    value_loss: float
    entropy: float
    approx_kl: float
    clipfrac: float
    grad_norm: float
    explained_variance: float
    finite: bool


def advantages(
    reward: Floats,
    value: Floats,
    next_value: Floats,
    terminated: Flags,
    truncated: Flags,
    gamma: float,
    lam: float,
) -> Advantages:
    """Generalised advantage estimation (Schulman et al. 2016) over (T, N).

    ``next_value`` is the value of the observation that truly followed each step, before any reset. It is ignored
    where the episode terminated; traces are cut where it ended either way.
    """
    delta = reward + gamma * next_value * ~terminated - value
    keep = ((gamma * lam) * ~(terminated | truncated)).astype(value.dtype)
    result = np.empty_like(value)
    running = np.zeros(value.shape[1], dtype=value.dtype)
    for now, kept, made in zip(delta[::-1], keep[::-1], result[::-1], strict=True):
        running = np.multiply(kept, running, out=made)
        running += now
    return Advantages(result, result + value)


class Learner:
    """The networks and their optimiser: acts during rollouts, learns after each."""

    def __init__(self, shape: Shape, head: ActionHead, flat: Floats) -> None:
        self.shape, self.head, self.flat = shape, head, flat
        self.params = views(flat, shape)
        self.adam = Adam(shape.size)
        self._flat_gradient = np.zeros_like(flat)
        self._gradient = views(self._flat_gradient, shape)
        self._scratch = Scratch()

    def next_values(self, rollout: Rollout, value: Floats) -> Floats:
        """(T, N) values of what truly followed each step."""
        from experimenter.policies.network import values

        following = np.empty_like(value)
        following[:-1] = value[1:]
        following[-1] = values(self.params, self.shape, rollout.last_obs)
        if len(rollout.final_obs):
            following[rollout.final_at] = values(self.params, self.shape, rollout.final_obs)
        return following

    def update(
        self, rollout: Rollout, hyper: Hyperparameters, rate: float, rng: np.random.Generator
    ) -> UpdateStats:
        """``update_epochs`` passes over one rollout at learning rate ``rate``."""
        steps, envs, inputs = rollout.obs.shape
        obs, raw = rollout.obs.reshape(-1, inputs), rollout.raw.reshape(steps * envs, -1)
        log_prob, value = self._judge(obs, raw)
        value = value.reshape(steps, envs)
        gae = advantages(
            rollout.reward, value, self.next_values(rollout, value),
            rollout.terminated, rollout.truncated, hyper.gamma, hyper.gae_lambda,
        )  # fmt: skip
        whole = Minibatch(obs, raw, log_prob, gae.advantage.reshape(-1), gae.target.reshape(-1))
        sums, norm, count = np.zeros(5), 0.0, 0
        weights = LossWeights(hyper.clip_coef, hyper.ent_coef, hyper.vf_coef)
        for _ in range(hyper.update_epochs):
            for batch in self._shuffled(whole, hyper.minibatch_size, rng):
                loss = loss_and_gradient(
                    self.params, self.shape, self.head, batch, weights, self._gradient, self._scratch
                )
                norm += clip_norm(self._flat_gradient, hyper.max_grad_norm)
                self.adam.step(self.flat, self._flat_gradient, rate)
                sums += (loss.policy, loss.value, loss.entropy, loss.approx_kl, loss.clip_share)
                count += 1
        finite = bool(np.isfinite(sums).all() and np.isfinite(norm) and np.isfinite(self.flat).all())
        policy, critic, entropy, kl, clipped = (float(x) for x in sums / count)
        explained = explained_variance_of(value.reshape(-1), whole.target)
        return UpdateStats(policy, critic, entropy, kl, clipped, norm / count, explained, finite)

    def _shuffled(self, whole: Minibatch, size: int, rng: np.random.Generator) -> Iterator[Minibatch]:
        """One epoch's minibatches, each gathered only when it is learnt from: it is in the cache then."""
        order, start = rng.permutation(len(whole.obs)), 0
        for length in _lengths(len(order), size):
            part = order[start : start + length]
            start += length
            obs, raw, log_prob, advantage, target = (
                self._gathered(name, array, part) for name, array in whole.named()
            )
            yield Minibatch(obs, raw, log_prob, _standardised(advantage), target)

    def _gathered(self, name: str, array: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[Any]:
        """Some rows, in the place that the last ones of this name and number stood in."""
        room = self._scratch.array(name, (len(rows), *array.shape[1:]), array.dtype)
        return np.take(array, rows, axis=0, mode="clip", out=room)

    def _judge(self, obs: Floats, raw: NDArray[Any]) -> tuple[Array, Array]:
        """Log-probabilities and values (n,) of a whole rollout."""
        out, value = np.empty((len(obs), self.head.outputs), obs.dtype), np.empty(len(obs), obs.dtype)
        for start in range(0, len(obs), _BLOCK):
            part = slice(start, start + _BLOCK)
            out[part], value[part] = heads(self.params, self.shape, obs[part], self._scratch)[1:]
        return self.head.forward(out, self.params.get("actor.log_std"), raw).log_prob, value

    def dormant_share(self, obs: Floats, threshold: float = 0.025) -> float:
        """Share of hidden units that hardly react to ``obs`` (n, inputs)."""
        return dormant_share(hidden_layers(self.params, self.shape, obs), threshold)


def minibatches(n: int, size: int, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """A random split of ``range(n)`` into nearly equal parts of about ``size``."""
    return np.split(rng.permutation(n), np.cumsum(_lengths(n, size))[:-1])


def _lengths(n: int, size: int) -> list[int]:
    """Of the parts that ``n`` rows are split into, the longer ones first."""
    parts = max(1, round(n / size))
    return [n // parts + (i < n % parts) for i in range(parts)]


def _standardised(advantage: Floats) -> Floats:
    """What mean and std say, without their wrappers' checks."""
    n = len(advantage)
    if n < 2:
        return advantage
    spread: Floats = advantage - np.add.reduce(advantage) / n
    spread /= np.sqrt(np.add.reduce(np.square(spread)) / (n - 1)) + 1e-8
    return spread


def explained_variance_of(value: Array, target: Array) -> float:
    """1 − var(error)/var(target): 1 is a perfect critic, 0 no better than a constant."""
    spread = float(target.var())
    return 1.0 - float((target - value).var()) / spread if spread > 0 else 0.0
