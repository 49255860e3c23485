"""Environments with one fault each, at step ``at`` of every episode (or at reset): ``faulty_envs:FaultyStep-v0``."""

import gymnasium
import numpy as np
from gymnasium import spaces

FAULTS = (
    "Reset",
    "Step",
    "Hang",
    "NanObservation",
    "WrongShape",
    "WrongType",
    "MissingKey",
    "WrongReward",
    "NanReward",
    "WrongFlag",
    "OutsideSpace",
    "Construct",
)


class Faulty(gymnasium.Env):
    def __init__(self, fault: str, at: int = 5):
        if fault == "Construct":
            raise RuntimeError("no licence file")
        self.fault, self.at = fault, at
        plain = spaces.Box(-1.0, 1.0, (3,), np.float32)
        odd = {"MissingKey": spaces.Dict({"a": plain, "b": plain}), "OutsideSpace": spaces.Discrete(3)}
        self.observation_space = odd.get(fault, plain)
        self.action_space = spaces.Discrete(2)

    def _obs(self, broken=False):
        fault = self.fault if broken else ""
        plain = self.np_random.uniform(-1.0, 1.0, 3).astype(np.float32)
        if self.fault == "MissingKey":
            return {"a": plain} if broken else {"a": plain, "b": plain}
        if self.fault == "OutsideSpace":
            return 7 if broken else 1
        return {
            "NanObservation": np.array([0.0, np.nan, 0.0], dtype=np.float32),
            "WrongShape": np.zeros(1, dtype=np.float32),
            "WrongType": "somewhere",
        }.get(fault, plain)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if self.fault == "Reset":
            raise KeyError("level 3")
        self.steps = 0
        return self._obs(), {}

    def step(self, action):
        self.steps += 1
        broken = self.steps == self.at
        if broken and self.fault == "Step":
            raise ValueError("the robot fell apart")
        while broken and self.fault == "Hang":
            pass
        wrong = {"WrongReward": "1.0", "NanReward": float("nan")}
        reward = wrong.get(self.fault, 0.5) if broken else 0.5
        over = self.steps >= 50
        return self._obs(broken), reward, "no" if broken and self.fault == "WrongFlag" else over, False, {}


for _fault in FAULTS:
    gymnasium.register(f"Faulty{_fault}-v0", Faulty, kwargs={"fault": _fault})
