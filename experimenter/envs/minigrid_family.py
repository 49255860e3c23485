"""The family of MiniGrid and BabyAI: what counts as success there, and which sub-tasks lead to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import gymnasium

from experimenter.envs.gymnasium_family import GymnasiumFamily, build
from experimenter.errors import EnvironmentFault
from experimenter.records import EnvSpec

__all__ = ["MinigridFamily", "SubtaskInfo"]

_PREFIXES: Final = ("MiniGrid-", "BabyAI-")
_TOGGLE: Final = 5
_CARRIED: Final = ("key", "ball", "box")


class MinigridFamily(GymnasiumFamily):
    """Success: the episode terminated with a return above zero. Sub-tasks: objects picked up, doors opened."""

    contract: ClassVar[int] = 1
    name: ClassVar[str] = "minigrid"

    def owns(self, env_id: str) -> bool:
        return env_id.startswith(_PREFIXES)

    def make(self, spec: EnvSpec) -> gymnasium.Env[Any, Any]:
        """Raises EnvironmentFault when the package is missing, else as Gymnasium's family."""
        try:
            import minigrid  # noqa: F401 - registers its environments
        except ImportError as cause:
            raise EnvironmentFault(
                f"{spec.id} needs the package minigrid.",
                "Install it with: pip install 'rl-experimenter[minigrid]'.",
            ) from cause
        return SubtaskInfo(build(spec))

    def hasten(self, env: gymnasium.Env[Any, Any]) -> None:
        """The agent's view without the grids that it is usually made of (``minigrid_view.py``)."""
        from experimenter.envs.minigrid_view import hasten

        hasten(env.unwrapped)

    def succeeded(
        self, spec: EnvSpec, episode_return: float, terminated: bool, info: Mapping[str, Any]
    ) -> bool | None:
        return terminated and episode_return > 0


class SubtaskInfo(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Adds ``info["subtasks"]``: which objects of this world were picked up, and whether a door was opened, so far.

    Only the judge reads it. The mapping is replaced, never changed, so that a stored ``info`` stays true.
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        self._inner: Any = env.unwrapped
        self._step = env.step
        self._met: dict[str, bool] = {}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        obs, info = self.env.reset(seed=seed, options=options)
        there = {cell.type for cell in self._inner.grid.grid if cell is not None}
        self._met = {f"{thing}_picked_up": False for thing in _CARRIED if thing in there}
        if "door" in there:
            self._met["door_opened"] = False
        return obs, {**info, "subtasks": self._met}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        obs, reward, terminated, truncated, info = self._step(action)
        carried = self._inner.carrying
        if carried is not None:
            self._meet(f"{carried.type}_picked_up")
        if action == _TOGGLE:
            self._look_at_door()
        info["subtasks"] = self._met
        return obs, reward, terminated, truncated, info

    def _look_at_door(self) -> None:
        ahead = self._inner.grid.get(*self._inner.front_pos)
        if ahead is not None and ahead.type == "door" and ahead.is_open:
            self._meet("door_opened")

    def _meet(self, name: str) -> None:
        if not self._met.get(name):
            self._met = {**self._met, name: True}
