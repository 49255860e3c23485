"""Reads an environment card the way a practitioner would: how large is the native return, is it sparse, which feature
is a speed, which flag is something the agent brings about. Only kinds of cards are told apart, never environments.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Final, Literal

from experimenter.envs.records import EnvCard, Feature
from experimenter.questions import Attempt

__all__ = [
    "CardKind",
    "Scale",
    "card_kind",
    "flat",
    "flat_returns",
    "impossible",
    "noise",
    "partner",
    "roles",
    "scale",
]

CardKind = Literal["sparse flags", "sparse", "flat cost", "survival", "dense continuous", "dense"]
SPEED: Final = re.compile(r"velocit|speed|\bvel\b|_vel\b|_vel_|\bvel_|_dot\b|m/s|rad/s|\bxdot|momentum")
LARGE: Final = 1e6


@dataclass(frozen=True, slots=True)
class Scale:
    """Sizes of the native reward: ``episode`` per episode, ``step`` per transition, ``goal`` for a single event."""

    episode: float
    step: float
    goal: float


@dataclass(frozen=True, slots=True)
class Roles:
    """The card's usable features by what they seem to be."""

    speeds: tuple[Feature, ...]
    positions: tuple[Feature, ...]
    firsts: tuple[Feature, ...]
    sights: tuple[Feature, ...]
    flags: tuple[Feature, ...]

    @property
    def movable(self) -> tuple[Feature, ...]:
        return (*self.speeds, *self.positions)


def is_sparse(card: EnvCard) -> bool:
    """Whether a random policy hardly ever meets a reward that is not zero."""
    return card.random.nonzero_share < 0.05


def is_flat_cost(card: EnvCard) -> bool:
    """Whether every step costs the same, so that nothing tells good from bad until an episode ends."""
    return not is_sparse(card) and card.random.reward_max <= 0 and card.random.reward_distinct <= 2


def flat(card: EnvCard) -> bool:
    """Whether random episodes show no difference worth learning from."""
    return is_sparse(card) or is_flat_cost(card)


def card_kind(card: EnvCard) -> CardKind:
    """The kind of task, from what a random policy met."""
    if is_sparse(card):
        return "sparse flags" if roles(card).firsts else "sparse"
    if is_flat_cost(card):
        return "flat cost"
    if card.random.reward_min > 0 and card.random.terminated_share > 0.9:
        return "survival"
    return "dense continuous" if card.action_kind == "continuous" else "dense"


def scale(card: EnvCard, *, hidden: bool) -> Scale:
    """How large shaping must be to count beside the native reward; ones where the native reward is hidden."""
    limit = card.max_episode_steps or card.random.length_max or 200
    if hidden:
        return Scale(1.0, 1.0 / limit, 1.0)
    if is_sparse(card):
        goal = max(abs(card.random.reward_max), abs(card.random.reward_min)) or 1.0
        return Scale(goal, goal / limit, goal)
    episode = max(abs(card.random.return_mean), card.random.return_std, 1e-3)
    return Scale(episode, episode / max(card.random.length_mean, 1.0), episode)


def noise(card: EnvCard) -> float:
    """Differences of true return below this say nothing: the spread of short trainings judged on a few episodes."""
    return max(0.05 * scale(card, hidden=False).episode, 1e-6)


def flat_returns(card: EnvCard, attempts: tuple[Attempt, ...]) -> bool:
    """Whether all attempts with a true return are alike within noise."""
    returns = [a.true_return for a in attempts if a.true_return is not None]
    return not returns or max(returns) - min(returns) <= noise(card)


def impossible(card: EnvCard) -> frozenset[str]:
    """Names of features that nothing in this world can move, with the ``ever`` flags of such: no term is about one."""
    still = {f.name for f in card.features if not f.possible}
    return frozenset(f.name for f in card.features if {f.name, f.source.of} & still)


def roles(card: EnvCard) -> Roles:
    """Sorts features into roles, by name, description and unit; by symmetry around zero where those say nothing.

    The grammar has its features from here alone; those that cannot vary have no role.
    """
    still = impossible(card)
    named = [f for f in card.features if f.name.isidentifier() and f.name.isascii()]
    usable = [f for f in named if f.name not in still]
    numbers = [f for f in usable if f.kind in ("continuous", "angle", "count") and f.source.rule != "ever"]
    speeds = [f for f in numbers if _is_speed(f)]
    if not speeds:
        speeds = [f for f in numbers if not f.description and _anonymous(f) and _symmetric(f)]
    bases = {f.name: f for f in usable}
    firsts = [f for f in usable if f.source.rule == "ever"]
    sights = [f for f in firsts if f.source.of in bases and bases[f.source.of].source.rule == "visible"]
    return Roles(
        speeds=tuple(speeds),
        positions=tuple(f for f in numbers if f not in speeds),
        firsts=tuple(f for f in firsts if f not in sights),
        sights=tuple(sights),
        flags=tuple(f for f in usable if f.kind == "flag" and f.source.rule != "ever"),
    )


def ends(feature: Feature) -> tuple[float, float]:
    """The feature's range: declared where believable, else what was measured with room to grow."""
    low, high = feature.measured_low, feature.measured_high
    room = max(high - low, 1e-6) / 2
    declared = _declared(feature)
    return declared if declared else (low - room, high + room)


def centre(feature: Feature) -> float:
    """Where a random policy leaves the feature: the middle of what was measured."""
    middle = (feature.measured_low + feature.measured_high) / 2
    return 0.0 if abs(middle) < 0.02 * (feature.measured_high - feature.measured_low) else middle


def partner(feature: Feature, among: tuple[Feature, ...]) -> Feature | None:
    """The position that a speed most likely belongs to: by likeness of names, then by order."""
    if not among:
        return None
    plain = SPEED.sub("", f"{feature.name} {feature.description}".lower())

    def likeness(other: Feature) -> float:
        return difflib.SequenceMatcher(None, plain, f"{other.name} {other.description}".lower()).ratio()

    return max(among, key=likeness)


def _declared(feature: Feature) -> tuple[float, float] | None:
    """Declared bounds that are finite, not absurdly wide, and hold what was measured."""
    if feature.low is None or feature.high is None or feature.high <= feature.low:
        return None
    span, measured = feature.high - feature.low, feature.measured_high - feature.measured_low
    tight = measured <= 0 or span <= 100 * measured
    believable = tight and max(abs(feature.low), abs(feature.high)) < LARGE
    return (feature.low, feature.high) if believable else None


def _is_speed(feature: Feature) -> bool:
    return SPEED.search(f"{feature.name} {feature.description} {feature.unit}".lower()) is not None


def _anonymous(feature: Feature) -> bool:
    return re.fullmatch(r"[a-z]+_?\d+", feature.name) is not None


def _symmetric(feature: Feature) -> bool:
    span = feature.measured_high - feature.measured_low
    return span > 0 and abs(centre(feature)) < 0.15 * span
