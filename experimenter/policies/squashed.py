"""The heads of off-policy algorithms: SAC's squashed Gaussian and DQN's choice of the highest value.

Both only act. Their learners differentiate by themselves, since SAC's gradient goes through the drawn action and
DQN's through no distribution at all.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from experimenter.errors import TrainingFault
from experimenter.policies.actions import ActionHead, Array, CategoricalHead, HeadGradient, Said

__all__ = ["LOG_STD_MAX", "LOG_STD_MIN", "SquashedHead", "ValueHead", "off_policy_head"]

LOG_STD_MIN: Final = -20.0
LOG_STD_MAX: Final = 2.0
EXPLORATION: Final = 0.05
_NEEDS: Final = {
    "squashed": "SAC needs continuous actions (Box)",
    "values": "DQN needs one discrete action (Discrete)",
}


class _Acts(ActionHead):
    """A head without a likelihood that a policy gradient could use."""

    def forward(self, out: Array, log_std: Array | None, raw: NDArray[Any]) -> HeadGradient:
        raise TrainingFault(
            "a policy of an off-policy algorithm cannot be trained by PPO",
            "Train it on with the algorithm that made it, or start PPO from none.",
        )

    def backward(self, made: HeadGradient, d_log_prob: Array, d_entropy: float) -> tuple[Array, Array | None]:
        raise AssertionError("there is no backward pass without a forward one")


class SquashedHead(_Acts):
    """A diagonal Gaussian squashed by tanh into (−1, 1) and stretched over a bounded space.

    ``outputs`` are the means, then the logarithms of the deviations, held between ``LOG_STD_MIN`` and
    ``LOG_STD_MAX``. Raw actions are the squashed ones. Method: Haarnoja et al. 2018.
    """

    log_std = False
    raw_dtype = np.float32

    def __init__(self, low: Array, high: Array) -> None:
        if not (np.isfinite(low).all() and np.isfinite(high).all()):
            raise TrainingFault(
                "SAC squashes actions into a bounded space, and this one has no bounds.",
                'Use the algorithm "ppo", or wrap the environment with gymnasium.wrappers.RescaleAction.',
            )
        self.low, self.high = low.astype(np.float32), high.astype(np.float32)
        self.width = int(low.size)
        self.outputs = 2 * self.width
        self.middle, self.half = (self.low + self.high) / 2, (self.high - self.low) / 2

    def greedy(self, out: Array) -> NDArray[Any]:
        return np.tanh(out[:, : self.width]).astype(np.float32)

    def noise(self, rng: np.random.Generator, *rows: int) -> Array:
        return rng.standard_normal((*rows, self.width))

    def choose(self, out: Array, log_std: Array | None, noise: Array) -> NDArray[Any]:
        mean, free = out[:, : self.width], out[:, self.width :]
        drawn = np.tanh(mean + np.exp(np.clip(free, LOG_STD_MIN, LOG_STD_MAX)) * noise)
        return np.asarray(drawn, dtype=np.float32)

    def execute(self, raw: NDArray[Any]) -> NDArray[Any]:
        executed = np.clip(self.middle + self.half * raw, self.low, self.high)
        return np.asarray(executed, dtype=np.float32)


class ValueHead(_Acts, CategoricalHead):
    """One value for each discrete action. Greedy takes the highest; sampling takes any action with probability
    ``exploration`` (0.05 where nobody sets it, the published rate of evaluation, Mnih et al. 2015)."""

    modes = ("greedy",)

    def __init__(self, n: int, start: int) -> None:
        super().__init__([n], [start], single=True)
        self.exploration = EXPLORATION

    def choose(self, out: Array, log_std: Array | None, noise: Array) -> NDArray[Any]:
        # One uniform number decides whether to explore and, stretched, where to.
        stretched = noise / max(self.exploration, 1e-12)
        anywhere = np.minimum(stretched, 1.0 - 1e-9) * self.outputs
        return np.where(stretched < 1.0, anywhere.astype(np.int64), self.greedy(out))


def off_policy_head(space: Any, said: Said) -> ActionHead:
    """The head for a Gymnasium action space. Raises TrainingFault where the algorithm cannot act in it."""
    if said not in _NEEDS:
        raise ValueError(f"unknown head {said!r}")
    kind = type(space).__name__
    if said == "squashed" and kind == "Box":
        return SquashedHead(space.low.reshape(-1), space.high.reshape(-1))
    if said == "values" and kind == "Discrete":
        return ValueHead(int(space.n), int(space.start))
    other = {"Box": ' or "sac"', "Discrete": ' or "dqn"'}.get(kind, "")
    raise TrainingFault(
        f"{_NEEDS[said]}, and this environment's are of kind {kind}.", f'Use the algorithm "ppo"{other}.'
    )
