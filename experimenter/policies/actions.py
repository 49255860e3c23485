"""How a network's output becomes an action: categorical for discrete spaces, Gaussian for continuous ones.

Each head knows its sampling, log-probability, entropy and their derivatives, so that the loss needs no framework.
*Raw* actions are what the distribution drew; *executed* ones are what the environment receives.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from experimenter.errors import EnvironmentFault

__all__ = ["ActionHead", "CategoricalHead", "GaussianHead", "HeadGradient", "Rngs", "Said", "head_for"]

Array = NDArray[np.floating[Any]]
Rngs = np.random.Generator | Sequence[np.random.Generator]
Said = Literal["distribution", "masked", "sde", "squashed", "values"]
LOG_TWO_PI = float(np.log(2.0 * np.pi))


@dataclass(frozen=True, slots=True)
class HeadGradient:
    """Log-probabilities (n,), entropies (n,), and the state from which ``ActionHead.backward`` goes on."""

    log_prob: Array
    entropy: Array
    saved: tuple[NDArray[Any], ...]


class ActionHead(ABC):
    """One kind of action distribution over ``outputs`` numbers; a raw action has ``width`` entries."""

    outputs: int
    width: int
    log_std: bool
    raw_dtype: Any
    sde: bool = False
    """Whether it reads the last hidden layer too, behind its outputs (``sde.py``)."""
    modes: tuple[Literal["sample", "greedy"], ...] = ("sample", "greedy")
    """How its policy may act; which one is better is asked on validation seeds."""

    def above(self, features: int) -> ActionHead:
        """This head on a network whose last hidden layer has so many units."""
        return self

    @abstractmethod
    def greedy(self, out: Array) -> NDArray[Any]:
        """The most probable raw actions (n, width)."""

    @abstractmethod
    def noise(self, rng: np.random.Generator, *rows: int) -> Array:
        """What sampling draws at random: (rows…, width), the same numbers in the same order as row by row."""

    def rollout_noise(
        self, rng: np.random.Generator, steps: int, rows: int, every: int = -1
    ) -> Sequence[Array]:
        """What a rollout of ``steps`` steps in ``rows`` environments draws, one entry for each step. Where noise is
        held, it is drawn anew after ``every`` steps; −1 holds it for the whole rollout."""
        drawn: Any = self.noise(rng, steps, rows)
        made: Sequence[Array] = drawn
        return made

    @abstractmethod
    def choose(self, out: Array, log_std: Array | None, noise: Array) -> NDArray[Any]:
        """Raw actions (n, width) for outputs (n, outputs), given what was drawn (n, width)."""

    def sample(self, out: Array, log_std: Array | None, rng: Rngs) -> NDArray[Any]:
        """Raw actions (n, width); ``rng`` is one generator or one for each row."""
        if isinstance(rng, np.random.Generator):
            return self.choose(out, log_std, self.noise(rng, len(out)))
        return self.choose(out, log_std, np.stack([self.noise(one) for one in rng]))

    @abstractmethod
    def execute(self, raw: NDArray[Any]) -> NDArray[Any]:
        """What the environment receives: (n,) int64, (n, d) int64, or (n, d) float32 inside the space."""

    @abstractmethod
    def forward(self, out: Array, log_std: Array | None, raw: NDArray[Any]) -> HeadGradient:
        """Log-probabilities and entropies of raw actions."""

    @abstractmethod
    def backward(self, made: HeadGradient, d_log_prob: Array, d_entropy: float) -> tuple[Array, Array | None]:
        """Derivatives by the output (n, outputs) and by ``log_std``, given those by log-probability (n,)
        and by each row's entropy (one number)."""


class CategoricalHead(ActionHead):
    """Independent categorical choices: Discrete (one), MultiDiscrete and MultiBinary (several)."""

    log_std = False
    raw_dtype = np.int64

    def __init__(self, sizes: Sequence[int], start: Sequence[int], single: bool) -> None:
        self.sizes = tuple(int(s) for s in sizes)
        self.outputs, self.width = sum(self.sizes), len(self.sizes)
        self.start = np.asarray(start, dtype=np.int64)
        self.single = single
        edges = np.cumsum([0, *self.sizes])
        self.parts = [slice(int(a), int(b)) for a, b in pairwise(edges)]

    def greedy(self, out: Array) -> NDArray[Any]:
        return np.stack([out[:, part].argmax(axis=1) for part in self.parts], axis=1)

    def noise(self, rng: np.random.Generator, *rows: int) -> Array:
        return rng.random((*rows, self.width))

    def choose(self, out: Array, log_std: Array | None, noise: Array) -> NDArray[Any]:
        raw = np.empty((len(out), self.width), dtype=np.int64)
        lying = np.ascontiguousarray(out.T)
        for i, part in enumerate(self.parts):
            logits = lying[part]
            edges = np.add.accumulate(np.exp(logits - np.maximum.reduce(logits, axis=0)), axis=0)
            passed = edges[:-1] < noise[:, i] * edges[-1]
            raw[:, i] = passed[0] if len(passed) == 1 else np.add.reduce(passed, axis=0)
        return raw

    def execute(self, raw: NDArray[Any]) -> NDArray[Any]:
        executed: NDArray[Any] = raw + self.start
        return executed[:, 0] if self.single else executed

    def forward(self, out: Array, log_std: Array | None, raw: NDArray[Any]) -> HeadGradient:
        # A choice on each row: sums over a few choices are quick across rows, and slow along them.
        lying, rows = np.ascontiguousarray(out.T), np.arange(len(out))
        log_all, p_all = np.empty_like(lying), np.empty_like(lying)
        log_prob, entropy = np.zeros(len(out), out.dtype), np.empty((self.width, len(out)), out.dtype)
        chosen = [(raw[:, i] + part.start) * len(out) + rows for i, part in enumerate(self.parts)]
        for i, part in enumerate(self.parts):
            log, p = log_all[part], p_all[part]
            np.subtract(lying[part], np.maximum.reduce(lying[part], axis=0), out=log)
            np.exp(log, out=p)
            total = np.add.reduce(p, axis=0)
            log -= np.log(total)
            p /= total
            entropy[i] = -np.add.reduce(p * log, axis=0)
            log_prob += log_all.reshape(-1).take(chosen[i])
        return HeadGradient(log_prob, np.add.reduce(entropy, axis=0), (log_all, p_all, entropy, *chosen))

    def backward(self, made: HeadGradient, d_log_prob: Array, d_entropy: float) -> tuple[Array, Array | None]:
        log_all, p_all, entropy, *chosen = made.saved
        d_out: Array = p_all * -d_log_prob
        for i, part in enumerate(self.parts):
            d_out.reshape(-1)[chosen[i]] += d_log_prob
            if d_entropy:
                d_out[part] -= d_entropy * p_all[part] * (log_all[part] + entropy[i])
        return np.ascontiguousarray(d_out.T), None


