"""Collects rollouts: what the learner needs, encoded, and what reward programs may read, raw."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experimenter.envs.vector import SyncVector
from experimenter.policies.network import actor_output
from experimenter.policies.policy import Policy
from experimenter.rl.starts import NO_REPLAYS, Replays, Starts

__all__ = ["Collector", "Experience", "RawObs", "flatten"]

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


class Collector:
    """Steps a vector environment with a policy that learns; remembers where each environment stands.

    ``starts``, where given, is told of every step.
    """

    def __init__(self, vector: SyncVector, policy: Policy, starts: Starts | None = None) -> None:
        self.vector, self.policy, self.starts = vector, policy, starts
        self._obs: Any = None

    def reset(self, seeds: tuple[int, ...]) -> None:
        """Start every environment anew."""
        self._obs = self.vector.reset(seeds)

    def encoded(self, experience: Experience) -> NDArray[np.float32]:
        """The rollout's observations (T·N, inputs) before normalisation: what the normaliser learns from."""
        return self.policy.pipeline.encode(flatten(experience.obs_raw))

    def collect(
        self, steps: int, rng: np.random.Generator, *, warm_up: bool = False, alive: Alive | None = None
    ) -> Experience:
        """``steps`` steps in each environment. ``warm_up``: let the normaliser learn at every step, because
        it knows nothing yet; else its statistics stand still during a rollout. ``alive`` is called after every
        step, so that a slow environment does not look like a hanging one."""
        policy, vector = self.policy, self.vector
        n, head, log_std = vector.num_envs, policy.head, policy.params.get("actor.log_std")
        now, following = _Store(steps, self._obs), _Store(steps, self._obs)
        inputs = np.empty((steps, n, policy.shape.inputs), dtype=np.float32)
        raw = np.empty((steps, n, head.width), dtype=head.raw_dtype)
        native = np.empty((steps, n))
        terminated, truncated = np.empty((steps, n), dtype=bool), np.empty((steps, n), dtype=bool)
        elapsed = np.empty((steps, n), dtype=np.int32)
        executed: list[NDArray[Any]] = []
        finals: list[NDArray[np.float32]] = []
        for t in range(steps):
            if warm_up and policy.normaliser is not None:
                policy.normaliser.update(policy.pipeline.encode(self._obs))
            x = inputs[t] = policy.inputs(self._obs)
            raw[t] = head.sample(actor_output(policy.params, policy.shape, x), log_std, rng)
            executed.append(head.execute(raw[t]))
            elapsed[t] = vector.elapsed
            step = vector.step(executed[-1])
            if self.starts is not None:
                self.starts.saw(step, executed[-1])
            now.put(t, self._obs)
            following.put(t, step.next_obs)
            native[t], terminated[t], truncated[t] = step.reward, step.terminated, step.truncated
            cut = step.truncated & ~step.terminated
            if cut.any():
                finals.append(policy.inputs(_rows(step.next_obs, cut)))
            self._obs = step.obs
            if alive is not None:
                alive()
        return Experience(
            obs_raw=now.arrays, next_raw=following.arrays, inputs=inputs, raw=raw, executed=np.stack(executed),
            native=native, terminated=terminated, truncated=truncated, elapsed=elapsed,
            final_inputs=np.concatenate(finals) if finals else np.empty((0, policy.shape.inputs), np.float32),
            final_at=_where(truncated & ~terminated),
            last_inputs=policy.inputs(self._obs),
            replays=NO_REPLAYS if self.starts is None else self.starts.replays(steps),
        )  # fmt: skip
