"""Two environments of somebody else, with constructor parameters and without docstrings.

Import as ``stranger_envs:SwitchCorridor-v0`` (discrete, one reward at the end) and ``stranger_envs:PushTarget-v0``
(continuous, a point mass with drag and noise).
"""

import gymnasium
import numpy as np
from gymnasium import spaces


class SwitchCorridor(gymnasium.Env):
    def __init__(self, length: int = 40, slip: float = 0.05, limit: int = 160, render_mode=None):
        self.length, self.slip, self.limit = length, slip, limit
        self.observation_space = spaces.Dict(
            {"place": spaces.Box(0.0, 1.0, (1,), np.float32), "pressed": spaces.Discrete(2)}
        )
        self.action_space = spaces.Discrete(4)

    def _obs(self):
        place = np.array([self.at / (self.length - 1)], dtype=np.float32)
        return {"place": place, "pressed": int(self.pressed)}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.at, self.pressed, self.steps = self.length // 2, False, 0
        return self._obs(), {"is_success": False}

    def step(self, action):
        self.steps += 1
        if self.np_random.random() < self.slip:
            action = 3
        if action == 2 and self.at == 0:
            self.pressed = True
        elif action in (0, 1):
            self.at = int(np.clip(self.at + (1 if action == 1 else -1), 0, self.length - 1))
        won = self.pressed and self.at == self.length - 1
        info = {"is_success": won, "subtasks": {"switch_pressed": self.pressed}}
        return self._obs(), float(won), won, self.steps >= self.limit, info


class PushTarget(gymnasium.Env):
    def __init__(self, drag: float = 0.2, noise: float = 0.01, radius: float = 0.2):
        self.drag, self.noise, self.radius = drag, noise, radius
        self.observation_space = spaces.Box(-2.0, 2.0, (6,), np.float32)
        self.action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)

    def _obs(self):
        return (
            np.concatenate([self.place, self.speed, self.target - self.place]).clip(-2, 2).astype(np.float32)
        )

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = self.np_random.uniform(-1.0, 1.0, 2)
        self.target = self.np_random.uniform(-1.0, 1.0, 2)
        self.speed = np.zeros(2)
        return self._obs(), {}

    def step(self, action):
        push = 0.1 * np.clip(action, -1.0, 1.0) + self.noise * self.np_random.standard_normal(2)
        self.speed = (1.0 - self.drag) * self.speed + push
        self.place = np.clip(self.place + 0.5 * self.speed, -1.5, 1.5)
        gap = float(np.linalg.norm(self.target - self.place))
        there = gap < self.radius
        return self._obs(), (10.0 if there else -0.1 * gap), there, False, {}


gymnasium.register("SwitchCorridor-v0", SwitchCorridor)
gymnasium.register("PushTarget-v0", PushTarget, max_episode_steps=100)
