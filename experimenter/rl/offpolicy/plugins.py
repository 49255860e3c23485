"""The off-policy algorithms as plug-ins; how they train stands in ``course.py``."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from experimenter.records import Training
    from experimenter.rl.training import Progress, TrainJob

__all__ = ["DQN", "SAC"]


class _OffPolicy:
    contract: ClassVar[int] = 1

    def train(self, job: TrainJob, progress: Progress) -> Training:
        """Train one design with one seed; see ``experimenter.rl.training.train``."""
        from experimenter.rl.training import train

        return train(job, progress)


class SAC(_OffPolicy):
    """Soft actor-critic, for continuous actions."""

    name: ClassVar[str] = "sac"


class DQN(_OffPolicy):
    """Deep Q-learning, for one discrete action."""

    name: ClassVar[str] = "dqn"
