"""The off-policy algorithms as plug-ins; how they train stands in ``course.py``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from experimenter.rl.plugin import AlgorithmPlugin, perceptrons_only

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from experimenter.envs.records import EnvCard
    from experimenter.policies.actions import Said
    from experimenter.policies.policy import Policy
    from experimenter.records import Design, Network, OffPolicySettings
    from experimenter.rl.course import Course

__all__ = ["DQN", "SAC", "OffPolicyPlugin"]


class OffPolicyPlugin(AlgorithmPlugin):
    """An algorithm that learns from a replay buffer, with perceptrons of ``hidden`` rectifiers."""

    hidden: ClassVar[tuple[int, ...]]

    def usual(self) -> OffPolicySettings:
        """What a phase gets when nobody chose."""
        raise NotImplementedError(f"{type(self).__name__} has no settings of its own")

    def check(self, design: Design) -> None:
        """See ``experimenter.contracts.Algorithm``."""
        perceptrons_only(self.name, design)

    def network(self, card: EnvCard) -> Network:
        """See ``experimenter.contracts.Algorithm``."""
        from experimenter.records import Network

        return Network(hidden=self.hidden, activation="relu")

    def settled(self, design: Design) -> Design:
        """See ``experimenter.contracts.Algorithm``."""
        from experimenter.rl.offpolicy.settings import written_out

        return written_out(design, self.usual())

    def begin(
        self, design: Design, policy: Policy, started: NDArray[np.float32] | None, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], int]:
        """See ``experimenter.contracts.Algorithm``."""
        from experimenter.rl.offpolicy.learning import beginning
        from experimenter.rl.offpolicy.settings import settings_of

        return beginning(settings_of(design.phases[0], self.usual()), started, policy, rng)

    def course(self, job: Any, policy: Any, state: Any, account: Any) -> Course:
        """See ``experimenter.contracts.Algorithm``."""
        from experimenter.rl.offpolicy.course import OffPolicy

        return OffPolicy(job, policy, state, account, self.usual())


class SAC(OffPolicyPlugin):
    """Soft actor-critic, for continuous actions, with the two layers of 256 of its paper."""

    name: ClassVar[str] = "sac"
    said: ClassVar[Said] = "squashed"
    actions: ClassVar[tuple[str, ...]] = ("continuous",)
    hidden: ClassVar[tuple[int, ...]] = (256, 256)

    def usual(self) -> OffPolicySettings:
        """The record's own defaults."""
        from experimenter.records import OffPolicySettings

        return OffPolicySettings()


class DQN(OffPolicyPlugin):
    """Deep Q-learning, for one discrete action, with two layers of 64."""

    name: ClassVar[str] = "dqn"
    said: ClassVar[Said] = "values"
    actions: ClassVar[tuple[str, ...]] = ("discrete",)
    hidden: ClassVar[tuple[int, ...]] = (64, 64)

    def usual(self) -> OffPolicySettings:
        """See ``OffPolicySettings.dqn``."""
        from experimenter.records import OffPolicySettings

        return OffPolicySettings.dqn()
