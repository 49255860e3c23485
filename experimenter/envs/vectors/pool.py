"""EnvPool's native environments, several times as fast as the Python ones where it has them; an optional extra.

EnvPool resets an environment on the step after an episode's end, and gives the first observation of the next episode
there, as a masked step. Here it never comes to that: an environment that ended is reset at once by its number, so the
true final observation comes first, and every step is a real one.

EnvPool takes its seeds when it is built, one for each environment, so a reset with seeds builds it anew. With the same
seeds, actions and version of EnvPool a row then lives the same life, whatever stands beside it and however many
threads step. It is not the life that the Python version lives with that seed: only their laws are the same, which
``pool_check`` tests. An episode that terminates in the very step of its time limit counts as cut.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from gymnasium import spaces

from experimenter.envs.checks import Batch, Broken
from experimenter.envs.faults import foreign
from experimenter.envs.make import make
from experimenter.envs.pipeline import Observations
from experimenter.envs.vector import VectorStep
from experimenter.envs.vectors.batches import BatchReader, Infos, batch_fault, batched_actions, one_of_all
from experimenter.errors import UsageError
from experimenter.records import EnvSpec

__all__ = ["INSTALL", "EnvPoolVector", "has_environment", "installed", "pool_spaces", "same_kind"]

INSTALL: Final = "Install it with: pip install 'rl-experimenter[envpool]'."


def installed() -> bool:
    """Whether EnvPool can be imported."""
    return importlib.util.find_spec("envpool") is not None


def has_environment(spec: EnvSpec) -> bool:
    """Whether EnvPool, which is installed, has an environment of this name."""
    import envpool

    return spec.id in envpool.list_all_envs()


def pool_spaces(spec: EnvSpec) -> tuple[Any, Any]:
    """Observation and action space of a single environment, as EnvPool declares them."""
    import envpool

    with warnings.catch_warnings(), foreign(spec.id, "when EnvPool was asked for its spaces"):
        warnings.simplefilter("ignore")
        declared = envpool.make_spec(spec.id)
        return declared.gymnasium_observation_space, declared.gymnasium_action_space


def _seeds(seeds: Sequence[int]) -> list[int]:
    """EnvPool takes 31 bits; ours have more, and are spread over them."""
    return [int(np.random.SeedSequence(int(seed)).generate_state(1)[0] >> 1) for seed in seeds]


class EnvPoolVector:
    """``num_envs`` environments of one specification without parameters; ``threads`` step them.

    Follows ``contract.Vector``; spaces are the Python version's; ``infos`` are empty. Raises UsageError where EnvPool
    is not installed or has no such environment. Whether it is the same environment is not asked here.
    """

    def __init__(self, spec_or_specs: EnvSpec | Sequence[EnvSpec], num_envs: int, threads: int = 1) -> None:
        self.specs = one_of_all(spec_or_specs, num_envs)
        spec = self.specs[0]
        if not installed():
            raise UsageError("EnvPool is not installed.", INSTALL)
        if spec.kwargs or any(one != spec for one in self.specs) or not has_environment(spec):
            raise UsageError(
                f"EnvPool cannot make {spec.id} as it is wanted here.",
                "Use --vector sync, or leave it to auto.",
            )
        self.num_envs, self._threads = num_envs, threads
        python = make(spec)
        self.observation_space, self.action_space = python.observation_space, python.action_space
        python.close()
        self._reader = BatchReader(self.observation_space, num_envs)
        self._elapsed = np.zeros(num_envs, dtype=np.int32)
        self._rows = np.arange(num_envs, dtype=np.int32)
        self._nothing: Infos = tuple({} for _ in range(num_envs))
        self._pool: Any = None

    @property
    def elapsed(self) -> np.ndarray:
        """Steps taken in each environment's current episode, int32 (n,)."""
        return self._elapsed.copy()

    def reset(self, seeds: Sequence[int]) -> Observations:
        """Builds the environments anew, one seed each; the first observations."""
        import envpool

        if len(seeds) != self.num_envs:
            raise ValueError(f"{len(seeds)} seeds for {self.num_envs} environments")
        self._elapsed[:] = 0
        with warnings.catch_warnings(), foreign(self.specs[0].id, "at reset"):
            warnings.simplefilter("ignore")
            self._pool = envpool.make_gymnasium(
                self.specs[0].id, num_envs=self.num_envs, seed=_seeds(seeds), num_threads=self._threads
            )
            batch: Batch = {}
            try:
                self._begin(batch, self._rows)
            except Broken as broken:
                raise batch_fault(self.specs, broken, "at reset") from None
        return self._reader.out(batch)

    def step(self, actions: np.ndarray) -> VectorStep:
        """One step in every environment; ``actions`` as executed: (n,) integers, or (n, …) in the space's shape."""
        reader, when = self._reader, "at step"
        self._elapsed += 1
        with foreign(self.specs[0].id, "at a step"):
            try:
                told = self._pool.step(batched_actions(self.action_space, self.num_envs, actions))
                met = reader.read(_in_order(told[0], told[4]["env_id"], self._rows))
                reward = reader.rewards(told[1])
                terminated, truncated = (
                    reader.flags("terminated", told[2]),
                    reader.flags("truncated", told[3]),
                )
                ended, now = terminated | truncated, met
                if np.count_nonzero(ended):
                    when = "at reset"
                    now = {name: array.copy() for name, array in met.items()}
                    self._begin(now, self._rows[ended])
                    self._elapsed[ended] = 0
            except Broken as broken:
                raise batch_fault(self.specs, broken, self._words(when, broken.row)) from None
        return VectorStep(reader.out(met), reward, terminated, truncated, self._nothing, reader.out(now))

    def close(self) -> None:
        """Lets go of the environments and their threads."""
        pool, self._pool = self._pool, None
        if pool is not None:
            with foreign(self.specs[0].id, "while it was closed"):
                pool.close()

    def _begin(self, batch: Batch, rows: np.ndarray) -> None:
        """Begins the next episode of ``rows``, in their own generators, and writes where they stand into ``batch``."""
        observations, info = self._pool.reset(rows)
        first = self._reader.read(_in_order(observations, info["env_id"], rows), len(rows))
        if not batch:
            batch.update(first)
            return
        for name, array in first.items():
            batch[name][rows] = array

    def _words(self, when: str, row: int) -> str:
        return f"{when} {self._elapsed[row]} of an episode" if when == "at step" else when


