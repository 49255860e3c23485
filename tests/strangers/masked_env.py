"""A game of which half of the moves are against the rules at any time, and the best one always is among the others."""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces

MOVES = 6


class Rules(gymnasium.Env[dict[str, np.ndarray], int]):
    """Ten moves; each pays what stands on it, and one against the rules is counted and costs ten.

    ``broken`` counts over all of them, in this process.
    """

    observation_space = spaces.Dict(
        {"action_mask": spaces.MultiBinary(MOVES), "worth": spaces.Box(0.0, 1.0, (MOVES,), np.float32)}
    )
    action_space = spaces.Discrete(MOVES)
    broken: ClassVar[int] = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        self.turn = 0
        return self._deal(), {}

    def step(self, action: int):
        allowed = bool(self.allowed[action])
        Rules.broken += not allowed
        self.turn += 1
        paid = float(self.worth[action]) if allowed else -10.0
        return self._deal(), paid, self.turn == 10, False, {}

    def _deal(self) -> dict[str, np.ndarray]:
        self.worth = self.np_random.random(MOVES).astype(np.float32)
        self.allowed = np.zeros(MOVES, dtype=np.int8)
        self.allowed[self.np_random.permutation(MOVES)[: MOVES // 2]] = 1
        return {"action_mask": self.allowed, "worth": self.worth}


gymnasium.register("Rules-v0", entry_point="masked_env:Rules")
