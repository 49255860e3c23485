"""After how many steps an episode is cut: as the environment declares it, else at one limit that everybody keeps.

Where none is declared an episode may never end. Trainer, judge and card must then cut it at the same step, or they
would speak of different environments.
"""

from __future__ import annotations

from typing import Any, Final

import gymnasium
from gymnasium.wrappers import TimeLimit

__all__ = ["ASSUMED_STEPS", "AssumedLimit", "declared_limit", "limited", "own_limit"]

ASSUMED_STEPS: Final = 10_000


class AssumedLimit(TimeLimit):
    """The time limit of an environment that declares none; passes on unchanged whatever it is given and told."""

    _taken = 0

    def reset(self, **given: Any) -> tuple[Any, dict[str, Any]]:
        """Passes on only what is asked for: not every environment's reset takes ``options``."""
        self._taken = 0
        return self.env.reset(**given)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        answer = self.env.step(action)
        self._taken += 1
        if self._taken < self._max_episode_steps:
            return answer
        obs, reward, terminated, _, info = answer
        return obs, reward, terminated, True, info


def declared_limit(env: gymnasium.Env[Any, Any]) -> int | None:
    """What a time limit around the environment enforces, else what its registration says, in steps."""
    at: Any = env
    while isinstance(at, gymnasium.Wrapper):
        if isinstance(at, TimeLimit):
            return int(at._max_episode_steps)
        at = at.env
    told = getattr(env.spec, "max_episode_steps", None)
    return int(told) if told is not None and told > 0 else None


def own_limit(env: gymnasium.Env[Any, Any]) -> int | None:
    """The limit that the environment's own code seems to keep, by the names that are usual for it."""
    for name in ("max_steps", "max_episode_steps"):
        own = getattr(env.unwrapped, name, None)
        if isinstance(own, int) and not isinstance(own, bool) and own > 0:
            return own
    return None


def limited(env: gymnasium.Env[Any, Any]) -> gymnasium.Env[Any, Any]:
    """The environment itself where it declares a limit; else cut at 10,000 steps, or later if its own limit is."""
    if declared_limit(env) is not None:
        return env
    return AssumedLimit(env, max(ASSUMED_STEPS, own_limit(env) or 0))
