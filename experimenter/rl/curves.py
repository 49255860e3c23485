"""Judges learning curves by fixed rules: improving, converged, stuck or collapsed, and whether they are done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np

from experimenter.curves import tail_slope, true_returns
from experimenter.records import CurvePoint

__all__ = ["CurveState", "curve_state", "plateaued"]

CurveState = Literal["improving", "converged", "stuck", "collapsed", "too short"]
PATIENCE: Final = 6
COLLAPSE: Final = 0.4
NOISE: Final = 2.0
TIGHT: Final = 0.02


def curve_state(curve: Sequence[CurvePoint], *, solved_at: float | None = None) -> CurveState:
    """``collapsed``: the last two points lost most of what was gained; ``improving``: the tail rises beyond doubt;
    ``converged``: it does not, well above the start or at ``solved_at``; ``stuck``: neither."""
    steps, values = true_returns(curve)
    slope = tail_slope(steps, values)
    if slope is None:
        return "too short"
    late, best, worst = float(values[-2:].mean()), float(values.max()), float(values.min())
    if values.argmax() < len(values) - 2 and _lost(values, best - late, best - worst):
        return "collapsed"
    if solved_at is not None and late >= solved_at:
        return "converged"
    if slope.low > 0:
        return "improving"
    return "converged" if best > worst and late - float(values[0]) > 0.5 * (best - worst) else "stuck"


def _lost(values: np.ndarray, drop: float, spread: float) -> bool:
    """Whether a drop is most of what was ever gained, and more than the curve's usual ups and downs."""
    gained = float(values.max() - values[: int(values.argmax()) + 1].min())
    usual = float(np.median(np.abs(np.diff(values))))
    return gained > 0 and drop > COLLAPSE * spread and drop > NOISE * usual


def plateaued(curve: Sequence[CurvePoint]) -> bool:
    """Whether more training is a waste: it has learnt something, and its best is old.

    A curve that never rose is no plateau: sparse rewards look just so before the first success.
    """
    _, values = true_returns(curve)
    if len(values) < 2 * PATIENCE:
        return False
    earlier, late = float(values[:-PATIENCE].max()), float(values[-PATIENCE:].max())
    learnt = float(values.max() - values.min())
    return learnt > 0 and earlier > values[0] and late <= earlier + TIGHT * learnt
