"""A lean synchronous vector environment that resets within the step and never hides the true final observation.

Gymnasium's own vector environments yield a masked step after each episode, or hide the final observation in ``info``;
here every step is a real transition. Every observation, reward and flag is checked before anything learns from it:
one by one at resets, by cheap checks of the whole batch at steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import TimeLimit

from experimenter.envs.checks import Batch, Broken, ObservationReader, check_infos, read_flags, read_rewards
from experimenter.envs.faults import foreign, raised
from experimenter.envs.limits import AssumedLimit
from experimenter.envs.make import make
from experimenter.envs.pipeline import Observations
from experimenter.envs.spaces import ONE_LIST, other_texts, same_spaces
from experimenter.errors import EnvironmentFault, ExperimenterError
from experimenter.records import EnvSpec

__all__ = ["Beginner", "Played", "SyncVector", "VectorStep"]

_NO_LIMIT: Final = 2**31 - 1
Beginner = Callable[[int, int | None], Any]
"""Begins the next episode of a row: from the seed of a reset, or ``None`` after an episode's end. Returns the
observation to act on first."""


@dataclass(frozen=True, slots=True)
class _Told:
    """What the environments returned from one step, unchecked, one entry each."""

    observations: list[Any]
    rewards: list[Any]
    ended: list[Any]
    cut: list[Any]
    infos: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class VectorStep:
    """One transition of each of n environments.

    ``next_obs`` is the true next observation, the final one where an episode ended; ``obs`` is what to act on next
    (after a reset, where an episode ended; the same object as ``next_obs`` where none did: do not write into either).
    ``reward`` float64 (n,), ``terminated`` and ``truncated`` bool (n,), ``infos`` one mapping per environment.
    """

    next_obs: Observations
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    infos: Sequence[Mapping[str, Any]]
    obs: Observations


@dataclass(frozen=True, slots=True)
class Played:
    """One step of one environment by itself: its observation as the environment gave it, and whether that ended it."""

    observation: Any
    reward: float
    over: bool
    info: dict[str, Any]


class SyncVector:
    """``num_envs`` environments stepped one after the other in this process.

    ``spec_or_specs``: one specification for all, or one for each; ``wrap`` is put around every environment. With
    ``hastened`` the family may replace parts of an environment by quicker ones that do the same to the bit.
    Observations are arrays (n, …), or flat dicts of arrays for Dict and Tuple spaces (see ``spaces.py``); real numbers
    are float32. Returned arrays are fresh. ``beginner`` may be set: it then says where each episode begins.
    Raises EnvironmentFault that names what is wrong and at which step; NotFound for unknown environments.
    """

    def __init__(
        self,
        spec_or_specs: EnvSpec | Sequence[EnvSpec],
        num_envs: int,
        wrap: Callable[[Any], Any] | None = None,
        *,
        hastened: bool = False,
    ) -> None:
        specs = [spec_or_specs] * num_envs if isinstance(spec_or_specs, EnvSpec) else list(spec_or_specs)
        if len(specs) != num_envs or not specs:
            raise ValueError(f"{len(specs)} specifications for {num_envs} environments")
        self.specs: tuple[EnvSpec, ...] = tuple(specs)
        self.num_envs = num_envs
        built: list[gymnasium.Env[Any, Any]] = [make(spec, hastened=hastened) for spec in specs]
        self._envs = built if wrap is None else [wrap(env) for env in built]
        self.beginner: Beginner | None = None
        self.observation_space = self._envs[0].observation_space
        self.action_space = self._envs[0].action_space
        self._same_spaces()
        self._reader = ObservationReader(self.observation_space)
        timed = [_without_limit(env) for env in self._envs]
        self._steps: list[Callable[[Any], Any]] = [env.step for env, _ in timed]
        self._limits = np.array([limit for _, limit in timed], dtype=np.int32)
        self._limited = bool((self._limits < _NO_LIMIT).any())
        self._elapsed = np.zeros(num_envs, dtype=np.int32)

    @property
    def elapsed(self) -> np.ndarray:
        """Steps taken in each environment's current episode, int32 (n,)."""
        return self._elapsed.copy()

    def reset(self, seeds: Sequence[int]) -> Observations:
        """Starts an episode in every environment, one seed each; the first observations."""
        if len(seeds) != self.num_envs:
            raise ValueError(f"{len(seeds)} seeds for {self.num_envs} environments")
        batch = self._reader.empty(self.num_envs)
        self._restart(batch, {i: int(seed) for i, seed in enumerate(seeds)})
        return self._reader.out(batch)

    def step(self, actions: np.ndarray) -> VectorStep:
        """One step in every environment; ``actions`` as executed: (n,) integers, or (n, …) in the space's shape."""
        told = self._gather(self._actions(actions))
        self._elapsed += 1
        try:
            batch = self._reader.stack(told.observations)
            reward = read_rewards(told.rewards)
            terminated = read_flags("terminated", told.ended)
            truncated = read_flags("truncated", told.cut)
            check_infos(told.infos)
        except Broken as broken:
            raise self._fault(broken) from None
        if self._limited:
            truncated |= self._elapsed >= self._limits
        now, done = batch, terminated | truncated
        if done.any():
            now = {name: array.copy() for name, array in batch.items()}
            self._restart(now, dict.fromkeys(np.flatnonzero(done).tolist()))
        out = self._reader.out
        return VectorStep(out(batch), reward, terminated, truncated, told.infos, out(now))

    def begin(self, row: int, seed: int | None) -> Any:
        """Starts an episode in one environment, for a ``beginner``; its first observation, not yet checked."""
        self._elapsed[row] = 0
        return self._first(row, seed)

    def play(self, row: int, action: Any) -> Played:
        """One step of one environment, for a ``beginner`` on the way to where an episode shall begin."""
        self._elapsed[row] += 1
        when = f"at step {self._elapsed[row]} of an episode"
        with foreign(self.specs[row].id, when):
            observation, reward, terminated, truncated, info = self._steps[row](self._action(action))
        try:
            paid = float(read_rewards([reward])[0])
            over = bool(read_flags("terminated", [terminated])[0] | read_flags("truncated", [truncated])[0])
            check_infos([info])
        except Broken as broken:
            raise self._fault(Broken(row, broken.what)) from None
        return Played(observation, paid, over or bool(self._elapsed[row] >= self._limits[row]), info)

    def stacked(self, observations: Sequence[Any]) -> Observations:
        """Observations of one environment, as it gave them, in one checked batch."""
        try:
            return self._reader.out(self._reader.stack(observations))
        except Broken as broken:
            raise self._fault(Broken(0, broken.what), "while a state was reached again") from None

    def close(self) -> None:
        """Closes every environment; errors while closing are faults as any other."""
        for spec, env in zip(self.specs, self._envs, strict=True):
            with foreign(spec.id, "while it was closed"):
                env.close()

    def unwrapped(self, index: int = 0) -> gymnasium.Env[Any, Any]:
        """The innermost environment at ``index``, for readers of docstrings and limits; never step it."""
        return self._envs[index].unwrapped

    def env_spec(self) -> Any:
        """Gymnasium's own registration record of the first environment, or ``None``."""
        return self._envs[0].spec

    def assumed_limit(self) -> int | None:
        """After how many steps episodes of the first environment are cut though it declares no limit, or ``None``."""
        env = self._envs[0]
        return env._max_episode_steps if isinstance(env, AssumedLimit) else None

    def _same_spaces(self) -> None:
        first = self._envs[0]
        for spec, env in zip(self.specs, self._envs, strict=True):
            if spec == self.specs[0] or same_spaces(env, first):
                continue
            if other_texts(env.observation_space, first.observation_space):
                names = f"{spec.id} and {self.specs[0].id}"
                raise EnvironmentFault(f"The texts of {names} vary in other ways.", ONE_LIST)
            raise EnvironmentFault(
                f"{spec.id} with {spec.kwargs} has other spaces than {self.specs[0].kwargs or 'the default'}.",
                "Only parameters that leave observation and action spaces alone may differ within a training.",
            )

    def _actions(self, actions: np.ndarray) -> list[Any]:
        if isinstance(self.action_space, spaces.Discrete):
            return np.asarray(actions).reshape(self.num_envs).tolist()
        shape = (self.num_envs, *(self.action_space.shape or ()))
        return list(np.array(actions, dtype=self.action_space.dtype).reshape(shape))

    def _action(self, action: Any) -> Any:
        if isinstance(self.action_space, spaces.Discrete):
            return int(action)
        return np.array(action, dtype=self.action_space.dtype).reshape(self.action_space.shape or ())

    def _restart(self, batch: Batch, rows: Mapping[int, int | None]) -> None:
        """Starts new episodes and writes their first observations into ``batch``; a seed, or the own generator."""
        try:
            for i, seed in rows.items():
                begin = self.beginner or self.begin
                self._reader.store(batch, i, begin(i, seed))
            self._reader.check(batch)
        except Broken as broken:
            raise self._fault(broken, "at reset") from None

    def _first(self, i: int, seed: int | None) -> Any:
        with foreign(self.specs[i].id, "at reset"):
            answer = self._envs[i].reset() if seed is None else self._envs[i].reset(seed=seed)
        if not (isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[1], dict)):
            raise Broken(i, "did not return (observation, info)")
        return answer[0]

    def _gather(self, actions: list[Any]) -> _Told:
        """Steps every environment; what comes out is checked afterwards, all at once."""
        told = _Told([], [], [], [], [])
        observations, rewards, infos = told.observations.append, told.rewards.append, told.infos.append
        ended, cut = told.ended.append, told.cut.append
        try:
            for step, action in zip(self._steps, actions, strict=True):
                obs, reward, terminated, truncated, info = step(action)
                observations(obs)
                rewards(reward)
                ended(terminated)
                cut(truncated)
                infos(info)
        except ExperimenterError:
            raise
        except Exception as error:
            i = len(told.infos)
            when = f"at step {self._elapsed[i] + 1} of an episode"
            raise raised(self.specs[i].id, when, error) from error
        return told

    def _fault(self, broken: Broken, when: str = "") -> EnvironmentFault:
        i = broken.row
        return EnvironmentFault(
            f"{self.specs[i].id} {broken.what} {when or f'at step {self._elapsed[i]} of an episode'}.",
            "Fix the environment, or change its parameters with --set.",
        )


def _without_limit(env: gymnasium.Env[Any, Any]) -> tuple[gymnasium.Env[Any, Any], int]:
    """What to step, and after how many steps to cut: the outermost time limit is counted here, for speed."""
    if type(env) is TimeLimit or isinstance(env, AssumedLimit):
        return env.env, env._max_episode_steps
    return env, _NO_LIMIT
