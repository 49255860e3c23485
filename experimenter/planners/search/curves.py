"""Reads a learning curve: the slope of its tail with a 95 % interval, and what that means for going on."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np

from experimenter.questions import CurveReading, ReadCurve

__all__ = ["read_curve", "slope"]

State = Literal["improving", "converged", "stuck", "collapsed"]
FEWEST: Final = 4
LEAST_RISE: Final = 0.05
STUDENT: Final = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23)
"""Two-sided 95 % points of Student's t for 1 to 10 degrees of freedom."""


def read_curve(question: ReadCurve) -> CurveReading:
    """State of the curve of true returns; slopes are in return per 1,000 steps.

    ``improving``: the tail's interval lies above zero, and its rise is a twentieth of all that the curve spans.
    ``collapsed``: more than half of what was gained is lost. ``converged``: level after a gain, or at the target;
    ``stuck``: level without one. Fewer than four validations are ``too short`` to tell.
    """
    points = [(p.steps / 1000, float(p.true_return)) for p in question.points if p.true_return is not None]
    if len(points) < FEWEST:
        return CurveReading(state="too short", keep_training=True)
    steps, values = np.array(points).T
    tail = max(FEWEST, len(points) // 2)
    middle, low, high = slope(steps[-tail:], values[-tail:])
    risen = low > 0 and middle * (steps[-1] - steps[-tail]) > LEAST_RISE * float(np.ptp(values))
    state = _state(values, risen, question.target)
    keep = state == "improving" or (state == "stuck" and len(points) < 2 * FEWEST)
    return CurveReading(state=state, keep_training=keep, slope=middle, low=low, high=high)


def slope(steps: np.ndarray, values: np.ndarray) -> tuple[float, float, float]:
    """Least-squares slope of ``values`` (n,) over ``steps`` (n,), n ≥ 3, and its 95 % interval."""
    x = steps - steps.mean()
    spread = float(x @ x) or 1.0
    middle = float(x @ values) / spread
    residual = values - values.mean() - middle * x
    degrees = len(values) - 2
    error = float(np.sqrt(max(float(residual @ residual), 0.0) / degrees / spread))
    width = (STUDENT[degrees - 1] if degrees <= len(STUDENT) else 1.96 + 2.4 / degrees) * error
    return middle, middle - width, middle + width


def _state(values: np.ndarray, risen: bool, target: float | None) -> State:
    best, last, first = float(values.max()), float(values[-2:].mean()), float(values[0])
    gained, wiggle = best - first, float(np.abs(np.diff(values)).mean())
    if target is not None and last >= target:
        return "converged"
    if gained > 0 and best - last > 0.5 * gained and best - last > 2 * wiggle:
        return "collapsed"
    if risen:
        return "improving"
    return "converged" if last - first > max(wiggle, 0.05 * abs(first)) else "stuck"
