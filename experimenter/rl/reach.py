"""How much of the state space a training visited: tells designs apart when none of them scores yet.

Each pair of named features spans a small grid. A cell's count enters through its logarithm, so that visiting often
is worth more than once and spreading out more than staying. A cell weighs more when uniformly random rollouts, as the
card measured them, never get there: swinging high, carrying the key, an open door. The result is the weighted mean
over all cells, between 0 and 1, and comparable between trainings of the same length on the same environment.

Pairs, because joint cells of many features would all be new, and single features would miss combinations. At most
``MAX_PAIRS`` grids of ``BINS`` × ``BINS`` counts are kept, whatever the environment.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from experimenter.envs.records import Feature
from experimenter.identity import digest

__all__ = ["BINS", "MAX_PAIRS", "Reach"]

BINS: Final = 12
MAX_PAIRS: Final = 96
BEYOND_RANDOM: Final = 4.0
NEVER_ON: Final = 12.0
WIDEST: Final = 4.0


@dataclass(frozen=True, slots=True)
class _Axis:
    name: str
    low: float
    high: float
    bins: int
    weights: NDArray[np.float64]

    def cells(self, values: NDArray[np.float32]) -> NDArray[np.int64]:
        """Bin of each value; what lies outside goes to the nearest bin."""
        at = (np.asarray(values, dtype=np.float64) - self.low) * (self.bins / (self.high - self.low))
        return np.clip(np.nan_to_num(at), 0, self.bins - 1).astype(np.int64)


def _flag_axis(feature: Feature) -> _Axis:
    never = feature.measured_high <= 0.5
    return _Axis(feature.name, 0.0, 1.0, 2, np.array([0.0, NEVER_ON if never else 1.0]))


def _span(feature: Feature) -> tuple[float, float]:
    """The declared range, but never wider than a few times what random rollouts met."""
    low, high = feature.measured_low, feature.measured_high
    margin = WIDEST * max(high - low, 1e-6)
    declared_low = low - margin if feature.low is None else max(feature.low, low - margin)
    declared_high = high + margin if feature.high is None else min(feature.high, high + margin)
    return min(declared_low, low), max(declared_high, high)


def _range_axis(feature: Feature) -> _Axis | None:
    low, high = _span(feature)
    if not high > low:
        return None
    width = (high - low) / BINS
    middles = low + width * (np.arange(BINS) + 0.5)
    beyond = (middles < feature.measured_low - width / 2) | (middles > feature.measured_high + width / 2)
    return _Axis(feature.name, low, high, BINS, np.where(beyond, BEYOND_RANDOM, 1.0))


def _axes(features: tuple[Feature, ...]) -> list[_Axis]:
    kept = [f for f in features if f.source.rule != "ever" and f.possible]
    made = [_flag_axis(f) if f.kind == "flag" else _range_axis(f) for f in kept]
    return [axis for axis in made if axis is not None]


class Reach:
    """Counts of visited cells. ``counts`` is all its state: int64 (pairs, BINS·BINS)."""

    def __init__(self, features: tuple[Feature, ...]) -> None:
        axes = _axes(features)
        pairs = list(combinations(axes, 2)) if len(axes) > 1 else [(a, a) for a in axes]
        if len(pairs) > MAX_PAIRS:
            pairs = sorted(pairs, key=lambda pair: digest([pair[0].name, pair[1].name]))[:MAX_PAIRS]
        self._pairs = pairs
        self.counts = np.zeros((len(pairs), BINS * BINS), dtype=np.int64)
        self._weights = np.zeros((len(pairs), BINS * BINS))
        for i, (a, b) in enumerate(pairs):
            grid = np.zeros((BINS, BINS))
            grid[: a.bins, : b.bins] = np.maximum(a.weights[:, None], b.weights[None, :])
            self._weights[i] = grid.reshape(-1)

    def visit(self, features: dict[str, NDArray[np.float32]]) -> None:
        """Count a batch of states: feature name to values (n,)."""
        used = {axis.name: axis for pair in self._pairs for axis in pair}
        cells = {name: axis.cells(features[name]) for name, axis in used.items() if name in features}
        for i, (a, b) in enumerate(self._pairs):
            if a.name in cells and b.name in cells:
                joint = cells[a.name] * BINS + cells[b.name]
                self.counts[i] += np.bincount(joint, minlength=BINS * BINS)

    @property
    def value(self) -> float:
        """Between 0 (nothing visited) and 1 (every cell visited all the time, which cannot be)."""
        total = float(self._weights.sum())
        seen = float(self.counts.sum(axis=1).max(initial=0))
        if total == 0.0 or seen == 0.0:
            return 0.0
        return float((self._weights * np.log1p(self.counts)).sum() / (total * np.log1p(seen)))
