"""What most algorithms have in common as plug-ins: a base class whose defaults a stranger's algorithm may keep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from experimenter.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from experimenter.envs.records import EnvCard
    from experimenter.policies.actions import Said
    from experimenter.policies.policy import Policy
    from experimenter.records import Design, Network

__all__ = ["AlgorithmPlugin", "perceptrons_only"]


class AlgorithmPlugin:
    """An algorithm whose policy is a distribution over any actions. See ``experimenter.contracts.Algorithm``.

    A subclass names itself and offers ``course(job, policy, state, account)``, an ``experimenter.rl.course.Course``;
    everything else may stay as it is here.
    """

    contract: ClassVar[int] = 1
    name: ClassVar[str]
    said: ClassVar[Said] = "distribution"
    actions: ClassVar[tuple[str, ...]] = ("discrete", "continuous", "multi_discrete", "multi_binary")

    def ready(self) -> None:
        """Nothing is needed that might be missing."""

    def check(self, design: Design) -> None:
        """Any network will do."""

    def says(self, design: Design) -> Said:
        """The same for every design."""
        return self.said

    def network(self, card: EnvCard) -> Network:
        """PPO's default network for the environment."""
        from experimenter.rl.defaults import default_network

        return default_network(card)

    def settled(self, design: Design) -> Design:
        """The design as it is."""
        return design

    def begin(
        self, design: Design, policy: Policy, started: NDArray[np.float32] | None, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], int]:
        """Fresh weights for ``policy``, or those that it started from; all of them have moments to be kept."""
        from experimenter.policies.network import initial_params, views

        if started is not None:
            return started, len(started)
        first = design.phases[0].hyperparameters
        flat = initial_params(policy.shape, rng, first.ortho_init)
        if policy.shape.log_std:
            views(flat, policy.shape)["actor.log_std"][...] = first.log_std_init
        return flat, len(flat)

    def course(self, job: Any, policy: Any, state: Any, account: Any) -> Any:
        """To be overridden: the algorithm at work on ``state``."""
        raise NotImplementedError(f"{type(self).__name__} does not say how it trains")


def perceptrons_only(name: str, design: Design) -> None:
    """Raises UsageError where the design's network is more than perceptrons."""
    if not design.network.plain:
        raise UsageError(
            f"{name.upper()} trains perceptrons, and this design's network has other layers.",
            'Leave out `convolution` and `memory`, or use the algorithm "ppo".',
        )
