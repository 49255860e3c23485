"""What the grammar can say about one environment: every term, weighed against the native reward.

A weight is a factor on a log grid times the size of the native reward, so that shaping is neither lost beside it nor
drowns it. A uniform draw from here is what the random planner proposes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar, get_args

import numpy as np

from experimenter.envs.records import EnvCard, Feature
from experimenter.planners.search.grammar import (
    Measure,
    MeasureKind,
    Shaping,
    Term,
    TermKind,
    Transform,
    rounded,
)
from experimenter.planners.search.reading import Roles, Scale, centre, ends, roles, scale

__all__ = ["FACTORS", "NATIVE", "TEMPERATURES", "Vocabulary", "vocabulary"]

T = TypeVar("T")
NATIVE: Final = Term("native", "native")
TEMPERATURES: Final = (0.1, 0.2, 0.5, 1.0)
TRANSFORMS: Final[tuple[Transform, ...]] = get_args(Transform)
FACTORS: Final[dict[TermKind, tuple[float, ...]]] = {
    "potential": (0.1, 0.2, 0.5, 1.0, 2.0, 5.0),
    "dense": (0.05, 0.1, 0.2, 0.5, 1.0),
    "first_time": (0.05, 0.1, 0.2, 0.5),
    "change": (0.05, 0.1, 0.2, 0.5),
    "ending": (-0.5, -0.2, 0.2, 0.5),
    "survival": (-0.5, -0.1, 0.1, 0.5),
    "effort": (0.05, 0.1, 0.2),
}


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Terms over one card; ``native`` is ``None`` where the native reward is hidden."""

    native: Term | None
    size: Scale
    roles: Roles
    effort: bool
    ending: bool

    @property
    def measures(self) -> tuple[MeasureKind, ...]:
        """Kinds of measure that the features allow."""
        movable = len(self.roles.movable)
        kinds: list[MeasureKind] = ["level", "near", "away"] if movable else []
        kinds += ["energy", "gap"] if movable > 1 else []
        return tuple([*kinds, "flag"] if self.roles.flags else kinds)

    @property
    def kinds(self) -> tuple[TermKind, ...]:
        """Kinds of term that the card allows; ``ending`` and ``survival`` where random episodes end by themselves."""
        kinds: list[TermKind] = ["potential", "dense"] if self.measures else []
        kinds += ["first_time"] if self.roles.firsts or self.roles.sights else []
        kinds += ["change"] if self.roles.flags else []
        kinds += ["effort"] if self.effort else []
        return (*kinds, "ending", "survival") if self.ending or not kinds else tuple(kinds)

    def weight(self, kind: TermKind, factor: float) -> float:
        """``factor`` times the size of the native reward that this kind of term is paid beside."""
        per_step = kind in ("dense", "survival", "effort")
        size = self.size.step if per_step else self.size.episode if kind == "potential" else self.size.goal
        return rounded(factor * size)

    def shaping(self, *terms: Term) -> Shaping:
        """The native reward, where it may be seen, with ``terms``."""
        return Shaping.of(*([self.native] if self.native else []), *terms)

    def potential(self, measure: Measure, factor: float) -> Term:
        return Term(_name("gain", measure), "potential", self.weight("potential", factor), measure)

    def dense(self, measure: Measure, factor: float) -> Term:
        return Term(_name("", measure), "dense", self.weight("dense", factor), measure)

    def first(self, flag: Feature, factor: float) -> Term:
        name = f"first_{flag.source.of or flag.name}"[:40]
        return Term(name, "first_time", self.weight("first_time", factor), Measure("flag", (flag.name,)))

    def change(self, flag: Feature, factor: float) -> Term:
        return Term(
            f"gain_{flag.name}"[:40], "change", self.weight("change", factor), Measure("flag", (flag.name,))
        )

    def bare(self, kind: TermKind, factor: float) -> Term:
        name = {"ending": "the_end", "survival": "alive" if factor > 0 else "time"}.get(kind, kind)
        return Term(name, kind, self.weight(kind, factor))

    def draw(self, rng: np.random.Generator) -> Shaping:
        """A reward drawn uniformly: one to three terms beside the native reward."""
        count = int(rng.integers(1, 4))
        return self.shaping(*(self.draw_term(rng) for _ in range(count)))

    def draw_term(self, rng: np.random.Generator) -> Term:
        """One term: kind, measure, feature, point, transform and weight each drawn uniformly."""
        kind = pick(rng, self.kinds)
        factor = pick(rng, FACTORS[kind])
        if kind == "potential":
            return self.potential(self.draw_measure(rng), factor)
        if kind == "dense":
            return self.dense(self.draw_measure(rng), factor)
        if kind == "first_time":
            return self.first(pick(rng, (*self.roles.firsts, *self.roles.sights)), factor)
        if kind == "change":
            return self.change(pick(rng, self.roles.flags), factor)
        return self.bare(kind, factor)

    def draw_measure(self, rng: np.random.Generator) -> Measure:
        kind, transform = pick(rng, self.measures), pick(rng, TRANSFORMS)
        temperature = pick(rng, TEMPERATURES)
        if kind == "flag":
            return Measure("flag", (pick(rng, self.roles.flags).name,))
        if kind in ("energy", "gap"):
            first, second = rng.choice(len(self.roles.movable), size=2, replace=False)
            pair = (self.roles.movable[int(first)], self.roles.movable[int(second)])
            return gap(*pair, transform, temperature) if kind == "gap" else energy(*pair)
        feature = pick(rng, self.roles.movable)
        if kind == "level":
            return level(feature, transform, temperature)
        point = pick(rng, points(feature))
        return offset(kind, (feature,), (point,), transform, temperature)


