"""One face for both learners: made from a design's settings, given batches, telling what the last ones were like."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from experimenter.policies.policy import Policy
from experimenter.records import Design, OffPolicySettings
from experimenter.rl.offpolicy.batch import Batch
from experimenter.rl.offpolicy.dqn import DQNLearner, DQNShape
from experimenter.rl.offpolicy.losses import DQNLosses, Losses, SACLosses
from experimenter.rl.offpolicy.optimiser import Adam
from experimenter.rl.offpolicy.sac import SACLearner, SACShape
from experimenter.rl.offpolicy.settings import settings_of

__all__ = ["Teacher", "beginning", "teacher"]

Floats = NDArray[np.float32]


class Teacher(Protocol):
    """Updates the flat vector that it was made for."""

    @property
    def adam(self) -> Adam: ...

    def learn(self, batch: Batch, rate: float, rng: np.random.Generator) -> Losses:
        """One update."""
        ...


class _SAC:
    def __init__(self, learner: SACLearner) -> None:
        self.learner, self.adam = learner, learner.adam

    def learn(self, batch: Batch, rate: float, rng: np.random.Generator) -> SACLosses:
        noise = rng.standard_normal((2 * self.learner.n, self.learner.d), dtype=np.float32)
        return self.learner.update(batch, noise, rate)


class _DQN:
    def __init__(self, learner: DQNLearner) -> None:
        self.learner, self.adam = learner, learner.adam

    def learn(self, batch: Batch, rate: float, rng: np.random.Generator) -> DQNLosses:
        return self.learner.update(batch, rate)


def beginning(
    design: Design, started: Floats | None, policy: Policy, rng: np.random.Generator
) -> tuple[Floats, int]:
    """A fresh flat vector for what ``policy`` says, and how many of its numbers are learnt. The weights ``started``
    of a policy to start from stand at the front (and in DQN's target network); all else is new."""
    if policy.said == "squashed":
        shape = _sac_shape(policy)
        ent_coef = settings_of(design.phases[0], design.algorithm).ent_coef
        flat = shape.fresh(rng, 1.0 if ent_coef == "auto" else ent_coef)
        if started is not None:
            flat[: len(started)] = started
        return flat, shape.learnt
    network = _dqn_shape(policy)
    flat = network.fresh(rng) if started is None else np.concatenate([started, started])
    return flat, network.learnt


def teacher(policy: Policy, flat: Floats, settings: OffPolicySettings) -> Teacher:
    """The learner of what ``policy`` says, working on ``flat`` with a phase's settings."""
    if policy.said == "squashed":
        return _SAC(_sac(policy, flat, settings))
    learner = DQNLearner(
        _dqn_shape(policy), flat, settings.batch_size, gamma=settings.gamma, tau=settings.tau,
        target_update_interval=settings.target_update_interval, double_q=settings.double_q,
        max_grad_norm=settings.max_grad_norm,
    )  # fmt: skip
    return _DQN(learner)


def _sac(policy: Policy, flat: Floats, settings: OffPolicySettings) -> SACLearner:
    width, wanted = policy.head.width, settings.target_entropy
    return SACLearner(
        _sac_shape(policy), flat, settings.batch_size, gamma=settings.gamma, tau=settings.tau,
        target_update_interval=settings.target_update_interval,
        target_entropy=-float(width) if wanted == "auto" else wanted, learns_alpha=settings.ent_coef == "auto",
    )  # fmt: skip


def _sac_shape(policy: Policy) -> SACShape:
    network = policy.network
    return SACShape.of(policy.pipeline.size, network.hidden, policy.head.width, network.activation)


def _dqn_shape(policy: Policy) -> DQNShape:
    network = policy.network
    return DQNShape.of(policy.pipeline.size, network.hidden, policy.head.outputs, network.activation)
