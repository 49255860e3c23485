"""An environment that declares no success: follow a signal that changes at random; sixteen times in a row is the goal.

Neither chance nor any repeated action gets there, and a policy that looks at the signal does.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

GOAL = 16


class FollowSignal(gymnasium.Env[dict[str, np.ndarray], int]):
    observation_space = spaces.Dict(
        {"signal": spaces.Box(0.0, 1.0, (1,), np.float32), "streak": spaces.Box(0.0, 1.0, (1,), np.float32)}
    )
    action_space = spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        self.streak = 0
        return self._seen(), {}

    def step(self, action: int):
        followed = action == self.signal
        self.streak = self.streak + 1 if followed else 0
        there = self.streak >= GOAL
        return self._seen(), float(followed), there, False, {}

    def _seen(self):
        self.signal = int(self.np_random.integers(2))
        numbers = {"signal": self.signal, "streak": min(1.0, self.streak / GOAL)}
        return {name: np.array([x], dtype=np.float32) for name, x in numbers.items()}


gymnasium.register("FollowSignal-v0", entry_point="follow_env:FollowSignal", max_episode_steps=40)
