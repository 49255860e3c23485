"""Tiny environments whose observations are images, for whatever learns from them."""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces

from experimenter.envs.images import ImagePart

SIDE = 10
CATCH = "TinyCatch-v0"
IMAGE = ImagePart("", 0, (SIDE, SIDE, 2))


class Catch(gymnasium.Env):
    """A ball falls ``fall`` rows in a random column, and a paddle in the bottom row has to be under it at the end.

    Channel 0 shows the ball, channel 1 the paddle. Reward 1 for a catch, −1 for a miss, at the end. The ball begins
    within the paddle's reach.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}
    observation_space = spaces.Box(0, 255, (SIDE, SIDE, 2), np.uint8)
    action_space = spaces.Discrete(3)

    def __init__(self, fall=4):
        self.fall = fall

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.row, self.paddle = SIDE - 1 - self.fall, SIDE // 2
        reach = min(self.fall, SIDE // 2 - 1)
        self.column = int(self.np_random.integers(self.paddle - reach, self.paddle + reach + 1))
        return self._seen(), {}

    def step(self, action):
        self.row += 1
        self.paddle = int(np.clip(self.paddle + action - 1, 0, SIDE - 1))
        over = self.row == SIDE - 1
        reward = (1.0 if self.paddle == self.column else -1.0) if over else 0.0
        return self._seen(), reward, over, False, {}

    def _seen(self):
        image = np.zeros((SIDE, SIDE, 2), np.uint8)
        image[self.row, self.column, 0] = image[SIDE - 1, self.paddle, 1] = 255
        return image


class CatchWithWind(Catch):
    """The same as a dictionary: beside the image how far the ball drifts at each step, which no pixel shows."""

    observation_space = spaces.Dict(
        {"image": Catch.observation_space, "wind": spaces.Box(-1, 1, (1,), np.float32)}
    )

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.wind = int(self.np_random.integers(-1, 2))
        return self._seen(), {}

    def step(self, action):
        self.column = (self.column + self.wind) % SIDE
        return super().step(action)

    def _seen(self):
        return {"image": super()._seen(), "wind": np.array([getattr(self, "wind", 0)], np.float32)}


gymnasium.register(CATCH, Catch)
gymnasium.register("TinyCatchWind-v0", CatchWithWind)
