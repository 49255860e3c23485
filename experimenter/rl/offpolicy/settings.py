"""Which settings a phase is trained with, and what the rest of the engine reads of them."""

from __future__ import annotations

from typing import Final

from experimenter.policies.actions import Said
from experimenter.records import Design, Hyperparameters, OffPolicySettings, Phase

__all__ = ["SAYS", "settings_of", "settled"]

SAYS: Final[dict[str, Said]] = {"sac": "squashed", "dqn": "values"}
"""The off-policy algorithms, and what their networks say about an action."""


def settings_of(phase: Phase, algorithm: str) -> OffPolicySettings:
    """The phase's own settings, else the algorithm's with the phase's environments, discount and stretches."""
    if phase.off_policy is not None:
        return phase.off_policy
    usual = OffPolicySettings.dqn() if algorithm == "dqn" else OffPolicySettings()
    hyper = phase.hyperparameters
    told = {"num_envs": hyper.num_envs, "train_freq": hyper.num_steps, "gamma": hyper.gamma}
    return usual.model_copy(update=told)


def settled(design: Design) -> Design:
    """A design of an off-policy algorithm with every setting written out; any other as it is.

    Environments, rollouts and forecasts are counted by ``Hyperparameters``: those that both kinds have are set to the
    same there.
    """
    if design.algorithm not in SAYS:
        return design
    usual = OffPolicySettings.dqn() if design.algorithm == "dqn" else OffPolicySettings()
    phases = tuple(_settled(phase, phase.off_policy or usual) for phase in design.phases)
    return design.model_copy(update={"phases": phases})


def _settled(phase: Phase, settings: OffPolicySettings) -> Phase:
    shared = Hyperparameters(
        num_envs=settings.num_envs, num_steps=settings.train_freq, gamma=settings.gamma,
        learning_rate=settings.learning_rate, anneal_learning_rate=False, normalize_observations=False,
        normalize_rewards=False,
    )  # fmt: skip
    return phase.model_copy(update={"hyperparameters": shared, "off_policy": settings})
