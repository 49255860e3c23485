"""State-dependent exploration: noise that stays the same function of the state for a while, so that motion is smooth.

A diagonal Gaussian draws anew at every step, and a car that shakes does not climb. Here a matrix is drawn and held, and
the noise is what it makes of the last hidden layer. Method: Raffin, Kober and Stulp 2021, "Smooth Exploration for
Robotic Reinforcement Learning" (gSDE), with a deviation for each weight of the matrix, as Stable-Baselines3 has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from experimenter.errors import TrainingFault
from experimenter.policies.actions import LOG_TWO_PI, Array, GaussianHead, HeadGradient

__all__ = ["EPSILON", "SDEHead", "sde_head"]

EPSILON: Final = 1e-6
"""Added to the variance, which is zero where no hidden unit is active."""


class SDEHead(GaussianHead):
    """A Gaussian whose deviations follow from the state.

    Its outputs are the means (n, width) and behind them the last hidden layer (n, features); ``log_std`` is (features,
    width). What is drawn is a matrix (features, width) for each row, of standard normal numbers that are scaled by
    exp(``log_std``). Whoever acts by sampling without holding a matrix gets a new one for each step: an action of the
    same distribution, but none that is smooth, and so such a policy is validated and judged by its means alone.
    """

    modes = ("greedy",)
    sde = True

    def __init__(self, low: Array, high: Array, features: int = 0) -> None:
        super().__init__(low, high)
        self.features = features

    def above(self, features: int) -> SDEHead:
        return SDEHead(self.low, self.high, features)

    def greedy(self, out: Array) -> NDArray[Any]:
        return out[:, : self.width].astype(np.float32)

    def noise(self, rng: np.random.Generator, *rows: int) -> Array:
        return rng.standard_normal((*rows, self.features, self.width))

    def rollout_noise(
        self, rng: np.random.Generator, steps: int, rows: int, every: int = -1
    ) -> Sequence[Array]:
        held = steps if every < 1 else every
        drawn = [self.noise(rng, rows) for _ in range(0, steps, held)]
        return [drawn[t // held] for t in range(steps)]

    def choose(self, out: Array, log_std: Array | None, noise: Array) -> NDArray[Any]:
        assert log_std is not None
        mean, hidden = out[:, : self.width], out[:, self.width :]
        moved = np.matmul(hidden[:, None, :], np.exp(log_std) * noise)[:, 0]
        drawn: NDArray[Any] = mean + moved
        return drawn.astype(np.float32)

    def forward(self, out: Array, log_std: Array | None, raw: NDArray[Any]) -> HeadGradient:
        assert log_std is not None
        mean, hidden = out[:, : self.width], out[:, self.width :]
        variance = np.square(hidden) @ np.exp(2.0 * log_std) + EPSILON
        log_variance = np.log(variance)
        each = -0.5 * (np.square(raw - mean) / variance + log_variance + LOG_TWO_PI)
        entropy = 0.5 * (log_variance + 1.0 + LOG_TWO_PI)
        return HeadGradient(each.sum(axis=1), entropy.sum(axis=1), ())

    def backward(self, made: HeadGradient, d_log_prob: Array, d_entropy: float) -> tuple[Array, Array | None]:
        raise AssertionError("nobody derived this gradient: PyTorch's is used")


def sde_head(space: Any) -> SDEHead:
    """The head for a Gymnasium action space, before it is put ``above`` a network. Raises TrainingFault where actions
    are not continuous."""
    kind = type(space).__name__
    if kind != "Box":
        raise TrainingFault(
            f"state-dependent exploration needs continuous actions (Box), and this environment's are of kind {kind}",
            "Leave out the hyperparameter `sde`.",
        )
    return SDEHead(space.low.reshape(-1), space.high.reshape(-1))