def _in_order(observations: Any, told: np.ndarray, wanted: np.ndarray) -> Any:
    """In synchronous mode EnvPool answers in the order of asking; this is checked, not trusted."""
    if told.shape == wanted.shape and not np.count_nonzero(told != wanted):
        return observations
    raise Broken(0, f"answered for environments {told.tolist()} instead of {wanted.tolist()}")


def same_kind(python: Any, pool: Any) -> bool:
    """Whether one leaf's space in EnvPool can stand for the Python version's."""
    if isinstance(python, spaces.Box):
        return isinstance(pool, spaces.Box) and _box_fits(python, pool)
    if isinstance(python, spaces.Discrete):
        return isinstance(pool, spaces.Discrete) and (pool.n, pool.start) == (python.n, python.start)
    return bool(python == pool)


def _box_fits(python: spaces.Box, pool: spaces.Box) -> bool:
    kinds = {np.dtype(python.dtype).kind, np.dtype(pool.dtype).kind}
    if python.shape != pool.shape or len(kinds) != 1:
        return False
    if pool.dtype is not None and np.dtype(pool.dtype).kind == "f" and not _declared(pool):
        return True
    low, high = np.allclose(python.low, pool.low, 1e-4), np.allclose(python.high, pool.high, 1e-4)
    return bool(low and high)


def _declared(pool: spaces.Box) -> bool:
    """EnvPool leaves the limits of some environments at what its language has as smallest and largest number."""
    limits = np.finfo(np.float32)
    smallest = np.isin(pool.low, np.array([limits.tiny, limits.min, -np.inf])).all()
    return not (smallest and np.isin(pool.high, np.array([limits.max, np.inf])).all())