def vocabulary(card: EnvCard, *, hidden: bool = False) -> Vocabulary:
    """The vocabulary of a card; without the native reward where the judge is hidden."""
    return Vocabulary(
        native=None if hidden else NATIVE,
        size=scale(card, hidden=hidden),
        roles=roles(card),
        effort=card.action_kind == "continuous",
        ending=card.random.terminated_share > 0,
    )


def pick(rng: np.random.Generator, options: Sequence[T]) -> T:
    """One of ``options``, uniformly."""
    return options[int(rng.integers(len(options)))]


def points(feature: Feature) -> tuple[float, ...]:
    """Places worth being near to or far from: both ends, the middle of what was measured, and zero."""
    low, high = ends(feature)
    known = {rounded(low): None, rounded(high): None, rounded(centre(feature)): None}
    return tuple({**known, 0.0: None} if low < 0 < high else known)


def reach_from(feature: Feature, point: float) -> float:
    """How far the feature can get from ``point``: the distance that counts as one."""
    low, high = ends(feature)
    return max(rounded(max(high - point, point - low)), 1e-6)


def level(feature: Feature, transform: Transform = "linear", temperature: float = 0.5) -> Measure:
    low, high = ends(feature)
    return Measure(
        "level", (feature.name,), (rounded(low),), (max(rounded(high - low), 1e-6),), transform, temperature
    )


def offset(
    kind: MeasureKind,
    features: Sequence[Feature],
    at: Sequence[float],
    transform: Transform = "linear",
    temperature: float = 0.5,
) -> Measure:
    """``near``, ``away`` or ``energy`` of features around points, each in its own range."""
    spans = tuple(reach_from(f, p) for f, p in zip(features, at, strict=True))
    return Measure(kind, tuple(f.name for f in features), tuple(at), spans, transform, temperature)


def speed(*features: Feature) -> Measure:
    """|v| as a share of the greatest speed; the mean over several."""
    return offset("away", features, [0.0] * len(features))


def energy(position: Feature, velocity: Feature) -> Measure:
    """v² plus the squared distance from where a random policy stays: the energy of a swing."""
    return offset("energy", (position, velocity), (rounded(centre(position)), 0.0))


def gap(
    first: Feature, second: Feature, transform: Transform = "linear", temperature: float = 0.5
) -> Measure:
    widest = max(ends(first)[1], ends(second)[1]) - min(ends(first)[0], ends(second)[0])
    span = max(rounded(widest), 1e-6)
    return Measure("gap", (first.name, second.name), (), (span,), transform, temperature)


def each(features: Sequence[Feature], build: Callable[[Feature], Term]) -> tuple[Term, ...]:
    return tuple(build(feature) for feature in features)


def _name(verb: str, measure: Measure) -> str:
    what = "speed" if measure.kind == "away" and set(measure.points) == {0.0} else measure.kind
    about = measure.features[0] if len(measure.features) == 1 else "all"
    if measure.kind in ("energy", "gap"):
        about = measure.features[-1]
    return f"{verb}_{what}_{about}".strip("_")[:40].rstrip("_")
