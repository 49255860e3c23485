"""Reads learning curves by fixed rules: slope with an interval on the tail, plateaus, collapses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from experimenter.records import CurvePoint

__all__ = ["CurveState", "Slope", "curve_state", "plateaued", "tail_slope"]

CurveState = Literal["improving", "converged", "stuck", "collapsed", "too short"]
FEWEST: Final = 4
PATIENCE: Final = 6
COLLAPSE: Final = 0.4
NOISE: Final = 2.0
TIGHT: Final = 0.02
# Two-sided 95 % points of Student's t for 1, 2, … degrees of freedom; beyond the table the normal one is close.
STUDENT: Final = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13)


@dataclass(frozen=True, slots=True)
class Slope:
    """Gain over the whole tail, with its 95 % interval, in units of the true return."""

    gain: float
    low: float
    high: float


def _returns(curve: Sequence[CurvePoint]) -> tuple[np.ndarray, np.ndarray]:
    met = [(p.steps, float(p.true_return)) for p in curve if p.true_return is not None]
    return np.array([s for s, _ in met], dtype=float), np.array([v for _, v in met], dtype=float)


def tail_slope(curve: Sequence[CurvePoint]) -> Slope | None:
    """Least-squares gain over the last half of the curve (at least four points); ``None`` when too short."""
    steps, values = _returns(curve)
    if len(values) < FEWEST:
        return None
    n = max(FEWEST, len(values) // 2)
    x, y = steps[-n:], values[-n:]
    span = float(x[-1] - x[0])
    x = (x - x.mean()) / span
    spread = float(np.square(x).sum())
    gain = float((x * (y - y.mean())).sum() / spread)
    rest = y - y.mean() - gain * x
    error = float(np.sqrt(np.square(rest).sum() / (n - 2) / spread))
    student = STUDENT[n - 3] if n - 3 < len(STUDENT) else 1.96
    return Slope(gain, gain - student * error, gain + student * error)


def curve_state(curve: Sequence[CurvePoint], *, solved_at: float | None = None) -> CurveState:
    """``collapsed``: the last two points lost most of what was gained; ``improving``: the tail rises beyond doubt;
    ``converged``: it does not, well above the start or at ``solved_at``; ``stuck``: neither."""
    slope = tail_slope(curve)
    if slope is None:
        return "too short"
    _, values = _returns(curve)
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
    _, values = _returns(curve)
    if len(values) < 2 * PATIENCE:
        return False
    earlier, late = float(values[:-PATIENCE].max()), float(values[-PATIENCE:].max())
    learnt = float(values.max() - values.min())
    return learnt > 0 and earlier > values[0] and late <= earlier + TIGHT * learnt
