"""Reads the tail of a learning curve: its gain with a 95 % interval. The trainer and the planners share this reading.

It stands below both, because neither may import the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from experimenter.records import CurvePoint

__all__ = ["FEWEST", "Slope", "student", "tail_slope", "true_returns"]

FEWEST: Final = 4
"""Validations that a reading takes at least."""
STUDENT: Final = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13)
"""Two-sided 95 % points of Student's t for 1, 2, … degrees of freedom."""
NORMAL: Final = 1.96


@dataclass(frozen=True, slots=True)
class Slope:
    """Gain over a whole tail, with its 95 % interval, in units of the true return; ``steps`` is the tail's length."""

    gain: float
    low: float
    high: float
    steps: float


def true_returns(curve: Sequence[CurvePoint]) -> tuple[np.ndarray, np.ndarray]:
    """Steps and true returns, float64 (n,) each, of the points at which the policy was validated."""
    met = [(p.steps, float(p.true_return)) for p in curve if p.true_return is not None]
    return np.array([s for s, _ in met], dtype=float), np.array([v for _, v in met], dtype=float)


def student(degrees: int, *, listed: int = len(STUDENT), excess: float = 0.0) -> float:
    """The 95 % point from the table up to ``listed`` degrees of freedom, then ``1.96 + excess / degrees``."""
    return STUDENT[degrees - 1] if degrees <= listed else NORMAL + excess / degrees


def tail_slope(
    steps: np.ndarray, values: np.ndarray, quantile: Callable[[int], float] = student
) -> Slope | None:
    """Least-squares gain over the last half of a curve (at least four points); ``None`` when it is too short.

    ``steps`` ascend and ``values`` are true returns, (n,) each; ``quantile`` gives Student's t by degrees of freedom.
    """
    if len(values) < FEWEST:
        return None
    n = max(FEWEST, len(values) // 2)
    x, y = steps[-n:], values[-n:]
    length = float(x[-1] - x[0])
    x = (x - x.mean()) / (length or 1.0)
    spread = float(np.square(x).sum()) or 1.0
    gain = float((x * (y - y.mean())).sum() / spread)
    rest = y - y.mean() - gain * x
    error = float(np.sqrt(np.square(rest).sum() / (n - 2) / spread))
    width = quantile(n - 2) * error
    return Slope(gain, gain - width, gain + width, length)