class GaussianHead(ActionHead):
    """A diagonal Gaussian over the space rescaled to ±1 where it is bounded; executed actions are clipped."""

    log_std = True
    raw_dtype = np.float32

    def __init__(self, low: Array, high: Array) -> None:
        self.low, self.high = low.astype(np.float32), high.astype(np.float32)
        self.outputs = self.width = int(low.size)
        bounded = np.isfinite(low) & np.isfinite(high)
        with np.errstate(invalid="ignore", over="ignore"):
            self.middle = np.where(bounded, (low + high) / 2.0, 0.0).astype(np.float32)
            self.half = np.where(bounded, (high - low) / 2.0, 1.0).astype(np.float32)

    def greedy(self, out: Array) -> NDArray[Any]:
        return out.astype(np.float32)

    def noise(self, rng: np.random.Generator, *rows: int) -> Array:
        return rng.standard_normal((*rows, self.width))

    def choose(self, out: Array, log_std: Array | None, noise: Array) -> NDArray[Any]:
        assert log_std is not None
        drawn: NDArray[Any] = out + np.exp(log_std) * noise
        return drawn.astype(np.float32)

    def execute(self, raw: NDArray[Any]) -> NDArray[Any]:
        executed = np.clip(self.middle + self.half * raw, self.low, self.high)
        return np.asarray(executed, dtype=np.float32)

    def forward(self, out: Array, log_std: Array | None, raw: NDArray[Any]) -> HeadGradient:
        assert log_std is not None
        scaled = (raw - out) * np.exp(-log_std)
        log_prob = (-0.5 * np.square(scaled) - log_std - 0.5 * LOG_TWO_PI).sum(axis=1)
        entropy = np.full(len(out), (log_std + 0.5 * (1.0 + LOG_TWO_PI)).sum(), dtype=out.dtype)
        return HeadGradient(log_prob, entropy, (scaled, log_std))

    def backward(self, made: HeadGradient, d_log_prob: Array, d_entropy: float) -> tuple[Array, Array | None]:
        scaled, log_std = made.saved
        d_out = d_log_prob[:, None] * scaled * np.exp(-log_std)
        d_std = (d_log_prob[:, None] * (np.square(scaled) - 1.0)).sum(axis=0) + d_entropy * len(scaled)
        return d_out, d_std


def head_for(space: Any, said: Said = "distribution") -> ActionHead:
    """The head for a Gymnasium action space and what the network says about it: the distribution that PPO learns, one
    whose deviation depends on the state (``sde.py``), choices of which some are impossible (``masked.py``), or what
    off-policy algorithms do (``squashed.py``).

    Raises EnvironmentFault for a kind that cannot be learnt, TrainingFault for one that the network cannot speak of.
    """
    if said == "sde":
        from experimenter.policies.sde import sde_head

        return sde_head(space)
    if said == "masked":
        from experimenter.policies.masked import masked_head

        return masked_head(head_for(space))
    if said != "distribution":
        from experimenter.policies.squashed import off_policy_head

        return off_policy_head(space, said)
    kind = type(space).__name__
    if kind == "Discrete":
        return CategoricalHead([space.n], [space.start], single=True)
    if kind == "MultiDiscrete":
        start = np.asarray(getattr(space, "start", np.zeros_like(space.nvec)))
        return CategoricalHead(space.nvec.reshape(-1).tolist(), start.reshape(-1).tolist(), single=False)
    if kind == "MultiBinary":
        return CategoricalHead([2] * int(np.prod(space.shape)), [0] * int(np.prod(space.shape)), single=False)
    if kind == "Box":
        return GaussianHead(space.low.reshape(-1), space.high.reshape(-1))
    raise EnvironmentFault(
        f"actions of kind {kind} cannot be learnt",
        "Wrap the environment so that its action space is Discrete, MultiDiscrete, MultiBinary or Box.",
    )
