"""Stable-Baselines3's and sb3-contrib's algorithms as plug-ins; neither library is loaded before one trains."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from experimenter.algorithms.needs import require
from experimenter.algorithms.plugins import ContinuousPlugin, ReplayPlugin, RolloutPlugin, no_sde
from experimenter.errors import UsageError

if TYPE_CHECKING:
    from experimenter.algorithms.courses import MakeReplayModel, MakeRolloutModel
    from experimenter.envs.records import EnvCard
    from experimenter.policies.actions import Said
    from experimenter.records import Design, Network, OffPolicySettings

__all__ = ["DQN", "PPO", "QRDQN", "SAC", "TD3", "TQC", "TRPO", "MaskablePPO", "RecurrentPPO"]


class _Sb3:
    """What all of them need."""

    name: ClassVar[str]

    def ready(self) -> None:
        """See ``experimenter.contracts.Algorithm``."""
        require(self.name, "sb3", "stable_baselines3", "sb3_contrib")


class _Continuous(_Sb3, ContinuousPlugin):
    pass


class _Discrete(_Sb3, ReplayPlugin):
    said: ClassVar[Said] = "values"
    actions: ClassVar[tuple[str, ...]] = ("discrete",)
    hidden: ClassVar[tuple[int, ...]] = (64, 64)

    def usual(self) -> OffPolicySettings:
        """Those of the engine's own DQN, less double Q-learning, which the library does not know."""
        from experimenter.records import OffPolicySettings

        return OffPolicySettings.dqn().model_copy(update={"double_q": False})


class TD3(_Continuous):
    """Twin delayed deep deterministic policy gradient: the actor acts with a little noise while it collects."""

    name: ClassVar[str] = "td3"
    deviation: ClassVar[float] = 0.1

    def usual(self) -> OffPolicySettings:
        """With the library's learning rate."""
        return super().usual().model_copy(update={"learning_rate": 1e-3})

    def model(self) -> MakeReplayModel:
        from experimenter.algorithms.sb3.replaying import TD3Model

        return TD3Model


class TQC(_Continuous):
    """Truncated quantile critics: SAC's actor, and critics whose highest quantiles are dropped."""

    name: ClassVar[str] = "tqc"

    def model(self) -> MakeReplayModel:
        from experimenter.algorithms.sb3.replaying import EntropyModel

        return partial(EntropyModel, "TQC")


class SAC(_Continuous):
    """The library's SAC, to hold ours against."""

    name: ClassVar[str] = "sb3-sac"

    def model(self) -> MakeReplayModel:
        from experimenter.algorithms.sb3.replaying import EntropyModel

        return partial(EntropyModel, "SAC")


class QRDQN(_Discrete):
    """Deep Q-learning with quantiles of the return in place of its mean."""

    name: ClassVar[str] = "qrdqn"

    def model(self) -> MakeReplayModel:
        from experimenter.algorithms.sb3.replaying import QuantileModel

        return QuantileModel


class DQN(_Discrete):
    """The library's DQN, to hold ours against."""

    name: ClassVar[str] = "sb3-dqn"

    def model(self) -> MakeReplayModel:
        from experimenter.algorithms.sb3.replaying import ValueModel

        return ValueModel


class TRPO(_Sb3, RolloutPlugin):
    """Trust region policy optimisation."""

    name: ClassVar[str] = "trpo"

    def model(self) -> MakeRolloutModel:
        from experimenter.algorithms.sb3.rollouts import TRPOModel

        return TRPOModel


class PPO(_Sb3, RolloutPlugin):
    """The library's PPO, to hold ours against."""

    name: ClassVar[str] = "sb3-ppo"

    def model(self) -> MakeRolloutModel:
        from experimenter.algorithms.sb3.rollouts import PPOModel

        return PPOModel


class RecurrentPPO(_Sb3, RolloutPlugin):
    """PPO with a long short-term memory."""

    name: ClassVar[str] = "recurrent-ppo"

    def check(self, design: Design) -> None:
        network = design.network
        if network.convolution or not network.memory or network.cell != "lstm":
            raise UsageError(
                f"RECURRENT-PPO trains perceptrons behind a long short-term memory; this network is {network.words}.",
                'Give it `memory` and `"cell": "lstm"`, and no `convolution`, or use the algorithm "ppo".',
            )
        no_sde(self.name, design)

    def network(self, card: EnvCard) -> Network:
        """Two layers of 64 behind a memory of 128."""
        from experimenter.records import Network

        return Network(memory=128, cell="lstm")

    def model(self) -> MakeRolloutModel:
        from experimenter.algorithms.sb3.rollouts import RecurrentPPOModel

        return RecurrentPPOModel


class MaskablePPO(_Sb3, RolloutPlugin):
    """PPO where the observation's part ``action_mask`` says which discrete actions are possible."""

    name: ClassVar[str] = "maskable-ppo"
    said: ClassVar[Said] = "masked"
    actions: ClassVar[tuple[str, ...]] = ("discrete", "multi_discrete", "multi_binary")

    def settled(self, design: Design) -> Design:
        """Without normalised observations: the head reads the mask among them."""
        phases = tuple(
            phase.model_copy(
                update={
                    "hyperparameters": phase.hyperparameters.model_copy(
                        update={"normalize_observations": False}
                    )
                }
            )
            for phase in design.phases
        )
        return design.model_copy(update={"phases": phases})

    def check(self, design: Design) -> None:
        super().check(design)
        if any(phase.hyperparameters.normalize_observations for phase in design.phases):
            raise UsageError(
                "MASKABLE-PPO reads the mask among the observations, and cannot where they are normalised.",
                "Set `normalize_observations` to false in the hyperparameters of every phase.",
            )

    def model(self) -> MakeRolloutModel:
        from experimenter.algorithms.sb3.rollouts import MaskablePPOModel

        return MaskablePPOModel
