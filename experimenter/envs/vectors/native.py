"""Gymnasium's own batched version of an environment, stepped in numpy for all rows at once: the fast path.

Every step is a real transition (no masked step after an episode), and every row has a generator of its own, so that
what a row meets depends on its seed and actions only, never on how many rows stand beside it. Whether the batched
version is the same environment as the Python one is tested before it is used: see ``native_check``.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from experimenter.envs.checks import Broken
from experimenter.envs.faults import foreign
from experimenter.envs.gymnasium_family import find
from experimenter.envs.pipeline import Observations
from experimenter.envs.vector import VectorStep
from experimenter.envs.vectors.batches import (
    BatchReader,
    Infos,
    batch_fault,
    batched_actions,
    one_of_all,
    rows_of_infos,
)
from experimenter.envs.vectors.beginnings import Rows, Written, beginning
from experimenter.errors import EnvironmentFault, UsageError
from experimenter.records import EnvSpec

__all__ = ["NativeVector", "build"]


def build(spec: EnvSpec, num_envs: int) -> Any:
    """The batched version, by its ``vector_entry_point``. Raises NotFound, or EnvironmentFault with its words."""
    registered = find(spec.id)
    with warnings.catch_warnings(), foreign(spec.id, "when its batched version was built"):
        warnings.simplefilter("ignore")
        return gymnasium.make_vec(
            registered, num_envs=num_envs, vectorization_mode="vector_entry_point", **spec.kwargs
        )


class _Allowed:
    """In place of the batch's action space, whose own check takes a third of a step: ours is done before."""

    def __init__(self, space: Any) -> None:
        self._space = space

    def __getattr__(self, name: str) -> Any:
        return getattr(self._space, name)

    def contains(self, _actions: Any) -> bool:
        return True


class NativeVector:
    """``num_envs`` rows of one batched environment; all of one specification.

    Follows ``contract.Vector``. ``infos`` are empty, and shared, where the environment gave none. Raises UsageError
    where the environment has no batched version that could be used here.
    """

    def __init__(self, spec_or_specs: EnvSpec | Sequence[EnvSpec], num_envs: int) -> None:
        self.specs = one_of_all(spec_or_specs, num_envs)
        if any(spec != self.specs[0] for spec in self.specs):
            raise UsageError(
                "A native vector environment has rows of one specification only.", "Use --vector sync."
            )
        self.num_envs = num_envs
        spec = self.specs[0]
        self.env = build(spec, num_envs)
        self.observation_space: gymnasium.Space[Any] = self.env.single_observation_space
        self.action_space: gymnasium.Space[Any] = self.env.single_action_space
        self._reader = BatchReader(self.observation_space, num_envs)
        found = beginning(self.env, lambda n: build(spec, n), self._reader)
        if isinstance(found, str):
            raise UsageError(f"{spec.id} has no native vector environment: {found}.", "Use --vector sync.")
        self.way = found
        self._choices: int | None = None
        self._first = 0
        if isinstance(self.action_space, spaces.Discrete):
            self._choices, self._first = int(self.action_space.n), int(self.action_space.start)
            self.env.action_space = _Allowed(self.env.action_space)
        self._elapsed = np.zeros(num_envs, dtype=np.int32)
        self._nothing: Infos = tuple({} for _ in range(num_envs))

    @property
    def elapsed(self) -> np.ndarray:
        """Steps taken in each environment's current episode, int32 (n,)."""
        return self._elapsed.copy()

    def reset(self, seeds: Sequence[int]) -> Observations:
        """Starts an episode in every row, one seed each; the first observations."""
        if len(seeds) != self.num_envs:
            raise ValueError(f"{len(seeds)} seeds for {self.num_envs} environments")
        self._elapsed[:] = 0
        with foreign(self.specs[0].id, "at reset"):
            try:
                return self._reader.out(self.way.reset(seeds))
            except Broken as broken:
                raise batch_fault(self.specs, broken, "at reset") from None

    def step(self, actions: np.ndarray) -> VectorStep:
        """One step in every row; ``actions`` as executed: (n,) integers, or (n, …) in the space's shape."""
        chosen = self._allowed(batched_actions(self.action_space, self.num_envs, actions))
        reader, now = self._reader, "at step"
        self._elapsed += 1
        with foreign(self.specs[0].id, "at a step"):
            try:
                told = self.way.step(chosen)
                reward = reader.rewards(told.rewards)
                terminated = reader.flags("terminated", told.terminated)
                truncated = reader.flags("truncated", told.truncated)
                obs, ended = told.final, terminated | truncated
                if np.count_nonzero(ended):
                    now, rows = "at reset", np.flatnonzero(ended)
                    obs = {name: array.copy() for name, array in told.final.items()}
                    self.way.begin(obs, rows)
                    self._elapsed[rows] = 0
            except Broken as broken:
                raise batch_fault(self.specs, broken, self._when(now, broken.row)) from None
        infos = rows_of_infos(told.infos, self.num_envs, self._nothing)
        return VectorStep(reader.out(told.final), reward, terminated, truncated, infos, reader.out(obs))

    @property
    def joins(self) -> bool:
        """Whether rows can be taken out of here and put into another vector of the same specification."""
        return isinstance(self.way, Written)

    def rows(self, columns: slice = slice(None)) -> Rows:
        """Where the rows stand, without disturbing them. Raises TypeError where ``joins`` is false."""
        return self._movable().rows(columns)

    def put_rows(self, parts: Sequence[Rows]) -> None:
        """Goes on from where other rows stand, side by side, as many in all as there are here.

        They live on as they would have lived where they came from, to the bit; those who gave them keep their own.
        """
        self._movable().put_rows(parts)
        self._elapsed[:] = np.concatenate([part.elapsed for part in parts])

    def _movable(self) -> Written:
        if isinstance(self.way, Written):
            return self.way
        raise TypeError(f"the rows of {self.specs[0].id} cannot be moved")

    def close(self) -> None:
        """Closes the environment; errors while closing are faults as any other."""
        with foreign(self.specs[0].id, "while it was closed"):
            self.env.close()

    def _allowed(self, actions: np.ndarray) -> np.ndarray:
        """Of a discrete space; one reduction does for both ends, as a negative number is a huge unsigned one."""
        if self._choices is None:
            return actions
        counted = np.asarray(actions - self._first if self._first else actions, dtype=np.int64)
        if np.maximum.reduce(counted.view(np.uint64)) < self._choices:
            return actions
        raise EnvironmentFault(
            f"{self.specs[0].id} was given an action outside {self.action_space}.",
            "Policies choose actions of the environment's own space.",
        )

    def _when(self, now: str, row: int) -> str:
        return f"{now} {self._elapsed[row]} of an episode" if now == "at step" else now
