"""What differs between algorithms: how one chunk of a training goes. On-policy here: roll out, pay, learn, repeat.

A course asks for its rollouts instead of collecting them: it yields what it wants and is sent the experience. So one
training can be driven by itself, and several side by side whose environments and policies are stepped together.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np

from experimenter.policies.network import views
from experimenter.policies.normaliser import Normaliser, RewardScaler
from experimenter.policies.policy import Policy
from experimenter.records import Phase
from experimenter.rl.account import Account
from experimenter.rl.episodes import EpisodeLog
from experimenter.rl.figures import Figures
from experimenter.rl.job import TrainJob
from experimenter.rl.learners import make_learner
from experimenter.rl.ppo import Rollout
from experimenter.rl.rollout import Experience, Wanted
from experimenter.rl.schedule import Chunk
from experimenter.rl.stage import Stage
from experimenter.rl.state import TrainingState

__all__ = ["Course", "Elsewhere", "NotFinite", "OnPolicy", "Taught", "Teaching"]


class NotFinite(Exception):
    """Loss or weights are no longer numbers."""


@dataclass(frozen=True, slots=True)
class Taught:
    """A chunk's end: its episodes, and the last update's figures."""

    episodes: EpisodeLog
    stats: Figures


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Another process is at work for this training: whoever drives it may see to others first."""


T = TypeVar("T")
Teaching: TypeAlias = Generator[Wanted | Elsewhere, Any, T]
"""Yields the rollouts that it wants and is sent their ``Experience``, or nothing after an ``Elsewhere``; returns its
result."""


class Course(Protocol):
    """One algorithm at work on one training; made anew after a roll-back and at a resume."""

    def chunk(self, chunk: Chunk, stage: Stage, rng: np.random.Generator) -> Teaching[Taught]:
        """Trains one chunk, in environments that were just reset; ``state`` is right again at its end.

        Raises NotFinite."""
        ...

    def save(self, folder: Path) -> None:
        """Keeps what the checkpoint of ``state.chunk`` does not hold; called before that checkpoint is written."""
        ...

    def over(self) -> None:
        """The training has taken every step of its design: nothing but its checkpoint is needed any more."""
        ...


class OnPolicy:
    """Proximal policy optimisation over rollouts: ``state`` and ``policy`` share their arrays."""

    def __init__(self, job: TrainJob, policy: Policy, state: TrainingState, account: Account) -> None:
        self.job, self.policy, self.state, self.account = job, policy, state, account
        policy.params = views(state.flat, policy.shape)
        policy.normaliser = state.normaliser
        self.learner = make_learner(job, policy.shape, policy.head, state.flat)
        adam = self.learner.adam
        adam.m, adam.v, adam.t = state.m, state.v, state.t

    def chunk(self, chunk: Chunk, stage: Stage, rng: np.random.Generator) -> Teaching[Taught]:
        """See ``Course.chunk``."""
        s, hyper, collector = self.state, stage.phase.hyperparameters, stage.collected
        scaler, episodes = self._scaler(stage.phase), EpisodeLog(hyper.num_envs)
        learns = self._normaliser(stage.phase)
        for _ in stage.rollouts(chunk):
            warm_up = learns is not None and learns.count == 0
            experience: Experience = yield Wanted(
                collector, chunk.num_steps, rng, warm_up, self.account.alive
            )
            answer = stage.shaper.begin(experience)
            if stage.shaper.program is not None:
                yield Elsewhere()
            paid = self.account.book(answer(), experience, episodes)
            reward = paid.astype(np.float32) if scaler is None else scaler.scale(paid, experience.done)
            rate = self._rate(stage.phase)
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                stats = self.learner.update(_rollout(experience, reward), hyper, rate, rng)
            if learns is not None and not warm_up:
                learns.update(collector.encoded(experience))
            self.account.count(experience.env_steps)
            self.account.say(stats, rate, episodes)
            if not stats.finite:
                raise NotFinite
        s.t = self.learner.adam.t
        s.scaler = None if scaler is None else scaler.saved
        s.dormant_share = self.learner.dormant_share(experience.inputs.reshape(-1, self.policy.shape.inputs))
        return Taught(episodes, stats)

    def save(self, folder: Path) -> None:
        """Nothing: weights, moments and statistics are all in ``state``."""

    def over(self) -> None:
        """Nothing: all of it is in the checkpoint."""

    def _normaliser(self, phase: Phase) -> Normaliser | None:
        """What learns from the phase's observations, or ``None``."""
        if not phase.hyperparameters.normalize_observations or self.policy.pipeline.categorical:
            return None
        if self.state.normaliser is None:
            self.state.normaliser = self.policy.normaliser = Normaliser(self.policy.pipeline.size)
        return self.state.normaliser

    def _scaler(self, phase: Phase) -> RewardScaler | None:
        hyper = phase.hyperparameters
        if not hyper.normalize_rewards:
            return None
        scaler = RewardScaler(hyper.num_envs, hyper.gamma)
        if self.state.scaler is not None:
            scaler.restore(self.state.scaler)
        return scaler

    def _rate(self, phase: Phase) -> float:
        """Falls linearly over the phase's own steps, whatever ``until`` is."""
        hyper = phase.hyperparameters
        left = 1.0 - self.state.done / phase.steps if hyper.anneal_learning_rate else 1.0
        return hyper.learning_rate * self.state.rate_scale * left


def _rollout(e: Experience, reward: np.ndarray) -> Rollout:
    return Rollout(
        e.inputs, e.raw, reward, e.terminated, e.truncated, e.final_inputs, e.final_at, e.last_inputs
    )
