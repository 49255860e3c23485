"""Which learner a training gets: hand-derived kernels where they suffice, PyTorch's derivatives everywhere else."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from experimenter.errors import TrainingFault
from experimenter.policies.actions import ActionHead
from experimenter.policies.network import Shape
from experimenter.records import Hyperparameters
from experimenter.rl.adam import Adam
from experimenter.rl.job import TrainJob
from experimenter.rl.ppo import Learner, Rollout, UpdateStats

__all__ = ["PPOLearner", "make_learner"]


class PPOLearner(Protocol):
    """What learns from rollouts, whoever derives the gradient: it changes one flat vector, and ``adam``, in place."""

    adam: Adam

    def update(
        self, rollout: Rollout, hyper: Hyperparameters, rate: float, rng: np.random.Generator
    ) -> UpdateStats:
        """``update_epochs`` passes over one rollout at learning rate ``rate``."""
        ...

    def dormant_share(self, obs: NDArray[np.float32]) -> float:
        """Share of hidden units that hardly react to ``obs`` (n, inputs)."""
        ...


def make_learner(job: TrainJob, shape: Shape, head: ActionHead, flat: NDArray[np.float32]) -> PPOLearner:
    """A learner that changes ``flat`` in place.

    Raises TrainingFault where the network needs PyTorch and it is not installed, or where the job asks for kernels
    that nobody derived.
    """
    by_hand = shape.plain and job.device == "cpu"
    if job.learner == "kernels" and not by_hand:
        raise TrainingFault(
            "the hand-derived kernels know plain perceptrons on the CPU, and nothing else",
            "Leave the learner to be chosen, or ask for autograd.",
        )
    if by_hand and job.learner != "autograd":
        return Learner(shape, head, flat)
    from experimenter.rl.autograd import AutogradLearner

    return AutogradLearner(shape, head, flat, job.device)
