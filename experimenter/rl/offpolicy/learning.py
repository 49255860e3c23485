"""One face for whatever learns from the buffer: given stretches of updates, telling what the last ones were like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from experimenter.policies.policy import Policy
from experimenter.records import OffPolicySettings
from experimenter.rl.figures import Figures
from experimenter.rl.offpolicy.batch import Batch
from experimenter.rl.offpolicy.buffer import ReplayBuffer
from experimenter.rl.offpolicy.dqn import DQNLearner, DQNShape
from experimenter.rl.offpolicy.losses import DQNLosses, Losses, SACLosses
from experimenter.rl.offpolicy.optimiser import Adam
from experimenter.rl.offpolicy.sac import SACLearner, SACShape

__all__ = ["Kernels", "Lesson", "Teacher", "beginning", "teacher"]

Floats = NDArray[np.float32]


class Teacher(Protocol):
    """Changes the policy that it was made for. ``updates`` counts all that it ever did to it."""

    @property
    def updates(self) -> int: ...

    def teach(
        self, buffer: ReplayBuffer, lesson: Lesson, rng: np.random.Generator, alive: Callable[[], None]
    ) -> Figures:
        """A stretch of updates, with all that is random from ``rng``; the means of what they told. ``alive`` is to be
        called at least once a second."""
        ...


@dataclass(frozen=True, slots=True)
class Lesson:
    """``updates`` updates at learning rate ``rate``, each on ``size`` transitions drawn alike."""

    updates: int
    size: int
    rate: float


class Kernels:
    """A teacher by hand-derived gradients."""

    adam: Adam

    @property
    def updates(self) -> int:
        return self.adam.t

    def teach(
        self, buffer: ReplayBuffer, lesson: Lesson, rng: np.random.Generator, alive: Callable[[], None]
    ) -> Losses:
        """See ``Teacher``."""
        made = []
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            for places in rng.integers(len(buffer), size=(lesson.updates, lesson.size)):
                made.append(self.learn(buffer.batch(places), lesson.rate, rng))
                alive()
            means = np.mean([astuple(losses) for losses in made], axis=0)
        return type(made[-1])(*(float(mean) for mean in means))

    def learn(self, batch: Batch, rate: float, rng: np.random.Generator) -> SACLosses | DQNLosses:
        """One update."""
        raise NotImplementedError


class _SAC(Kernels):
    def __init__(self, learner: SACLearner) -> None:
        self.learner, self.adam = learner, learner.adam

    def learn(self, batch: Batch, rate: float, rng: np.random.Generator) -> SACLosses:
        noise = rng.standard_normal((2 * self.learner.n, self.learner.d), dtype=np.float32)
        return self.learner.update(batch, noise, rate)


class _DQN(Kernels):
    def __init__(self, learner: DQNLearner) -> None:
        self.learner, self.adam = learner, learner.adam

    def learn(self, batch: Batch, rate: float, rng: np.random.Generator) -> DQNLosses:
        return self.learner.update(batch, rate)


def beginning(
    settings: OffPolicySettings, started: Floats | None, policy: Policy, rng: np.random.Generator
) -> tuple[Floats, int]:
    """A fresh flat vector for what ``policy`` says, and how many of its numbers are learnt. The weights ``started``
    of a policy to start from stand at the front (and in DQN's target network); all else is new."""
    if policy.said == "squashed":
        shape = _sac_shape(policy)
        flat = shape.fresh(rng, 1.0 if settings.ent_coef == "auto" else settings.ent_coef)
        if started is not None:
            flat[: len(started)] = started
        return flat, shape.learnt
    network = _dqn_shape(policy)
    flat = network.fresh(rng) if started is None else np.concatenate([started, started])
    return flat, network.learnt


def teacher(policy: Policy, flat: Floats, settings: OffPolicySettings) -> Kernels:
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
