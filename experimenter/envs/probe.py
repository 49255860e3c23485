"""Random rollouts for the environment card: what a policy that knows nothing meets."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from experimenter.envs.faults import deadline
from experimenter.envs.minigrid_features import placed_objects
from experimenter.envs.pipeline import Observations
from experimenter.envs.records import RandomRollouts
from experimenter.envs.vector import SyncVector
from experimenter.identity import seeds

__all__ = ["Probe", "probe"]

STEP_SECONDS: Final = 20.0
_WORLDS: Final = 32
_KEPT_NUMBERS: Final = 50_000_000
"""Most numbers of observations kept in memory; of larger ones every k-th step is kept."""


@dataclass(slots=True)
class Probe:
    """What random rollouts met: observations by leaf name, statistics, ``info`` keys, objects placed in grids."""

    observations: dict[str, np.ndarray]
    rollouts: RandomRollouts
    info_keys: tuple[str, ...]
    info_flags: tuple[str, ...]
    placed: frozenset[str] | None


@dataclass(slots=True)
class _Tally:
    rewards: list[float] = field(default_factory=list)
    returns: list[float] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    terminated: int = 0
    running: float = 0.0
    length: int = 0

    def add(self, reward: float, terminated: bool, truncated: bool) -> None:
        self.rewards.append(reward)
        self.running += reward
        self.length += 1
        if terminated or truncated:
            self.terminated += terminated
            self._close()

    def _close(self) -> None:
        self.returns.append(self.running)
        self.lengths.append(self.length)
        self.running, self.length = 0.0, 0

    def result(self, seconds: float) -> RandomRollouts:
        """Statistics; while no episode ended, those of the unfinished one stand for it (``episodes`` is 0)."""
        episodes = len(self.returns)
        if not episodes:
            self._close()
        rewards = np.array(self.rewards)
        return RandomRollouts(
            episodes=episodes,
            steps=len(rewards),
            reward_min=float(rewards.min()),
            reward_mean=float(rewards.mean()),
            reward_max=float(rewards.max()),
            reward_distinct=len(np.unique(rewards)),
            nonzero_share=float((rewards != 0).mean()),
            return_mean=float(np.mean(self.returns)),
            return_std=float(np.std(self.returns)),
            length_mean=float(np.mean(self.lengths)),
            length_max=int(max(self.lengths)),
            terminated_share=self.terminated / max(1, episodes),
            steps_per_second=len(rewards) / max(seconds, 1e-9),
        )


def probe(
    vector: SyncVector, steps: int, seed: int, alive: Callable[[int], None] = lambda done: None
) -> Probe:
    """``steps`` random steps in a vector of one environment; deterministic for a seed, but for the speed.

    ``alive`` hears after every step how many were done, so that a slow environment does not look like a hanging one.

    Raises EnvironmentFault, also when a single step or reset lasts longer than 20 seconds.
    """
    if steps < 1 or vector.num_envs != 1:
        raise ValueError("a probe takes at least one step in exactly one environment")
    env_id = vector.specs[0].id
    first, drawn = seeds(seed, "probe", 2, "card")
    vector.action_space.seed(drawn)
    tally, infos = _Tally(), _Infos()
    with deadline(env_id, "at reset", STEP_SECONDS):
        obs = vector.reset([first])
    kept = _Kept(obs, steps)
    seconds = 0.0
    for number in range(steps):
        action = np.asarray(vector.action_space.sample())[None]
        with deadline(env_id, f"at random step {number + 1}", STEP_SECONDS):
            begun = time.perf_counter()
            moved = vector.step(action)
            seconds += time.perf_counter() - begun
        kept.add(moved.next_obs)
        tally.add(float(moved.reward[0]), bool(moved.terminated[0]), bool(moved.truncated[0]))
        infos.add(moved.infos[0])
        alive(number + 1)
    rollouts = tally.result(seconds)
    placed = _always_placed(vector, seed, lambda: alive(steps))
    return Probe(kept.batches(), rollouts, infos.keys(), infos.flags(), placed)


def _always_placed(vector: SyncVector, seed: int, alive: Callable[[], None]) -> frozenset[str] | None:
    """The kinds of objects in a grid world, where every one of many worlds holds the same kinds; else ``None``.

    Worlds whose contents are drawn at random may hold tomorrow what none of these held, so nothing is told of them.
    """
    if not placed_objects(vector.unwrapped()):
        return None
    kinds: frozenset[str] | None = None
    for world in seeds(seed, "probe", _WORLDS, "worlds"):
        with deadline(vector.specs[0].id, "at reset", STEP_SECONDS):
            vector.reset([world])
        found = placed_objects(vector.unwrapped())
        if kinds is not None and found != kinds:
            return None
        kinds = found
        alive()
    return kinds


class _Kept:
    """Observations by leaf name, thinned when they are large."""

    def __init__(self, first: Observations, steps: int) -> None:
        numbers = sum(array.size for array in _named(first).values())
        self._every = max(1, -(-numbers * steps // _KEPT_NUMBERS))
        self._count = 0
        self._rows: list[Mapping[str, np.ndarray]] = []
        self.add(first)

    def add(self, obs: Observations) -> None:
        if self._count % self._every == 0:
            self._rows.append(_named(obs))
        self._count += 1

    def batches(self) -> dict[str, np.ndarray]:
        return {name: np.concatenate([row[name] for row in self._rows]) for name in self._rows[0]}


def _named(obs: Observations) -> Mapping[str, np.ndarray]:
    return obs if isinstance(obs, Mapping) else {"": obs}


class _Infos:
    """Which keys ``info`` holds, and which of them were only ever true or false (or the numbers 0 and 1)."""

    def __init__(self) -> None:
        self._flag: dict[str, bool] = {}

    def add(self, info: Mapping[str, Any]) -> None:
        for key, value in info.items():
            self._flag[str(key)] = self._flag.get(str(key), True) and _is_flag(value)

    def keys(self) -> tuple[str, ...]:
        return tuple(sorted(self._flag))

    def flags(self) -> tuple[str, ...]:
        return tuple(sorted(key for key, flag in self._flag.items() if flag))


def _is_flag(value: Any) -> bool:
    if isinstance(value, (bool, np.bool_)):
        return True
    return isinstance(value, (float, np.floating)) and float(value) in (0.0, 1.0)
