"""Running mean and variance of observations and of rewards, so that networks see numbers of order one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Moments", "Normaliser", "RewardScaler", "normalised"]

Floats = NDArray[np.floating[Any]]
CLIP = 10.0
EPSILON = 1e-8


def normalised(batch: NDArray[np.float32], mean: Floats, scale: Floats) -> NDArray[np.float32]:
    """A float32 copy of (n, size), shifted, scaled and clipped; two comparisons are quicker than ``clip``'s wrapper."""
    scaled = batch - mean
    scaled *= scale
    np.minimum(scaled, CLIP, out=scaled)
    return np.maximum(scaled, -CLIP, out=scaled)


class Moments:
    """Running mean and (population) variance per column, merged batch by batch.

    Method: Chan, Golub and LeVeque's parallel algorithm (1979), in float64.
    """

    def __init__(self, size: int) -> None:
        self.mean = np.zeros(size)
        self.var = np.ones(size)
        self.count = 0.0

    def update(self, batch: Floats) -> None:
        """Merge a batch (n, size); an empty one changes nothing."""
        n = float(len(batch))
        if n == 0:
            return
        mean = batch.mean(axis=0, dtype=np.float64)
        var = np.square(batch - mean).mean(axis=0, dtype=np.float64)
        total = self.count + n
        delta = mean - self.mean
        spread = (self.var * self.count) + var * n + delta**2 * (self.count * n / total)
        self.mean = self.mean + delta * (n / total)
        self.var = spread / total
        self.count = total


class Normaliser:
    """Shifts and scales observations (n, size) to mean 0 and variance 1, clipped to ±10."""

    def __init__(self, size: int) -> None:
        self.moments = Moments(size)
        self._cache()

    def _cache(self) -> None:
        self._mean = self.moments.mean.astype(np.float32)
        self._scale = (1.0 / np.sqrt(self.moments.var + EPSILON)).astype(np.float32)

    @property
    def count(self) -> float:
        return self.moments.count

    @property
    def mean(self) -> NDArray[np.float32]:
        """float32 (size,): what ``apply`` takes away."""
        return self._mean

    @property
    def scale(self) -> NDArray[np.float32]:
        """float32 (size,): what ``apply`` multiplies with."""
        return self._scale

    def update(self, batch: Floats) -> None:
        """Learn from encoded observations (n, size); called in training only."""
        self.moments.update(batch)
        self._cache()

    def apply(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Normalised float32 copy of (n, size)."""
        return normalised(batch, self._mean, self._scale)

    def to_json(self) -> dict[str, Any]:
        m = self.moments
        return {"mean": m.mean.tolist(), "var": m.var.tolist(), "count": m.count}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Normaliser:
        made = cls(len(value["mean"]))
        made.moments.mean = np.asarray(value["mean"], dtype=np.float64)
        made.moments.var = np.asarray(value["var"], dtype=np.float64)
        made.moments.count = float(value["count"])
        made._cache()
        return made

    def copy(self) -> Normaliser:
        return Normaliser.from_json(self.to_json())


class RewardScaler:
    """Divides rewards by the running deviation of the discounted return, clipped to ±10.

    Method: Gymnasium's ``NormalizeReward``; here a whole rollout is learnt from before it is scaled, so that
    every reward of a rollout has one scale. The running return starts anew with each episode.
    """

    def __init__(self, num_envs: int, gamma: float) -> None:
        self.gamma = gamma
        self.moments = Moments(1)
        self.running = np.zeros(num_envs)

    @property
    def saved(self) -> tuple[float, float, float]:
        """Mean, variance and count of the discounted returns: all that outlives a restart."""
        m = self.moments
        return float(m.mean[0]), float(m.var[0]), m.count

    def restore(self, saved: tuple[float, float, float]) -> None:
        mean, var, self.moments.count = saved
        self.moments.mean, self.moments.var = np.array([mean]), np.array([var])

    def restart(self) -> None:
        """Forget unfinished episodes (all environments were reset)."""
        self.running = np.zeros_like(self.running)

    def scale(self, rewards: Floats, done: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Scaled rewards, float32 (num_steps, num_envs), after learning from them."""
        returns = np.empty(rewards.shape)
        running = self.running
        for t in range(len(rewards)):
            running = running * self.gamma + rewards[t]
            returns[t] = running
            running = np.where(done[t], 0.0, running)
        self.running = running
        self.moments.update(returns.reshape(-1, 1))
        scaled = rewards / np.sqrt(self.moments.var[0] + EPSILON)
        clipped: NDArray[np.float32] = np.clip(scaled, -CLIP, CLIP).astype(np.float32)
        return clipped
