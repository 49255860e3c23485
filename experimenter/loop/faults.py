"""Turns a worker's typed failure back into the exception that it was."""

from __future__ import annotations

from typing import NoReturn

from experimenter import errors
from experimenter.contracts import JobResult


def raise_from(result: JobResult) -> NoReturn:
    """Raises the error that a failed job names; unknown names become TrainingFault."""
    kind = getattr(errors, result.error, errors.TrainingFault)
    if not (isinstance(kind, type) and issubclass(kind, errors.ExperimenterError)):
        kind = errors.TrainingFault
    raise kind(result.message, result.hint)
