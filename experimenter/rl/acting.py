"""The methods that act while a phase trains: its start states, and what wraps its environments.

Here a design that names a method wrongly ends as a training without a policy; the check stage says so earlier.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import gymnasium

from experimenter.envs.faults import foreign
from experimenter.errors import TrainingFault, UsageError
from experimenter.methods import Use, check_methods, uses
from experimenter.rl.job import TrainJob
from experimenter.rl.starts import Starts

__all__ = ["starts_for", "wrapping"]

Wrap = Callable[[Any], Any]


def starts_for(job: TrainJob, phase: int) -> Starts | None:
    """The phase's start states, empty; ``None`` where no method chooses them. Raises TrainingFault."""
    chosen = job.design.phases[phase]
    if not chosen.methods:
        return None
    try:
        check_methods(job.design)
        unwritten, found = uses(chosen, "reward"), uses(chosen, "start")
    except UsageError as error:
        raise TrainingFault(error.message, error.hint) from error
    if unwritten:
        raise TrainingFault(
            f"the reward method {unwritten[0].name} has not been applied",
            "Reward methods write a program before training: see experimenter.methods.written.",
        )
    return Starts(job, phase, found[0].hook.starts(found[0].parameters)) if found else None


def wrapping(job: TrainJob, phase: int) -> Wrap | None:
    """What wraps each environment of the phase, methods in their order, the last one outermost; ``None``: nothing."""
    chosen = job.design.phases[phase]
    every = uses(chosen, "wrapper") if chosen.methods else ()
    if not every:
        return None
    return lambda environment: reduce(_wrapped, every, environment)


def _wrapped(environment: Any, use: Use) -> Any:
    with foreign(
        str(environment.spec.id if environment.spec else environment), f"when {use.name} wrapped it"
    ):
        made = use.hook.wrap(environment, use.parameters)
    if not isinstance(made, gymnasium.Env):
        raise TrainingFault(
            f"the method {use.name} returned {type(made).__name__}, not an environment",
            "Its wrap() must return a gymnasium.Env.",
        )
    return made
