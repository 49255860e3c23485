"""One total limit of time around a call, which everything that waits looks at: a dripping server cannot stretch it."""

from __future__ import annotations

import time
from collections.abc import Callable

from experimenter.errors import Stopped
from experimenter.planners.llm.faults import ModelFault

__all__ = ["SLICE", "Deadline", "never"]

SLICE = 0.25
"""Seconds between two looks at whether the run was asked to stop."""


def never() -> bool:
    return False


class Deadline:
    """``seconds`` from now, by a monotonic clock. ``stop`` says whether the run was asked to stop meanwhile."""

    def __init__(
        self, seconds: float, clock: Callable[[], float] = time.monotonic, stop: Callable[[], bool] = never
    ) -> None:
        self.seconds = seconds
        self._clock, self._stop = clock, stop
        self._begin = clock()

    def spent(self) -> float:
        return self._clock() - self._begin

    def look(self) -> None:
        """Raises Stopped when the run was asked to stop."""
        if self._stop():
            raise Stopped("The run was asked to stop while a model was asked.")

    def left(self) -> float:
        """Seconds left, above 0. Raises ModelFault (``timeout``) when there are none, Stopped when asked to stop."""
        self.look()
        left = self.seconds - self.spent()
        if left <= 0:
            raise ModelFault(f"No whole reply came within {self.seconds:g} seconds.", kind="timeout")
        return left

    def slice(self) -> float:
        """How long to wait before the next look."""
        return min(self.left(), SLICE)
