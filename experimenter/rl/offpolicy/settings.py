"""Which settings a phase is trained with, and what the rest of the engine reads of them."""

from __future__ import annotations

from typing import Final

from experimenter.errors import UsageError
from experimenter.records import Design, Hyperparameters, OffPolicySettings, Phase

__all__ = ["check_agreed", "settings_of", "settled", "written_out"]

_SHARED: Final = {
    "num_envs": "num_envs", "train_freq": "num_steps", "gamma": "gamma", "learning_rate": "learning_rate",
}  # fmt: skip
"""Settings that ``OffPolicySettings`` and ``Hyperparameters`` both have, by their names there."""


def check_agreed(design: Design) -> None:
    """Raises UsageError where a phase's ``off_policy`` and ``hyperparameters`` say two things of one setting: rollouts
    and what programs are told follow the one, updates the other."""
    for number, phase in enumerate(design.phases, 1):
        if phase.off_policy is None:
            continue
        if design.algorithm == "ppo":
            raise UsageError(
                f"Phase {number} of the design has off_policy settings, and PPO learns from rollouts only.",
                'Leave `off_policy` out, or use the algorithm "sac" or "dqn".',
            )
        for name, shared in _SHARED.items():
            one, other = getattr(phase.off_policy, name), getattr(phase.hyperparameters, shared)
            if one != other:
                raise UsageError(
                    f"Phase {number} of the design says {one:g} for off_policy.{name} and {other:g} for "
                    f"hyperparameters.{shared}, which are one setting.",
                    "Give both the same value, or let experimenter.rl.offpolicy.settings.settled(design) do it.",
                )


def settings_of(phase: Phase, usual: OffPolicySettings) -> OffPolicySettings:
    """The phase's own settings, else the algorithm's ``usual`` ones with the phase's environments, discount and
    stretches."""
    if phase.off_policy is not None:
        return phase.off_policy
    hyper = phase.hyperparameters
    told = {"num_envs": hyper.num_envs, "train_freq": hyper.num_steps, "gamma": hyper.gamma}
    return usual.model_copy(update=told)


def settled(design: Design) -> Design:
    """The design with every setting of its algorithm written out; see ``experimenter.contracts.Algorithm``."""
    from experimenter.rl.algorithms import algorithm

    return algorithm(design.algorithm).settled(design)


def written_out(design: Design, usual: OffPolicySettings) -> Design:
    """The design of an off-policy algorithm with its own settings, or else the ``usual`` ones, in every phase.

    Environments, rollouts and forecasts are counted by ``Hyperparameters``: those that both kinds have are set to the
    same there.
    """
    phases = tuple(_settled(phase, phase.off_policy or usual) for phase in design.phases)
    return design.model_copy(update={"phases": phases})


def _settled(phase: Phase, settings: OffPolicySettings) -> Phase:
    shared = Hyperparameters(
        num_envs=settings.num_envs, num_steps=settings.train_freq, gamma=settings.gamma,
        learning_rate=settings.learning_rate, anneal_learning_rate=False, normalize_observations=False,
        normalize_rewards=False,
    )  # fmt: skip
    return phase.model_copy(update={"hyperparameters": shared, "off_policy": settings})
