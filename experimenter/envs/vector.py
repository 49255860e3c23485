"""A lean synchronous vector environment that resets within the step and never hides the true final observation.

Gymnasium's own vector environments yield a masked step after each episode, or hide the final observation in ``info``;
here every step is a real transition. Every observation, reward and flag is checked before anything learns from it:
one by one at resets, by cheap checks of the whole batch at steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import TimeLimit

from experimenter.envs.faults import foreign, raised
from experimenter.envs.make import make
from experimenter.envs.pipeline import Observations
from experimenter.envs.spaces import Leaf, leaves
from experimenter.errors import EnvironmentFault, ExperimenterError
from experimenter.records import EnvSpec

__all__ = ["SyncVector", "VectorStep"]

_NO_LIMIT: Final = 2**31 - 1
_NUMBERS: Final = frozenset(
    {
        float,
        int,
        bool,
        np.float64,
        np.float32,
        np.float16,
        np.int64,
        np.int32,
        np.int16,
        np.int8,
        np.uint8,
        np.bool_,
    }
)
_FLAGS: Final = frozenset({bool, np.bool_})
_Batch = dict[str, np.ndarray]


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
    ``reward`` float64 (n,), ``terminated`` and ``truncated`` bool (n,), ``infos`` one dict per environment.
    """

    next_obs: Observations
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    infos: list[dict[str, Any]]
    obs: Observations


