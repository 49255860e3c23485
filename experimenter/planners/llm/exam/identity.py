"""Which questions an examination had: results of different sets are not to be compared."""

from __future__ import annotations

from typing import Final

from experimenter.identity import digest
from experimenter.planners.llm.exam.curves import labelled_curves
from experimenter.planners.llm.exam.environments import places
from experimenter.planners.llm.exam.trajectories import pairs

__all__ = ["VERSION", "exam_digest"]

VERSION: Final = 1
"""Goes up with every change of the questions or of how they are marked."""


def exam_digest() -> str:
    """Of everything that is fixed before an environment is measured: curves, pairs, environments and wishes."""
    curves = [[one.truth, one.question] for one in labelled_curves()]
    met = [[one.better, one.question] for one in pairs()]
    return digest([VERSION, curves, met, [[place.env_id, list(place.wishes)] for place in places()]])
