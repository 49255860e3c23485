"""What a trainer may ask of a vector environment, whatever steps it: one process, many, or foreign native code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import gymnasium
import numpy as np

from experimenter.envs.pipeline import Observations
from experimenter.envs.vector import VectorStep
from experimenter.records import EnvSpec

__all__ = ["Vector"]


@runtime_checkable
class Vector(Protocol):
    """``num_envs`` environments stepped together; every step is a real transition of every one of them.

    ``observation_space`` and ``action_space`` are those of a single environment. An episode that ends begins again
    within the step, and the true final observation is told (``VectorStep``). Everything is checked before it is
    returned; returned arrays are fresh. Faults are EnvironmentFault. ``SyncVector`` has more than this (start states,
    wrappers, infos): whoever needs that must ask for a synchronous one.
    """

    num_envs: int
    specs: tuple[EnvSpec, ...]
    observation_space: gymnasium.Space[Any]
    action_space: gymnasium.Space[Any]

    @property
    def elapsed(self) -> np.ndarray:
        """Steps taken in each environment's current episode, int32 (n,)."""
        ...

    def reset(self, seeds: Sequence[int]) -> Observations:
        """Starts an episode in every environment, one seed each; the first observations."""
        ...

    def step(self, actions: np.ndarray) -> VectorStep:
        """One step in every environment; ``actions`` as executed: (n,) integers, or (n, …) in the space's shape."""
        ...

    def close(self) -> None:
        """Lets go of everything; the vector cannot be used afterwards."""
        ...
