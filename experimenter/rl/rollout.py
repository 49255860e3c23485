"""Collects rollouts: what the learner needs, encoded, and what reward programs may read, raw."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experimenter.envs.vector import VectorStep
from experimenter.envs.vectors.contract import Vector
from experimenter.policies.policy import Policy
from experimenter.rl.crew import Crew, Solo
from experimenter.rl.starts import NO_REPLAYS, Replays, Starts

__all__ = ["Collector", "Experience", "RawObs", "Record", "Wanted", "flatten"]

RawObs = NDArray[Any] | dict[str, NDArray[Any]]
Alive = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Experience:
    """One rollout, time first (T, N, …). ``next_obs`` is the true next observation, never the reset one.

    ``obs_raw`` and ``next_raw`` are as the environment gave them; ``inputs`` is what the network saw;
    ``elapsed`` counts the episode's steps before each transition. ``replays`` tells of the steps that were repeated
    to begin episodes elsewhere: they are no transitions, and count all the same.
    """

    obs_raw: RawObs
    next_raw: RawObs
    inputs: NDArray[np.float32]
    raw: NDArray[Any]
    executed: NDArray[Any]
    native: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    elapsed: NDArray[np.int32]
    final_inputs: NDArray[np.float32]
    final_at: tuple[NDArray[np.int64], NDArray[np.int64]]
    last_inputs: NDArray[np.float32]
    replays: Replays = NO_REPLAYS

    @property
    def env_steps(self) -> int:
        """What the rollout cost, in steps of single environments."""
        return self.native.size + self.replays.steps

    @property
    def done(self) -> NDArray[np.bool_]:
        return self.terminated | self.truncated


class _Store:
    """Preallocated arrays (T, N, …) for observations that are an array or a dict of arrays."""

    def __init__(self, steps: int, like: Any) -> None:
        self.arrays: RawObs
        if isinstance(like, Mapping):
            self.arrays = {k: np.empty((steps, *v.shape), v.dtype) for k, v in like.items()}
        else:
            self.arrays = np.empty((steps, *like.shape), like.dtype)

    def put(self, t: int, obs: Any) -> None:
        if isinstance(self.arrays, dict):
            for key, array in self.arrays.items():
                array[t] = obs[key]
        else:
            self.arrays[t] = obs

    def part(self, columns: slice) -> RawObs:
        if isinstance(self.arrays, dict):
            return {key: _packed(array[:, columns]) for key, array in self.arrays.items()}
        return _packed(self.arrays[:, columns])


def flatten(obs: RawObs) -> RawObs:
    """(T, N, …) to (T·N, …), for an array or a dict of arrays; views, no copies."""
    if isinstance(obs, dict):
        return {k: v.reshape(-1, *v.shape[2:]) for k, v in obs.items()}
    return obs.reshape(-1, *obs.shape[2:])


def _rows(obs: Any, mask: NDArray[np.bool_]) -> Any:
    return {k: v[mask] for k, v in obs.items()} if isinstance(obs, Mapping) else obs[mask]


def _where(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    times, envs = np.nonzero(mask)
    return times, envs


class Record:
    """A rollout in the making: arrays (T, N, …), written a step at a time. N may be the environments of several
    members side by side; ``experience`` then cuts out the columns of one."""

    def __init__(self, steps: int, obs: Any, actor: Solo | Crew) -> None:
        n, self._t = actor.rows, 0
        self._now, self._following = _Store(steps, obs), _Store(steps, obs)
        self._inputs = np.empty((steps, n, actor.inputs_size), dtype=np.float32)
        self._raw = np.empty((steps, n, actor.head.width), dtype=actor.head.raw_dtype)
        self._native = np.empty((steps, n))
        self._terminated = np.empty((steps, n), dtype=bool)
        self._truncated = np.empty((steps, n), dtype=bool)
        self._elapsed = np.empty((steps, n), dtype=np.int32)
        self._executed: list[NDArray[Any]] = []
        self._finals: list[NDArray[np.float32]] = []
        self._cut: list[NDArray[np.bool_]] = []

    def put(
        self,
        obs: Any,
        inputs: NDArray[np.float32],
        raw: NDArray[Any],
        executed: NDArray[Any],
        elapsed: NDArray[np.int32],
        step: VectorStep,
        actor: Solo | Crew,
    ) -> None:
        """One transition of every environment: what was seen, what was done, and what came of it."""
        t = self._t
        self._inputs[t], self._raw[t], self._elapsed[t] = inputs, raw, elapsed
        self._executed.append(executed)
        self._now.put(t, obs)
        self._following.put(t, step.next_obs)
        self._native[t], self._terminated[t], self._truncated[t] = (
            step.reward,
            step.terminated,
            step.truncated,
        )
        cut = step.truncated & ~step.terminated
        if cut.any():
            self._finals.append(actor.inputs(_rows(step.next_obs, cut), cut))
            self._cut.append(cut)
        self._t += 1

    def experience(self, columns: slice, last: NDArray[np.float32], replays: Replays) -> Experience:
        """The rollout of some columns; ``last`` (n, inputs) is what the network sees next."""
        terminated, truncated = self._terminated[:, columns], self._truncated[:, columns]
        return Experience(
            obs_raw=self._now.part(columns), next_raw=self._following.part(columns),
            inputs=_packed(self._inputs[:, columns]), raw=_packed(self._raw[:, columns]),
            executed=np.stack([executed[columns] for executed in self._executed]),
            native=_packed(self._native[:, columns]), terminated=_packed(terminated), truncated=_packed(truncated),
            elapsed=_packed(self._elapsed[:, columns]), final_inputs=self._final(columns),
            final_at=_where(truncated & ~terminated), last_inputs=last[columns], replays=replays,
        )  # fmt: skip

    def _final(self, columns: slice) -> NDArray[np.float32]:
        mine = []
        for inputs, cut in zip(self._finals, self._cut, strict=True):
            chosen = np.zeros(len(cut), dtype=bool)
            chosen[columns] = True
            mine.append(inputs[chosen[cut]])
        return np.concatenate(mine) if mine else np.empty((0, self._inputs.shape[2]), np.float32)


def _packed(array: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(array)


class Collector:
    """Steps a vector environment with a policy that learns; remembers where each environment stands, and what the
    policy remembers of its episode.

    ``starts``, where given, is told of every step. Noise that is held is drawn anew after ``held`` steps, and at each
    rollout's beginning (see ``ActionHead.rollout_noise``).
    """

    def __init__(self, vector: Vector, policy: Policy, starts: Starts | None = None, held: int = -1) -> None:
        self.vector, self.policy, self.starts, self.held = vector, policy, starts, held
        self.obs: Any = None
        self._memory = policy.blank(vector.num_envs)

    def reset(self, seeds: tuple[int, ...]) -> None:
        """Start every environment anew."""
        self.obs = self.vector.reset(seeds)
        self._memory[:] = 0.0

    def encoded(self, experience: Experience) -> NDArray[np.float32]:
        """The rollout's observations (T·N, inputs) before normalisation: what the normaliser learns from."""
        return self.policy.pipeline.encode(flatten(experience.obs_raw))

    def collect(
        self, steps: int, rng: np.random.Generator, *, warm_up: bool = False, alive: Alive | None = None
    ) -> Experience:
        """``steps`` steps in each environment. ``warm_up``: let the normaliser learn at every step, because
        it knows nothing yet; else its statistics stand still during a rollout. ``alive`` is called after every
        step, so that a slow environment does not look like a hanging one."""
        vector, actor = self.vector, Solo(self.policy, self.vector.num_envs, self._memory)
        record = Record(steps, self.obs, actor)
        noise = actor.head.rollout_noise(rng, steps, vector.num_envs, self.held)
        for t in range(steps):
            if warm_up and self.policy.normaliser is not None:
                self.policy.normaliser.update(self.policy.pipeline.encode(self.obs))
            inputs = actor.inputs(self.obs)
            raw = actor.choose(inputs, noise[t])
            executed, elapsed = actor.head.execute(raw), vector.elapsed
            step = vector.step(executed)
            if self.starts is not None:
                self.starts.saw(step, executed)
            record.put(self.obs, inputs, raw, executed, elapsed, step, actor)
            if actor.remembers:
                actor.forget(step.terminated | step.truncated)
            self.obs = step.obs
            if alive is not None:
                alive()
        replays = NO_REPLAYS if self.starts is None else self.starts.replays(steps)
        return record.experience(slice(None), actor.inputs(self.obs), replays)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The rollout that a training waits for."""

    collector: Collector
    steps: int
    rng: np.random.Generator
    warm_up: bool
    alive: Alive

    def collect(self) -> Experience:
        """By itself."""
        return self.collector.collect(self.steps, self.rng, warm_up=self.warm_up, alive=self.alive)
