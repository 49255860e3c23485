"""Compares what two vector environments do with nobody at the wheel: episodes of blind play, as figures with intervals.

Where states cannot be copied from one version of an environment into another, this is what can be tested: lengths,
returns, how episodes end, first observations, what is observed on the way, and how it changes with the action. The
replicate is the episode. Means are compared by the larger of Welch's and the pooled error (a rare event that one side
has not met yet must not pass for one that it cannot meet), each figure at a level shared out over all figures
(Bonferroni): equals are refused about once in a thousand tests, and what differs by more than chance is refused with
the figure's name.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any, Final

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from experimenter.envs.spaces import Leaf, leaves
from experimenter.envs.vectors.contract import Vector

__all__ = ["LEVEL", "ROWS", "difference", "difference_of_play", "play", "random_play"]

ROWS: Final = 16
ENOUGH_STEPS: Final = 16_000
FEWEST, MOST = 2, 12
LEVEL: Final = 1e-3
# What two exact versions differ by in float32 arithmetic.
ROUNDING: Final = 1e-4
MOST_EFFECTS: Final = 512

Play = Callable[[np.random.Generator, int], np.ndarray]
"""Draws a batch of actions (n, …) for n rows."""


@dataclass
class Episodes:
    """One line for each episode: length, return, terminated, observations (first, mean, mean of squares), and what
    actions did to them."""

    lines: list[NDArray[np.float64]] = field(default_factory=list)
    names: tuple[str, ...] = ()

    @property
    def table(self) -> NDArray[np.float64]:
        return np.array(self.lines)

    @property
    def mean_length(self) -> float:
        return float(self.table[:, 0].mean())


def random_play(space: gymnasium.Space[Any]) -> Play:
    """Actions drawn uniformly; a Box without bounds from a normal distribution."""
    if isinstance(space, spaces.Box):
        low, high = space.low, space.high
        if np.isfinite(low).all() and np.isfinite(high).all():
            return lambda rng, n: rng.uniform(low, high, (n, *space.shape)).astype(space.dtype)
        return lambda rng, n: rng.standard_normal((n, *space.shape)).astype(space.dtype)
    if isinstance(space, spaces.Discrete):
        start, count = int(space.start), int(space.n)
        return lambda rng, n: rng.integers(start, start + count, n)
    if isinstance(space, spaces.MultiDiscrete):
        return lambda rng, n: rng.integers(space.start, space.start + space.nvec, (n, *space.shape))
    return lambda rng, n: rng.integers(0, 2, (n, *(space.shape or ()))).astype(space.dtype)


def idle(space: gymnasium.Space[Any]) -> Play:
    """Always the same: zeros, or the first choice, which is to do nothing where there is such a choice."""
    if isinstance(space, spaces.Discrete):
        return lambda rng, n: np.full(n, int(space.start))
    if isinstance(space, spaces.MultiDiscrete):
        return lambda rng, n: np.tile(space.start, (n, *(1 for _ in space.shape)))
    if isinstance(space, spaces.Box):
        still = np.clip(np.zeros(space.shape), space.low, space.high).astype(space.dtype)
        return lambda rng, n: np.broadcast_to(still, (n, *space.shape)).copy()
    return lambda rng, n: np.zeros((n, *(space.shape or ())), dtype=space.dtype)


def quota(mean_length: float) -> int:
    """Episodes for each of 16 rows, so that they come to about 16,000 steps: 32 to 192 episodes in all."""
    return int(np.clip(math.ceil(ENOUGH_STEPS / (ROWS * max(1.0, mean_length))), FEWEST, MOST))


def play(
    vector: Vector, draw: Play, episodes: int, seed: int, alive: Callable[[], None] = lambda: None
) -> Episodes:
    """The first ``episodes`` episodes of every row: as many of each, so that short ones are not favoured."""
    rng, n = np.random.default_rng(seed), vector.num_envs
    seeds = [int(s) for s in np.random.SeedSequence(seed).generate_state(n)]
    flat = _Flattener(vector.observation_space, vector.action_space)
    obs = flat.rows(vector.reset(seeds))
    running = [_Running(obs[row], flat.effects) for row in range(n)]
    done, left = Episodes(names=flat.figure_names), np.full(n, episodes)
    while left.any():
        actions = draw(rng, n)
        step = vector.step(actions)
        met, begun = flat.rows(step.next_obs), flat.rows(step.obs)
        effect = flat.effect(met - obs, actions)
        for row in np.flatnonzero(left > 0).tolist():
            running[row].add(met[row], float(step.reward[row]), effect[row])
            if step.terminated[row] or step.truncated[row]:
                done.lines.append(running[row].line(bool(step.terminated[row])))
                running[row] = _Running(begun[row], flat.effects)
                left[row] -= 1
        obs = begun
        alive()
    return done


def difference_of_play(
    python: Vector, other: Vector, more: int = 1, alive: Callable[[], None] = lambda: None
) -> str | None:
    """Plays both, both of ``ROWS`` rows, at random and idly; the first figure that differs, in words.

    ``other`` plays ``more`` times as many episodes.
    """
    for seed, way in enumerate((random_play, idle), 1):
        space = python.action_space
        episodes = quota(play(python, way(space), 1, seed, alive).mean_length)
        ours = play(python, way(space), episodes, 10 * seed, alive)
        words = difference(ours, play(other, way(space), more * episodes, 10 * seed + 1, alive))
        if words is not None:
            return words
    return None


def difference(ours: Episodes, theirs: Episodes) -> str | None:
    """The first figure that differs by more than chance, in words; ``None`` where none does."""
    a, b = ours.table, theirs.table
    bound = NormalDist().inv_cdf(1 - LEVEL / (2 * a.shape[1]))
    gap = np.abs(a.mean(axis=0) - b.mean(axis=0))
    apart = a.var(axis=0, ddof=1) / len(a) + b.var(axis=0, ddof=1) / len(b)
    pooled = np.concatenate([a, b]).var(axis=0, ddof=1) * (1 / len(a) + 1 / len(b))
    error = np.sqrt(np.maximum(apart, pooled))
    scale = np.maximum(np.abs(a).max(axis=0), 1.0)
    for i in np.flatnonzero(gap > bound * error + ROUNDING * scale):
        return (
            f"{ours.names[i]} is {a[:, i].mean():.4g} in the Python version and {b[:, i].mean():.4g} here, "
            f"over {len(a)} and {len(b)} episodes"
        )
    return None


class _Running:
    def __init__(self, first: NDArray[np.float64], effects: int) -> None:
        self.first, self.length, self.paid = first, 0, 0.0
        self.sum, self.squares = np.zeros_like(first), np.zeros_like(first)
        self.effect = np.zeros(effects)

    def add(self, met: NDArray[np.float64], reward: float, effect: NDArray[np.float64]) -> None:
        self.length += 1
        self.paid += reward
        self.sum += met
        self.squares += met * met
        self.effect += effect

    def line(self, terminated: bool) -> NDArray[np.float64]:
        head = [float(self.length), self.paid, float(terminated)]
        on_the_way = np.concatenate([self.sum, self.squares, self.effect]) / self.length
        return np.concatenate([head, self.first, on_the_way])


class _Flattener:
    """Observations as (n, numbers) in float64; categories are counted one by one, as their order means nothing.

    The effect of actions is the product of what changed and what was done, for every pair of numbers; left out where
    there would be too many pairs.
    """

    def __init__(self, observed: gymnasium.Space[Any], done: gymnasium.Space[Any]) -> None:
        self._leaves, self._done = leaves(observed), Leaf((), done)
        self._plain = not isinstance(observed, (spaces.Dict, spaces.Tuple))
        pairs = sum(map(_size, self._leaves)) * _size(self._done)
        self.effects = pairs if pairs <= MOST_EFFECTS else 0

    @property
    def figure_names(self) -> tuple[str, ...]:
        parts = [f"{leaf.name or 'observation'}[{i}]" for leaf in self._leaves for i in range(_size(leaf))]
        kinds = ("the first {}", "the mean of {}", "the mean square of {}")
        head = ("the length of an episode", "its return", "the share of episodes that terminate")
        does = [f"what action[{j}] does to {part}" for part in parts for j in range(_size(self._done))]
        return (*head, *(kind.format(part) for kind in kinds for part in parts), *does[: self.effects])

    def rows(self, observations: Any) -> NDArray[np.float64]:
        """(n, numbers) for a batch of observations."""
        arrays = [observations if self._plain else observations[leaf.name] for leaf in self._leaves]
        return np.concatenate(
            [_numbers(leaf, a) for leaf, a in zip(self._leaves, arrays, strict=True)], axis=1
        )

    def effect(self, changes: NDArray[np.float64], actions: np.ndarray) -> NDArray[np.float64]:
        """(n, effects) for changes (n, numbers) under a batch of actions."""
        if not self.effects:
            return np.empty((len(changes), 0))
        pairs = changes[:, :, None] * _numbers(self._done, actions)[:, None, :]
        return pairs.reshape(len(changes), -1)


def _size(leaf: Leaf) -> int:
    return int(leaf.space.n) if isinstance(leaf.space, spaces.Discrete) else math.prod(leaf.shape)


def _numbers(leaf: Leaf, array: np.ndarray) -> NDArray[np.float64]:
    if isinstance(leaf.space, spaces.Discrete):
        categories = np.arange(leaf.space.start, leaf.space.start + leaf.space.n)
        return np.asarray(np.asarray(array)[:, None] == categories, dtype=np.float64)
    return np.asarray(array, dtype=np.float64).reshape(len(array), -1)