class SyncVector:
    """``num_envs`` environments stepped one after the other in this process.

    ``spec_or_specs``: one specification for all, or one for each. Observations are arrays (n, …), or flat dicts of
    arrays for Dict and Tuple spaces (see ``spaces.py``); real numbers are float32. Returned arrays are fresh.
    Raises EnvironmentFault that names what is wrong and at which step; NotFound for unknown environments.
    """

    def __init__(self, spec_or_specs: EnvSpec | Sequence[EnvSpec], num_envs: int) -> None:
        specs = [spec_or_specs] * num_envs if isinstance(spec_or_specs, EnvSpec) else list(spec_or_specs)
        if len(specs) != num_envs or not specs:
            raise ValueError(f"{len(specs)} specifications for {num_envs} environments")
        self.specs: tuple[EnvSpec, ...] = tuple(specs)
        self.num_envs = num_envs
        self._envs: list[gymnasium.Env[Any, Any]] = [make(spec) for spec in specs]
        self.observation_space = self._envs[0].observation_space
        self.action_space = self._envs[0].action_space
        self._same_spaces()
        self._leaves = leaves(self.observation_space)
        self._plain = not isinstance(self.observation_space, (spaces.Dict, spaces.Tuple))
        timed = [_without_limit(env) for env in self._envs]
        self._steps: list[Callable[[Any], Any]] = [env.step for env, _ in timed]
        self._limits = np.array([limit for _, limit in timed], dtype=np.int32)
        self._limited = bool((self._limits < _NO_LIMIT).any())
        self._elapsed = np.zeros(num_envs, dtype=np.int32)
        self._ranges = tuple(_integer_range(leaf) for leaf in self._leaves)

    @property
    def elapsed(self) -> np.ndarray:
        """Steps taken in each environment's current episode, int32 (n,)."""
        return self._elapsed.copy()

    def reset(self, seeds: Sequence[int]) -> Observations:
        """Starts an episode in every environment, one seed each; the first observations."""
        if len(seeds) != self.num_envs:
            raise ValueError(f"{len(seeds)} seeds for {self.num_envs} environments")
        batch = self._empty()
        for i, seed in enumerate(seeds):
            self._store(batch, i, self._reset_one(i, int(seed)), "at reset")
        self._elapsed[:] = 0
        self._check_batch(batch, "at reset")
        return self._out(batch)

    def step(self, actions: np.ndarray) -> VectorStep:
        """One step in every environment; ``actions`` as executed: (n,) integers, or (n, …) in the space's shape."""
        told = self._gather(self._actions(actions))
        batch = self._batch(told.observations)
        self._elapsed += 1
        self._check_batch(batch, "")
        reward, terminated, truncated = self._rewards(told.rewards), *self._flags(told)
        now = self._restart(batch, terminated | truncated) if True in told.ended or truncated.any() else batch
        return VectorStep(self._out(batch), reward, terminated, truncated, told.infos, self._out(now))

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

    def _same_spaces(self) -> None:
        for spec, env in zip(self.specs, self._envs, strict=True):
            same = env.observation_space == self.observation_space and env.action_space == self.action_space
            if spec != self.specs[0] and not same:
                raise EnvironmentFault(
                    f"{spec.id} with {spec.kwargs} has other spaces than {self.specs[0].kwargs or 'the default'}.",
                    "Only parameters that leave observation and action spaces alone may differ within a training.",
                )

    def _empty(self) -> _Batch:
        return {leaf.name: np.empty((self.num_envs, *leaf.shape), leaf.dtype) for leaf in self._leaves}

    def _out(self, batch: _Batch) -> Observations:
        return batch[""] if self._plain else batch

    def _when(self, i: int) -> str:
        return f"at step {int(self._elapsed[i]) + 1} of an episode"

    def _actions(self, actions: np.ndarray) -> list[Any]:
        if isinstance(self.action_space, spaces.Discrete):
            return np.asarray(actions).reshape(self.num_envs).tolist()
        shape = (self.num_envs, *(self.action_space.shape or ()))
        return list(np.array(actions, dtype=self.action_space.dtype).reshape(shape))

    def _reset_one(self, i: int, seed: int | None) -> Any:
        with foreign(self.specs[i].id, "at reset"):
            answer = self._envs[i].reset(seed=seed) if seed is not None else self._envs[i].reset()
        if not (isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[1], dict)):
            self._fault(i, "did not return (observation, info) from reset")
        return answer[0]

    def _restart(self, batch: _Batch, done: np.ndarray) -> _Batch:
        """What to act on next: the same batch, or a copy with new episodes' first observations where ``done``."""
        if not done.any():
            return batch
        now = {name: array.copy() for name, array in batch.items()}
        for i in np.flatnonzero(done):
            self._store(now, int(i), self._reset_one(int(i), None), "at reset")
            self._elapsed[i] = 0
        self._check_batch(now, "at reset")
        return now

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
            raise raised(self.specs[i].id, self._when(i), error) from error
        return told

    def _batch(self, observations: list[Any]) -> _Batch:
        """Fresh arrays by leaf name, from one observation per environment."""
        return {leaf.name: self._stack(leaf, observations) for leaf in self._leaves}

    def _stack(self, leaf: Leaf, observations: list[Any]) -> np.ndarray:
        shape, values = leaf.shape, observations
        try:
            for key in leaf.keys:
                values = [value[key] for value in values]
            if not shape:
                array = np.array(values)
                if array.ndim == 1 and array.dtype.kind in "iub" and leaf.dtype.kind != "f":
                    return array.astype(leaf.dtype)
            elif [value.shape for value in values] == [shape] * len(values):
                joined = np.concatenate(values, dtype=leaf.dtype, casting="same_kind")
                return joined.reshape(self.num_envs, *shape)
        except (AttributeError, KeyError, IndexError, TypeError, ValueError):
            pass
        return self._stack_slowly(leaf, observations)

    def _stack_slowly(self, leaf: Leaf, observations: list[Any]) -> np.ndarray:
        """The same, one by one: what is unusual but right passes, and what is wrong is named."""
        batch = {leaf.name: np.empty((self.num_envs, *leaf.shape), leaf.dtype)}
        for i, obs in enumerate(observations):
            self._store_leaf(batch, leaf, i, obs, "")
        return batch[leaf.name]

    def _store(self, batch: _Batch, i: int, obs: Any, when: str) -> None:
        for leaf in self._leaves:
            self._store_leaf(batch, leaf, i, obs, when)

    def _store_leaf(self, batch: _Batch, leaf: Leaf, i: int, obs: Any, when: str) -> None:
        value = obs
        for key in leaf.keys:
            value = self._child(value, key, leaf, i, when)
        self._check_leaf(leaf, value, i, when)
        batch[leaf.name][i] = value

    def _child(self, value: Any, key: Any, leaf: Leaf, i: int, when: str) -> Any:
        try:
            return value[key]
        except (KeyError, IndexError, TypeError):
            self._fault(i, f"returned an observation without {leaf.name!r}", when)

    def _check_leaf(self, leaf: Leaf, value: Any, i: int, when: str) -> None:
        name = f" {leaf.name!r}" if leaf.name else ""
        if leaf.shape and not isinstance(value, np.ndarray):
            self._fault(
                i, f"returned an observation{name} of type {type(value).__name__}, not an array", when
            )
        array = np.asarray(value)
        if array.shape != leaf.shape:
            self._fault(
                i, f"returned an observation{name} of shape {array.shape} instead of {leaf.shape}", when
            )
        wanted = np.dtype(leaf.space.dtype or np.float32)
        if array.dtype.kind not in "biuf" or not np.can_cast(array.dtype, wanted, "same_kind"):
            self._fault(i, f"returned an observation{name} of dtype {array.dtype} instead of {wanted}", when)

    def _check_batch(self, batch: _Batch, when: str) -> None:
        for leaf, limits in zip(self._leaves, self._ranges, strict=True):
            array = batch[leaf.name]
            if limits is not None:
                bad = (array < limits[0]) | (array > limits[1])
                if bad.any():
                    self._bad_row(leaf, bad, "outside its space", when)
            elif array.dtype.kind == "f" and not math.isfinite(np.vdot(array, array)):
                bad = ~np.isfinite(array)
                if bad.any():
                    self._bad_row(leaf, bad, "with NaN or infinity", when)

    def _bad_row(self, leaf: Leaf, bad: np.ndarray, what: str, when: str) -> NoReturn:
        i = int(np.flatnonzero(bad.reshape(self.num_envs, -1).any(axis=1))[0])
        name = f" {leaf.name!r}" if leaf.name else ""
        self._fault(i, f"returned an observation{name} {what}", when, counted=True)

    def _rewards(self, rewards: list[Any]) -> np.ndarray:
        if not _NUMBERS.issuperset(map(type, rewards)):
            for i, reward in enumerate(rewards):
                if type(reward) not in _NUMBERS and not _is_number(reward):
                    self._fault(
                        i, f"returned a reward of type {type(reward).__name__}, not a number", counted=True
                    )
        if not math.isfinite(sum(rewards)):
            for i, reward in enumerate(rewards):
                if not math.isfinite(reward):
                    self._fault(i, f"returned the reward {reward}", counted=True)
        return np.array(rewards, dtype=np.float64)

    def _flags(self, told: _Told) -> tuple[np.ndarray, np.ndarray]:
        if not _FLAGS.issuperset(map(type, told.ended + told.cut)):
            for i, pair in enumerate(zip(told.ended, told.cut, strict=True)):
                if not _FLAGS.issuperset(map(type, pair)):
                    self._fault(i, "returned terminated or truncated that is not true or false", counted=True)
        terminated, truncated = np.array(told.ended, dtype=bool), np.array(told.cut, dtype=bool)
        if self._limited:
            truncated |= self._elapsed >= self._limits
        return terminated, truncated

    def _fault(self, i: int, what: str, when: str = "", counted: bool = False) -> NoReturn:
        """``counted``: the step that failed is already in ``elapsed``."""
        step = int(self._elapsed[i]) + (0 if counted else 1)
        raise EnvironmentFault(
            f"{self.specs[i].id} {what} {when or f'at step {step} of an episode'}.".replace("  ", " "),
            "Fix the environment, or change its parameters with --env-kwarg.",
        )


def _without_limit(env: gymnasium.Env[Any, Any]) -> tuple[gymnasium.Env[Any, Any], int]:
    """What to step, and after how many steps to cut: the outermost time limit is counted here, for speed."""
    if type(env) is TimeLimit:
        return env.env, env._max_episode_steps
    return env, _NO_LIMIT


def _integer_range(leaf: Leaf) -> tuple[Any, Any] | None:
    """Inclusive limits that one-hot encoding relies on; ``None`` where any number will do."""
    space = leaf.space
    if isinstance(space, spaces.Discrete):
        return int(space.start), int(space.start) + int(space.n) - 1
    if isinstance(space, spaces.MultiDiscrete):
        return space.start, space.start + space.nvec - 1
    return None


def _is_number(value: Any) -> bool:
    array = value if isinstance(value, (np.ndarray, np.generic)) else None
    return array is not None and array.shape == () and array.dtype.kind in "biuf"
