"""A corridor that random steps never cross in time: rare reward in its smallest form."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

LENGTH = 30


class Corridor(gymnasium.Env[np.ndarray, int]):
    """One step left or right at a time; one point at the far end, within 100 steps."""

    observation_space = gymnasium.spaces.Box(0.0, 1.0, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        self.at = 0
        return self._seen(), {}

    def step(self, action: int):
        self.at = min(LENGTH, max(0, self.at + (1 if action else -1)))
        there = self.at == LENGTH
        return self._seen(), float(there), there, False, {}

    def _seen(self) -> np.ndarray:
        return np.array([self.at / LENGTH], dtype=np.float32)


gymnasium.register("Corridor-v0", entry_point="corridor_env:Corridor", max_episode_steps=100)
