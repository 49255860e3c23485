"""Turns a worker's typed failure back into the exception that it was."""

from __future__ import annotations

from typing import NoReturn

from experimenter import errors
from experimenter.contracts import JobResult
from experimenter.records import Design, EnvSpec


def raise_from(result: JobResult) -> NoReturn:
    """Raises the error that a failed job names; unknown names become TrainingFault."""
    raise error_kind(result.error)(result.message, result.hint)


def error_kind(
    name: str, otherwise: type[errors.ExperimenterError] = errors.TrainingFault
) -> type[errors.ExperimenterError]:
    """The class of that name in our tree; ``otherwise`` for any other word."""
    kind = getattr(errors, name, None)
    known = isinstance(kind, type) and issubclass(kind, errors.ExperimenterError)
    return kind if known else otherwise  # type: ignore[return-value]


def raise_for_environment(result: JobResult, design: Design, target: EnvSpec) -> None:
    """Raises EnvironmentFault when the goal's own environment failed: no other design could fare better.

    A fault in an environment that a design has reconfigured is that design's failure alone.
    """
    used = {weighted.environment.hash for phase in design.phases for weighted in phase.environments}
    if not result.ok and result.error == "EnvironmentFault" and used == {target.hash}:
        raise_from(result)
