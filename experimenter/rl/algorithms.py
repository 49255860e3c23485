"""Which algorithm a design names: unknown names are refused before anything costs steps."""

from __future__ import annotations

from typing import Final

from experimenter.errors import UsageError, did_you_mean
from experimenter.policies.policy import Policy
from experimenter.records import Design
from experimenter.rl.account import Account
from experimenter.rl.course import Course, OnPolicy
from experimenter.rl.job import TrainJob
from experimenter.rl.state import TrainingState

__all__ = ["ALGORITHMS", "check_algorithm", "course_for"]

ALGORITHMS: Final = ("dqn", "ppo", "sac")


def check_algorithm(design: Design) -> None:
    """Raises UsageError for an algorithm that nobody provides, or one whose networks this design does not have."""
    if design.algorithm not in ALGORITHMS:
        guess = did_you_mean(design.algorithm, ALGORITHMS)
        raise UsageError(
            f"There is no algorithm {design.algorithm[:40]!r}.",
            f"{guess} Known: {', '.join(ALGORITHMS)}.".strip(),
        )
    if design.algorithm != "ppo" and not design.network.plain:
        raise UsageError(
            f"{design.algorithm.upper()} trains perceptrons, and this design's network has other layers.",
            'Leave out `convolution` and `memory`, or use the algorithm "ppo".',
        )


def course_for(job: TrainJob, policy: Policy, state: TrainingState, account: Account) -> Course:
    """The design's algorithm at work on ``state``."""
    if job.design.algorithm == "ppo":
        return OnPolicy(job, policy, state, account)
    from experimenter.rl.offpolicy.course import OffPolicy

    return OffPolicy(job, policy, state, account)
