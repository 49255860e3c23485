"""Answers ``read_curve``: what the slope of a curve's tail means for going on."""

from __future__ import annotations

from functools import partial
from typing import Final, Literal

import numpy as np

from experimenter.curves import FEWEST, student, tail_slope, true_returns
from experimenter.questions import CurveReading, ReadCurve

__all__ = ["read_curve"]

State = Literal["improving", "converged", "stuck", "collapsed"]
LEAST_RISE: Final = 0.05
# On long curves this stays nearer to Student's t than the normal 1.96 that the trainer's reading ends in.
QUANTILE: Final = partial(student, listed=10, excess=2.4)


def read_curve(question: ReadCurve) -> CurveReading:
    """State of the curve of true returns; slopes are in return per 1,000 steps.

    ``improving``: the tail's interval lies above zero, and its rise is a twentieth of all that the curve spans.
    ``collapsed``: more than half of what was gained is lost. ``converged``: level after a gain, or at the target;
    ``stuck``: level without one. Fewer than four validations are ``too short`` to tell.
    """
    steps, values = true_returns(question.points)
    found = tail_slope(steps, values, QUANTILE)
    if found is None:
        return CurveReading(state="too short", keep_training=True)
    risen = found.low > 0 and found.gain > LEAST_RISE * float(np.ptp(values))
    state = _state(values, risen, question.target)
    keep = state == "improving" or (state == "stuck" and len(values) < 2 * FEWEST)
    per = (found.steps or 1.0) / 1000
    return CurveReading(
        state=state, keep_training=keep, slope=found.gain / per, low=found.low / per, high=found.high / per
    )


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
