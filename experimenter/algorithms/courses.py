"""A library's learner at work on one training: the engine's own courses, with somebody else's updates inside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experimenter.algorithms.keeping import forget, keep, recall
from experimenter.algorithms.models import Model, ReplayModel, RolloutModel
from experimenter.policies.network import features, hidden_layers
from experimenter.policies.policy import Policy
from experimenter.policies.squashed import SquashedHead
from experimenter.records import Hyperparameters, OffPolicySettings
from experimenter.rl.account import Account
from experimenter.rl.adam import Adam
from experimenter.rl.course import NotFinite, OnPolicy, Taught, Teaching
from experimenter.rl.dormant import dormant_share
from experimenter.rl.job import TrainJob
from experimenter.rl.offpolicy.behaviour import noisy
from experimenter.rl.offpolicy.buffer import ReplayBuffer
from experimenter.rl.offpolicy.course import OffPolicy
from experimenter.rl.ppo import Rollout, UpdateStats
from experimenter.rl.schedule import Chunk
from experimenter.rl.stage import Stage
from experimenter.rl.state import TrainingState

__all__ = ["MakeReplayModel", "MakeRolloutModel", "ReplayCourse", "RolloutCourse"]

STREAM = 4
MakeReplayModel = Callable[[Policy, OffPolicySettings, np.random.Generator], ReplayModel]
MakeRolloutModel = Callable[[Policy, Hyperparameters, np.random.Generator], RolloutModel]


def _generator(job: TrainJob) -> np.random.Generator:
    """What a fresh learner's weights are drawn from."""
    return np.random.default_rng(np.random.SeedSequence([job.seed, STREAM]))


def _begin(model: Model, job: TrainJob, state: TrainingState) -> None:
    """The model as it stood at the last checkpoint; at first, with the weights that the training starts from."""
    if state.chunk:
        model.restore(recall(Path(job.folder), state.chunk))
    elif job.design.start is not None:
        model.adopt()
    model.show()


@contextmanager
def _numbers(state: TrainingState) -> Iterator[None]:
    """A library may refuse what is no longer a number before its losses can tell: torch's distributions do."""
    try:
        yield
    except ValueError as error:
        if "Expected parameter" in str(error) or not np.isfinite(state.flat).all():
            raise NotFinite from error
        raise


class ReplayCourse(OffPolicy):
    """Collects, pays and keeps as any off-policy course does; the updates are the model's.

    ``deviation`` is that of the noise which is added to the actor's actions while collecting; 0 draws them as the
    policy says.
    """

    def __init__(
        self,
        job: TrainJob,
        policy: Policy,
        state: TrainingState,
        account: Account,
        usual: OffPolicySettings,
        make: MakeReplayModel,
        deviation: float = 0.0,
    ) -> None:
        super().__init__(job, policy, state, account, usual)
        self._make, self._deviation = make, deviation
        self._model: ReplayModel | None = None

    def chunk(self, chunk: Chunk, stage: Stage, rng: np.random.Generator) -> Teaching[Taught]:
        """See ``Course.chunk``."""
        with _numbers(self.state):
            return (yield from super().chunk(chunk, stage, rng))

    def save(self, folder: Path) -> None:
        """See ``Course.save``."""
        super().save(folder)
        if self._model is not None:
            keep(folder, self.state.chunk, self._model.arrays())

    def over(self) -> None:
        """See ``Course.over``."""
        super().over()
        forget(Path(self.job.folder))

    def _teacher(self, settings: OffPolicySettings) -> ReplayModel:
        if self._model is None:
            self._model = self._make(self.policy, settings, _generator(self.job))
            _begin(self._model, self.job, self.state)
        self._model.settle(settings)
        return self._model

    def _acting(self, buffer: ReplayBuffer, settings: OffPolicySettings) -> Policy:
        made = super()._acting(buffer, settings)
        by_actor = type(made.head) is SquashedHead
        return noisy(made, self._deviation) if self._deviation and by_actor else made


class _Learner:
    """A rollout model as what ``OnPolicy`` drives; ``adam`` counts updates and holds no moments."""

    def __init__(self, model: RolloutModel, policy: Policy, updates: int) -> None:
        self.model, self.policy = model, policy
        self.adam = Adam(0)
        self.adam.t = updates

    def update(
        self, rollout: Rollout, hyper: Hyperparameters, rate: float, rng: np.random.Generator
    ) -> UpdateStats:
        """See ``experimenter.rl.learners.PPOLearner``."""
        stats = self.model.learn(rollout, hyper, rate, rng)
        self.model.show()
        self.adam.t += 1
        return stats

    def dormant_share(self, obs: NDArray[np.float32]) -> float:
        """Share of hidden units that hardly react to ``obs`` (n, inputs)."""
        params, shape = self.policy.params, self.policy.shape
        return dormant_share(hidden_layers(params, shape, features(params, shape, obs)))


class RolloutCourse(OnPolicy):
    """Collects, pays and normalises as PPO does; the updates are the model's."""

    def __init__(
        self, job: TrainJob, policy: Policy, state: TrainingState, account: Account, make: MakeRolloutModel
    ) -> None:
        super().__init__(job, policy, state, account)
        self._make = make
        self._model: RolloutModel | None = None

    def chunk(self, chunk: Chunk, stage: Stage, rng: np.random.Generator) -> Teaching[Taught]:
        """See ``Course.chunk``."""
        if self._model is None:
            self._model = self._make(self.policy, stage.phase.hyperparameters, _generator(self.job))
            _begin(self._model, self.job, self.state)
            self.learner = _Learner(self._model, self.policy, self.state.t)
        with _numbers(self.state):
            return (yield from super().chunk(chunk, stage, rng))

    def save(self, folder: Path) -> None:
        """See ``Course.save``."""
        if self._model is not None:
            keep(folder, self.state.chunk, self._model.arrays())

    def over(self) -> None:
        """See ``Course.over``."""
        forget(Path(self.job.folder))
