"""Transitions made from an environment card, among which a success test must find at least one success.

A test that nothing can meet looks strict and is worthless. Whether it can be met is asked of rows that no policy has
played: every number that the test reads is swept over its bounds, held, and drawn, and the numbers that stand in the
test's own source are among the values that are tried, for it is at these that it decides.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Sequence
from typing import Any, Final

import gymnasium
import numpy as np
from numpy.typing import NDArray

from experimenter.envs.records import EnvCard, Feature
from experimenter.envs.spaces import Leaf, leaves, space_from_json
from experimenter.errors import ProgramRejected, did_you_mean
from experimenter.execution.recording import GAMMA

__all__ = ["made_rows"]

_ROWS: Final = 8192
_FEWEST: Final = 64
_MOST_NUMBERS: Final = 2_000_000
_MOST_CONSTANTS: Final = 24
_HUGE: Final = 1e6
_NEAR: Final = 0.01
Floats = NDArray[np.float64]


def made_rows(card: EnvCard, fields: Collection[str], source: str, seed: int) -> dict[str, Any]:
    """A batch with exactly ``fields``, the same for the same arguments; as ``ContainedProgram.call`` takes it.

    Some thousand rows, fewer where observations are large. Raises ProgramRejected for a feature that the environment
    lacks.
    """
    known = {feature.name for feature in card.features}
    for field in sorted(fields):
        group, _, name = field.partition(".")
        if name and name not in known:
            hint = did_you_mean(name, sorted(known)) or f"There are: {', '.join(sorted(known)[:40])}."
            raise ProgramRejected(f"t.{group}.{name} is no feature of this environment.", hint)
    maker = _Maker(card, frozenset(fields), source, seed)
    return {name: maker.field(name) for name in sorted(fields)}


class _Maker:
    def __init__(self, card: EnvCard, fields: frozenset[str], source: str, seed: int) -> None:
        self._card, self._rng = card, np.random.default_rng(seed)
        self._constants = _constants(source)
        self._leaves: tuple[Leaf, ...] = ()
        if fields & {"obs", "next_obs"}:
            self._leaves = leaves(space_from_json(card.observation_space))
        numbers = sum(int(np.prod(leaf.shape)) for leaf in self._leaves)
        self._rows = max(_FEWEST, min(_ROWS, _MOST_NUMBERS // max(1, numbers)))
        named = {name.partition(".")[2] for name in fields if "." in name}
        self._sides = self._features([one for one in card.features if one.name in named])

    def field(self, name: str) -> Any:
        side, _, feature = name.partition(".")
        if feature:
            return self._sides[side][feature]
        if name in ("obs", "next_obs"):
            return self._observations()
        if name == "action":
            return self._actions()
        if name == "gamma":
            return GAMMA
        return self._plain(name)

    def _plain(self, name: str) -> NDArray[Any]:
        met = self._card.random
        if name in ("terminated", "truncated"):
            return self._rng.random(self._rows) < 0.5
        if name == "elapsed":
            longest = self._card.max_episode_steps or self._card.assumed_limit or max(1, met.length_max)
            values = [0, 1, longest // 2, longest - 1, *(c for c in self._constants if 0 <= c < longest)]
            return np.rint(self._drawn(values, 0.0, longest - 1.0)).astype(np.int32)
        if name == "native_reward":
            values = [met.reward_min, met.reward_mean, met.reward_max, -1.0, 0.0, 1.0, *self._constants]
            return self._drawn(values, met.reward_min, met.reward_max)
        raise ValueError(f"no transition has {name}")

    def _drawn(self, values: Sequence[float], low: float, high: float) -> Floats:
        """Half of the rows out of ``values``, half between the bounds."""
        picked = self._rng.choice(np.array(values, dtype=np.float64), self._rows)
        between = self._rng.uniform(low, max(high, low + 1e-9), self._rows)
        return np.where(self._rng.random(self._rows) < 0.5, picked, between)

    def _features(self, named: Sequence[Feature]) -> dict[str, dict[str, NDArray[np.float32]]]:
        """Both sides of the features: swept while all others are held, drawn from values, drawn between bounds."""
        pools = [_Pool(one, self._constants) for one in named]
        n = self._rows
        middle = np.array([pool.middle for pool in pools])
        now, after = np.tile(middle, (n, 1)), np.tile(middle, (n, 1))
        swept = [(i, value) for i, pool in enumerate(pools) for value in pool.values][: n // 8]
        for row, (column, value) in enumerate(swept):
            after[2 * row : 2 * row + 2, column] = value
            now[2 * row, column] = value
        rest = slice(2 * len(swept), n)
        for column, pool in enumerate(pools):
            now[rest, column] = pool.draw(self._rng, n - 2 * len(swept))
            after[rest, column] = pool.draw(self._rng, n - 2 * len(swept))
        held = self._rng.random(n) < 0.25
        now[held] = after[held]
        return {
            side: {one.name: table[:, i].astype(np.float32) for i, one in enumerate(named)}
            for side, table in (("now", now), ("next", after))
        }

    def _observations(self) -> Any:
        arrays = {leaf.name: self._leaf(leaf) for leaf in self._leaves}
        return arrays[""] if self._leaves[0].keys == () else arrays

    def _leaf(self, leaf: Leaf) -> NDArray[np.float32]:
        """Each number of an observation as its feature where it is one, else between the bounds of its space."""
        size, n = int(np.prod(leaf.shape)), self._rows
        known = {
            one.source.index: one
            for one in self._card.features
            if one.source.rule in ("index", "scalar") and ".".join(one.source.path) == leaf.name
        }
        if len(known) == size:
            columns = [_Pool(known[i], self._constants).draw(self._rng, n) for i in range(size)]
            table = np.stack(columns, axis=1)
        else:
            low, high = _bounds(leaf.space)
            pool = _Pool.between(low, high, self._constants, whole=leaf.dtype.kind in "biu")
            table = pool.draw(self._rng, n * size).reshape(n, size)
        return table.reshape(n, *leaf.shape).astype(np.float32)

    def _actions(self) -> NDArray[Any]:
        space: gymnasium.Space[Any] = space_from_json(self._card.action_space)
        space.seed(int(self._rng.integers(2**31)))
        drawn = np.stack([np.asarray(space.sample()) for _ in range(self._rows)])
        if isinstance(space, gymnasium.spaces.Discrete):
            return drawn.astype(np.int64)
        kind = np.float32 if isinstance(space, gymnasium.spaces.Box) else np.int64
        return drawn.reshape(self._rows, -1).astype(kind)


class _Pool:
    """The values of one number that are worth a try, and the bounds between which the others are drawn."""

    def __init__(self, feature: Feature, constants: Sequence[float]) -> None:
        met_low, met_high = feature.measured_low, feature.measured_high
        span = max(met_high - met_low, 1e-6)
        open_low = feature.low is None or abs(feature.low) > _HUGE
        open_high = feature.high is None or abs(feature.high) > _HUGE
        # Random actions see little of a state space that has no declared bounds.
        low = met_low - span if open_low or feature.low is None else feature.low
        high = met_high + span if open_high or feature.high is None else feature.high
        whole = feature.kind in ("flag", "count", "category")
        self._fill(low, high, whole, (met_low, met_high), constants, open_low, open_high)
        self.middle = 0.0 if feature.kind == "flag" else 0.5 * (self.low + self.high)

    @classmethod
    def between(cls, low: float, high: float, constants: Sequence[float], *, whole: bool) -> _Pool:
        """Of a number that is no feature."""
        pool = cls.__new__(cls)
        pool._fill(low, high, whole, (), constants, False, False)
        pool.middle = 0.5 * (low + high)
        return pool

    def _fill(
        self,
        low: float,
        high: float,
        whole: bool,
        met: Sequence[float],
        constants: Sequence[float],
        open_low: bool,
        open_high: bool,
    ) -> None:
        self.low, self.high, self._whole = low, max(high, low), whole
        tried = [low, high, 0.5 * (low + high), 0.0, *met, *constants]
        inside = [x for x in tried if (open_low or x >= self.low) and (open_high or x <= self.high)]
        self.values = sorted({round(x) if whole else x for x in inside} or {low})

    def draw(self, rng: np.random.Generator, count: int) -> Floats:
        """A quarter each: the middle, or zero; one of the values; between the bounds; near a value."""
        kind = rng.integers(0, 4, count)
        listed = rng.choice(np.array(self.values, dtype=np.float64), count)
        between = rng.uniform(self.low, max(self.high, self.low + 1e-9), count)
        near = listed + _NEAR * (self.high - self.low) * rng.uniform(-1.0, 1.0, count)
        drawn = np.select(
            [kind == 0, kind == 1, kind == 2], [np.full(count, self._rest), listed, between], near
        )
        return np.rint(drawn) if self._whole else drawn

    @property
    def _rest(self) -> float:
        return 0.0 if self.low <= 0.0 <= self.high else 0.5 * (self.low + self.high)


def _bounds(space: gymnasium.Space[Any]) -> tuple[float, float]:
    """Of all numbers of a space together; what has no bound is taken to lie within ten of zero."""
    if isinstance(space, gymnasium.spaces.Box):
        low, high = float(np.min(space.low)), float(np.max(space.high))
        return (low if abs(low) <= _HUGE else -10.0), (high if abs(high) <= _HUGE else 10.0)
    if isinstance(space, gymnasium.spaces.Discrete):
        return float(space.start), float(space.start + space.n - 1)
    if isinstance(space, gymnasium.spaces.MultiDiscrete):
        return float(np.min(space.start)), float(np.max(space.start + space.nvec - 1))
    return 0.0, 1.0


def _constants(source: str) -> tuple[float, ...]:
    """The numbers that stand in the source, with both signs and a little to either side; read, never run."""
    found: dict[float, None] = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
            found[abs(float(node.value))] = None
    chosen = list(found)[:_MOST_CONSTANTS]
    return tuple(
        sign * number * (1.0 + shift)
        for number in chosen
        for sign in (1.0, -1.0)
        for shift in (-_NEAR, 0.0, _NEAR)
    )
