"""Whether what a row needs is there, and in words what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import get_args

__all__ = ["missing"]


def missing(needs: Sequence[str]) -> str:
    """What of ``needs`` is not there, or "". A need is ``module:NAME``, ``learner:NAME`` of a training's job, or
    ``algorithm:NAME`` of a design."""
    lacks = [words for need in needs if (words := _missing(*need.split(":", 1)))]
    return " and ".join(lacks)


def _missing(kind: str, name: str) -> str:
    if kind == "module":
        return "" if _importable(name) else name
    if kind == "learner":
        from experimenter.rl.job import TrainJob

        return (
            "" if name in get_args(TrainJob.model_fields["learner"].annotation) else f"the learner {name!r}"
        )
    if kind == "algorithm":
        from experimenter.rl.algorithms import ALGORITHMS

        return "" if name in ALGORITHMS else f"the algorithm {name!r}"
    raise ValueError(f"unknown need {kind}:{name}")


def _importable(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False
