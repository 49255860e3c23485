"""What plug-ins for a library's algorithms share: they say which model learns, and the engine's courses do the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from experimenter.errors import UsageError
from experimenter.rl.offpolicy.plugins import OffPolicyPlugin
from experimenter.rl.plugin import AlgorithmPlugin, perceptrons_only

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from experimenter.algorithms.courses import MakeReplayModel, MakeRolloutModel
    from experimenter.envs.records import EnvCard
    from experimenter.policies.actions import Said
    from experimenter.policies.policy import Policy
    from experimenter.records import Design, Network, OffPolicySettings
    from experimenter.rl.course import Course

__all__ = ["ContinuousPlugin", "ReplayPlugin", "RolloutPlugin", "no_sde"]

Begun = tuple["NDArray[np.float32]", int]


class ReplayPlugin(OffPolicyPlugin):
    """Learns from the engine's replay buffer. ``deviation``: see ``courses.ReplayCourse``."""

    deviation: ClassVar[float] = 0.0

    def model(self) -> MakeReplayModel:
        """What makes the model that learns."""
        raise NotImplementedError

    def begin(
        self, design: Design, policy: Policy, started: NDArray[np.float32] | None, rng: np.random.Generator
    ) -> Begun:
        """The policy's weights alone: critics and moments are the library's, and kept beside the checkpoint."""
        flat, _ = super().begin(design, policy, started, rng)
        return flat[: policy.shape.size].copy(), 0

    def course(self, job: Any, policy: Any, state: Any, account: Any) -> Course:
        """See ``experimenter.contracts.Algorithm``."""
        from experimenter.algorithms.courses import ReplayCourse

        return ReplayCourse(job, policy, state, account, self.usual(), self.model(), self.deviation)


class ContinuousPlugin(ReplayPlugin):
    """Learns continuous actions, with an actor that is squashed and the two layers of 256 that SAC's paper has."""

    said: ClassVar[Said] = "squashed"
    actions: ClassVar[tuple[str, ...]] = ("continuous",)
    hidden: ClassVar[tuple[int, ...]] = (256, 256)

    def usual(self) -> OffPolicySettings:
        """The record's own defaults."""
        from experimenter.records import OffPolicySettings

        return OffPolicySettings()


class RolloutPlugin(AlgorithmPlugin):
    """Learns from rollouts, with perceptrons as PPO's."""

    def model(self) -> MakeRolloutModel:
        """What makes the model that learns."""
        raise NotImplementedError

    def check(self, design: Design) -> None:
        """See ``experimenter.contracts.Algorithm``."""
        perceptrons_only(self.name, design)
        no_sde(self.name, design)

    def network(self, card: EnvCard) -> Network:
        """Two layers of 64, whatever is seen."""
        from experimenter.records import Network

        return Network()

    def begin(
        self, design: Design, policy: Policy, started: NDArray[np.float32] | None, rng: np.random.Generator
    ) -> Begun:
        """The policy's weights alone: moments are the library's, and kept beside the checkpoint."""
        return super().begin(design, policy, started, rng)[0], 0

    def course(self, job: Any, policy: Any, state: Any, account: Any) -> Course:
        """See ``experimenter.contracts.Algorithm``."""
        from experimenter.algorithms.courses import RolloutCourse

        return RolloutCourse(job, policy, state, account, self.model())


def no_sde(name: str, design: Design) -> None:
    """Raises UsageError where a phase explores by the state, which only PPO of the engine's own can."""
    if any(phase.hyperparameters.sde for phase in design.phases):
        raise UsageError(
            f"{name.upper()} does not explore by the state (`sde`) here.",
            'Leave `sde` out of the hyperparameters, or use the algorithm "ppo".',
        )
