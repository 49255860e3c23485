"""What a library's learner must offer to be driven by this engine, whichever library it is."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from experimenter.algorithms.keeping import Arrays
from experimenter.records import Hyperparameters, OffPolicySettings
from experimenter.rl.offpolicy.learning import Teacher
from experimenter.rl.ppo import Rollout, UpdateStats

__all__ = ["Model", "ReplayModel", "RolloutModel"]


class Model(Protocol):
    """A library's networks and optimisers, made for one policy, whose weights it writes after every update."""

    def show(self) -> None:
        """Writes the learnt weights into the policy's arrays, in place."""
        ...

    def adopt(self) -> None:
        """Takes the policy's weights for its own: a training that starts from a policy begins so."""
        ...

    def arrays(self) -> Arrays:
        """All that it knows; copies or not, they are written at once."""
        ...

    def restore(self, arrays: Arrays) -> None:
        """Knows again what ``arrays`` said, to the bit."""
        ...


class ReplayModel(Model, Teacher, Protocol):
    """Learns from a replay buffer."""

    def settle(self, settings: OffPolicySettings) -> None:
        """From now on with a phase's settings."""
        ...


class RolloutModel(Model, Protocol):
    """Learns from rollouts."""

    def learn(
        self, rollout: Rollout, hyper: Hyperparameters, rate: float, rng: np.random.Generator
    ) -> UpdateStats:
        """One update; see ``experimenter.rl.learners.PPOLearner``."""
        ...
