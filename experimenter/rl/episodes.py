"""What a chunk's episodes earned, and what each reward component did over a whole training."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from experimenter.records import ComponentTrace

__all__ = ["POINTS", "ComponentLog", "EpisodeLog"]

POINTS: Final = 10
RECENT: Final = 40
Floats = NDArray[np.float64]


class EpisodeLog:
    """Sums rewards over episodes, in each environment; forgets unfinished ones at a chunk's start."""

    def __init__(self, num_envs: int) -> None:
        self.num_envs = num_envs
        self.finished: list[Floats] = []
        self.lengths: list[int] = []
        self.names: tuple[str, ...] = ()
        self._running: Floats = np.zeros((2, num_envs))
        self._steps = np.zeros(num_envs, dtype=np.int64)
        self.recent: deque[Floats] = deque(maxlen=RECENT)

    def add(
        self, native: Floats, shaped: Floats, components: dict[str, Floats], done: NDArray[np.bool_]
    ) -> list[Floats]:
        """Take in a rollout (T, N); returns the rows (native, shaped, each component) of finished episodes."""
        if tuple(components) != self.names:
            self.names = tuple(components)
            self._running = np.zeros((2 + len(components), self.num_envs))
        stacked = np.stack([native, shaped, *components.values()], axis=1)
        ended: list[Floats] = []
        start = 0
        for t in np.flatnonzero(done.any(axis=1)).tolist():
            self._run_on(stacked[start : t + 1])
            for i in np.flatnonzero(done[t]).tolist():
                ended.append(self._running[:, i].copy())
                self.lengths.append(int(self._steps[i]))
                self._running[:, i] = 0.0
                self._steps[i] = 0
            start = t + 1
        self._run_on(stacked[start:])
        self.finished.extend(ended)
        self.recent.extend(ended)
        return ended

    def _run_on(self, stretch: Floats) -> None:
        """Adds steps (t, rows, N) in their order, in which no episode ended but perhaps at the last."""
        self._running = np.add.reduce(np.concatenate([self._running[None], stretch]), axis=0)
        self._steps += len(stretch)

    def mean(self, row: int, *, recent: bool = False) -> float | None:
        """Mean over finished episodes of the native (0), shaped (1) or a component's (2 + i) sum."""
        episodes = self.recent if recent else self.finished
        return float(np.mean([e[row] for e in episodes])) if episodes else None

    def component_means(self) -> dict[str, float]:
        """Mean sum of an episode, for each component."""
        means = {name: self.mean(2 + i) for i, name in enumerate(self.names)}
        return {name: value for name, value in means.items() if value is not None}


class ComponentLog:
    """Per component: minimum, sum, maximum and count in ten stretches of training, and correlation sums.

    All of it is plain numbers, so that it lives in a checkpoint.
    """

    def __init__(self) -> None:
        self.stretches: dict[str, list[list[float]]] = {}
        self.absolute: dict[str, float] = {}
        self.sums: dict[str, list[float]] = {}

    def add(self, at: float, components: dict[str, Floats], episodes: list[Floats]) -> None:
        """``at`` is how far training is (0 to 1); ``episodes`` are ``EpisodeLog.add``'s rows."""
        point = min(POINTS - 1, int(at * POINTS))
        for i, (name, values) in enumerate(components.items()):
            stretch = self.stretches.setdefault(name, [[0.0, 0.0, 0.0, 0.0] for _ in range(POINTS)])[point]
            low, high = float(values.min()), float(values.max())
            stretch[0] = low if stretch[3] == 0 else min(stretch[0], low)
            stretch[1] += float(values.sum())
            stretch[2] = high if stretch[3] == 0 else max(stretch[2], high)
            stretch[3] += values.size
            self.absolute[name] = self.absolute.get(name, 0.0) + float(np.abs(values).sum())
            sums = self.sums.setdefault(name, [0.0] * 6)
            for row in episodes:
                x, y = float(row[2 + i]), float(row[0])
                for j, term in enumerate((1.0, x, y, x * x, y * y, x * y)):
                    sums[j] += term

    def traces(self) -> tuple[ComponentTrace, ...]:
        # In order of name: neither the result nor its rounding may depend on how a checkpoint was stored.
        names = sorted(self.stretches)
        whole = sum(self.absolute[name] for name in names)
        made = []
        for name in names:
            met = [s for s in self.stretches[name] if s[3] > 0]
            made.append(
                ComponentTrace(
                    name=name,
                    minimum=tuple(s[0] for s in met),
                    mean=tuple(s[1] / s[3] for s in met),
                    maximum=tuple(s[2] for s in met),
                    share=self.absolute[name] / whole if whole > 0 else 0.0,
                    correlation=_correlation(self.sums[name]),
                )
            )
        return tuple(made)

    def to_json(self) -> dict[str, Any]:
        return {"stretches": self.stretches, "absolute": self.absolute, "sums": self.sums}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> ComponentLog:
        made = cls()
        made.stretches, made.absolute, made.sums = value["stretches"], value["absolute"], value["sums"]
        return made


def _correlation(sums: list[float]) -> float | None:
    """Pearson's, from sums; ``None`` with fewer than three episodes or where nothing varies."""
    n, x, y, xx, yy, xy = sums
    if n < 3:
        return None
    var_x, var_y = xx / n - (x / n) ** 2, yy / n - (y / n) ** 2
    if var_x <= 1e-9 * max(1.0, xx / n) or var_y <= 1e-9 * max(1.0, yy / n):
        return None
    return float(np.clip((xy / n - x * y / n**2) / np.sqrt(var_x * var_y), -1.0, 1.0))
