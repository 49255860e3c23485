"""The table's arithmetic: what a row's answers say, pair by pair, and whether that is what was asked."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

__all__ = ["MEASURES", "Asked", "Measure", "Spread", "difference", "furthest", "ratios", "spread"]

Found = Mapping[str, Any]
"""One answer of a peer, as ``peers.common.Answer`` in plain JSON."""


@dataclass(frozen=True)
class Spread:
    """Over pairs. Infinite where a threshold was not reached; ``None`` in JSON."""

    median: float
    low: float
    high: float

    def to_json(self) -> dict[str, float | None]:
        return {"median": _finite(self.median), "low": _finite(self.low), "high": _finite(self.high)}


@dataclass(frozen=True)
class Asked:
    """What a row has to show: of the ratio against side ``against``, of the engine's own figure, or, for scores, of
    the lower bound of the difference."""

    at_least: float | None = None
    at_most: float | None = None
    against: str = ""

    def met(self, value: float) -> bool:
        if math.isnan(value):
            return False
        return value >= (-math.inf if self.at_least is None else self.at_least) and value <= (
            math.inf if self.at_most is None else self.at_most
        )

    def words(self, *, percent: bool) -> str:
        bound = self.at_least if self.at_least is not None else self.at_most
        assert bound is not None
        return f"{'≤' if self.at_least is None else '≥'} {f'{bound:.0%}' if percent else f'{bound:g}'}"


@dataclass(frozen=True)
class Measure:
    """``of`` an answer; a ratio is the engine's figure by the other's, or the reverse where ``times_faster``."""

    unit: str
    of: Callable[[Found], float]
    times_faster: bool = False


def _rate(found: Found) -> float:
    return float(found["steps"]) / float(found["seconds"])


def _updates(found: Found) -> float:
    return float(found["updates"] or 0) / float(found["seconds"])


def _reached(found: Found) -> float:
    return math.inf if found["reached"] is None else float(found["reached"])


def _score(found: Found) -> float:
    scores = found["scores"]
    return float(sum(scores)) / len(scores) if scores else math.nan


MEASURES: Final[Mapping[str, Measure]] = {
    "rate": Measure("steps/s", _rate),
    "updates": Measure("updates/s", _updates),
    "reached": Measure("s", _reached),
    "finished": Measure("s", lambda found: float(found["since_start"]), times_faster=True),
    "first step": Measure("s", lambda found: float(found["since_start"])),
    "memory": Measure("MB", lambda found: float(found["peak_mb"])),
    "score": Measure("score", _score),
}


def spread(values: Sequence[float]) -> Spread:
    return Spread(median(values), min(values), max(values))


def ratios(measure: Measure, ours: Sequence[Found], theirs: Sequence[Found]) -> list[float]:
    """One for each pair: the ones that ran next to each other are divided, never medians.

    Where only the other side missed its threshold, all the time that it took stands for it: the engine's ratio is
    then at most this. Where the engine missed it, the ratio is infinite.
    """
    made = []
    for a, b in zip(ours, theirs, strict=True):
        x, y = measure.of(a), measure.of(b)
        if math.isinf(y):
            y = float(b["seconds"])
        made.append(y / x if measure.times_faster else x / y)
    return made


def difference(ours: Sequence[float], theirs: Sequence[float], span: float) -> Spread:
    """Engine less the other, as a share of the range of scores ``span``: interquartile means over training seeds, with
    the 95 % bootstrap interval that the judge uses."""
    from experimenter.judge.statistics import compare

    found = compare("the other", ours, theirs, seed=0)
    return Spread(found.difference / span, found.low / span, found.high / span)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def furthest(ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]]) -> float:
    """The largest relative difference between curves' points; infinite where there are other points."""
    if [len(curve) for curve in ours] != [len(curve) for curve in theirs] or not ours:
        return math.inf
    points = [pair for a, b in zip(ours, theirs, strict=True) for pair in zip(a, b, strict=True)]
    return max((abs(x - y) / max(1.0, abs(y)) for x, y in points), default=math.inf)
