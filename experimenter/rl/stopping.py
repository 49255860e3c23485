"""Ends trainings of a search that are not worth their steps, by fixed rules over the validated curve.

Pure: a curve in, a ``Stop`` or nothing out. No rule looks past the curve's last point, and none changes its mind when
all returns are scaled or shifted. What the rules cost and save was measured on stored curves
(``benchmarks/stopping.py``; ``docs/decisions/0020-early-stopping.md``), and ``RULES`` comes from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from experimenter.curves import Slope, tail_slope, true_returns
from experimenter.records import CurvePoint, Rival, Stop
from experimenter.rl.curves import curve_state

__all__ = [
    "RULES",
    "Forecast",
    "Mode",
    "Rules",
    "collapsed",
    "forecast",
    "heard",
    "hopeless",
    "level",
    "stop",
    "told",
]

Mode = Literal["off", "plateau", "forecast"]
"""``plateau`` ends what is level or has collapsed; ``forecast`` also what can no longer reach its rival."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Every number that a rule compares with; the *span* of a curve is all that it ever ranged over.

    ``few``: validations before the forecast speaks; ``many``: before a plateau or a collapse does. ``after``: share of
    the steps before any rule speaks, because in the first half curves take off that nothing announced. ``matters``:
    part of the span that a rise must promise by the end. ``doubling``: part of the span that each doubling of the
    steps may still bring. ``margin``: part of it by which a validation may be lucky. ``news``: so many points ago the
    curve must have moved already. ``lasting``: points in a row at which a collapse must show.

    On 77 stored curves of whole runs the forecast lost 0.4 % [0.0, 1.4] of the designs that later beat the champion,
    and saved 9 % of the steps. The share that it is meant to keep is 5 %.
    """

    few: int = 4
    many: int = 8
    after: float = 0.45
    matters: float = 0.05
    doubling: float = 1.0
    margin: float = 0.3
    news: int = 3
    lasting: int = 3


RULES: Final = Rules()


@dataclass(frozen=True, slots=True)
class Forecast:
    """Where the best checkpoint's true return will lie at ``until`` steps; ``low`` is what it has already."""

    low: float
    high: float
    until: int


def forecast(curve: Sequence[CurvePoint], until: int, rules: Rules = RULES) -> Forecast | None:
    """The interval of the best return at ``until`` steps; ``None`` where the curve is too short, or has never moved or
    only just now, and in the first part of the steps, where stored curves left every such interval behind.

    Its upper end is the higher of two: what the best so far becomes along the tail's line at the upper end of its
    slope's 95 % interval, and the best so far with a margin for luck and ``rules.doubling`` spans for each doubling
    of the steps: late in a training returns grow with the logarithm of the steps at most (Viering and Loog 2023 review
    such curves). To end what will not surpass the best is Domhan, Springenberg and Hutter's (2015) use of a forecast;
    their sampled parametric curves are replaced by a bound whose constants stored curves gave.
    """
    steps, values = true_returns(curve)
    if len(values) <= max(rules.few - 1, rules.news) or not _late(steps, until, rules):
        return None
    if np.ptp(values[: -rules.news]) <= 0:
        return None
    span = float(np.ptp(values))
    best, left = float(values.max()), max(0.0, until - float(steps[-1]))
    spread = rules.doubling * span * float(np.log2((steps[-1] + left) / steps[-1])) + rules.margin * span
    slope = tail_slope(steps, values)
    rise = _promised(slope, left) if slope is not None else 0.0
    return Forecast(best, best + max(spread, rise), until)


def hopeless(curve: Sequence[CurvePoint], best: float, until: int, rules: Rules = RULES) -> bool:
    """Whether the forecast's upper end stays below ``best``, which another design has reached already."""
    found = forecast(curve, until, rules)
    return found is not None and found.high < best


def level(curve: Sequence[CurvePoint], until: int, rules: Rules = RULES) -> bool:
    """Whether a curve that has learnt something is flat: its slope's interval holds zero, and even its upper end
    brings too little by ``until`` to matter. One that never rose is not: sparse rewards look so before the first."""
    steps, values = true_returns(curve)
    slope = tail_slope(steps, values)
    if slope is None or len(values) < rules.many or values.max() <= values[0]:
        return False
    span, tiny = float(np.ptp(values)), TINY * float(np.ptp(values))
    holds_zero = slope.low <= tiny and slope.high >= -tiny
    return holds_zero and _promised(slope, max(0.0, until - float(steps[-1]))) <= rules.matters * span


def collapsed(curve: Sequence[CurvePoint], rules: Rules = RULES) -> bool:
    """Whether the curve has lost most of what it had gained, and showed it at each of its last points."""
    validated = [point for point in curve if point.true_return is not None]
    if len(validated) < rules.many:
        return False
    return all(curve_state(validated[: len(validated) - ago]) == "collapsed" for ago in range(rules.lasting))


def stop(
    curve: Sequence[CurvePoint], until: int, mode: Mode, rival: Rival | None = None, rules: Rules = RULES
) -> Stop | None:
    """The first rule of ``mode`` that ends a training which was to go on to ``until`` steps; ``None``: go on."""
    steps, values = true_returns(curve)
    if mode == "off" or not len(steps) or not _late(steps, until, rules) or steps[-1] >= until:
        return None
    if collapsed(curve, rules):
        words = f"it fell from {values.max():,.6g} to {values[-2:].mean():,.6g} and stayed there"
        return Stop(reason="collapse", sentence=words)
    if level(curve, until, rules):
        words = f"its return has been level around {values[-rules.many // 2 :].mean():,.6g}"
        return Stop(reason="plateau", sentence=words)
    found = forecast(curve, until, rules) if mode == "forecast" and rival is not None else None
    if found is None or rival is None or found.high >= rival.score:
        return None
    told_high, told_rival = (f"{value:,.4g}" for value in (found.high, rival.score))
    words = (
        f"its forecast, at most {told_high} at {until:,} steps, lies below the {told_rival} of {rival.name}"
    )
    return Stop(reason="forecast", sentence=words)


def told(found: Stop | None) -> str:
    """A stop as a training's state keeps it; nothing for none."""
    return "" if found is None else f"{found.reason}: {found.sentence}"


def heard(ended: str) -> Stop | None:
    """What ``told`` wrote; other reasons to end (a target, a confirmation's plateau) are no early stop."""
    reason, colon, sentence = ended.partition(": ")
    return Stop.model_validate({"reason": reason, "sentence": sentence}) if colon else None


def _late(steps: np.ndarray, until: int, rules: Rules) -> bool:
    return float(steps[-1]) >= max(1.0, rules.after * until)


def _promised(slope: Slope, left: float) -> float:
    """What the upper end of the slope's interval would gain in ``left`` further steps."""
    return slope.high * left / (slope.steps or 1.0)


TINY: Final = 1e-9
