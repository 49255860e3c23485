"""Learning curves whose state is known because they were made for it: shape first, then noise of a known size.

Six curves for each of four states. Every state meets each length, noise and scale of returns once, so that none of
these gives the state away, and whoever always says the same is right on a quarter.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final, Literal

from experimenter.questions import Answer, CurveReading, ReadCurve
from experimenter.records import CurvePoint, TrueReturn

__all__ = ["CHANCE", "Labelled", "State", "is_right", "labelled_curves"]

State = Literal["improving", "converged", "stuck", "collapsed"]
STATES: Final[tuple[State, ...]] = ("improving", "converged", "stuck", "collapsed")
CHANCE: Final = 1 / len(STATES)

_SEED: Final = 20_261
_LENGTHS: Final = (8, 10, 12, 16, 20, 24)
_NOISES: Final = (0.01, 0.02, 0.03, 0.04, 0.06, 0.08)
"""Standard deviations of a validation, as shares of the span."""
_SCALES: Final = ((0.0, 1.0), (-500.0, 400.0), (20.0, 480.0), (-1600.0, 1400.0), (-200.0, 90.0), (0.1, 0.8))
"""Where a curve begins, and its span: what there is to gain."""
_STEPS: Final = 4096


@dataclass(frozen=True, slots=True)
class Labelled:
    """A curve and its true state."""

    question: ReadCurve
    truth: State


def labelled_curves() -> tuple[Labelled, ...]:
    """Twenty-four curves, the same always, in an order that tells nothing."""
    draw = random.Random(_SEED)
    made = [_made(state, row, place, draw) for place, state in enumerate(STATES) for row in range(6)]
    return tuple(draw.sample(made, len(made)))


def is_right(one: Labelled, answer: Answer) -> bool:
    """Whether an answer names the curve's state; a refusal does not."""
    return isinstance(answer, CurveReading) and answer.state == one.truth


def _made(state: State, row: int, place: int, draw: random.Random) -> Labelled:
    """Length, noise and scale are shifted against each other from state to state: each is met once by every state."""
    length, noise = _LENGTHS[row], _NOISES[(row * 5 + place) % 6]
    low, span = _SCALES[(row + place) % 6]
    values = [low + span * (_shape(state, i / (length - 1)) + noise * _normal(draw)) for i in range(length)]
    points = tuple(
        CurvePoint(steps=_STEPS * (i + 1), true_return=TrueReturn(float(f"{value:.4g}")))
        for i, value in enumerate(values)
    )
    return Labelled(ReadCurve(points=points), state)


def _shape(state: State, x: float) -> float:
    """The curve without noise: shares of the span over a training from 0 to 1.

    ``improving`` rises evenly to the end; ``converged`` has 95 % of its gain after 0.3; ``stuck`` never gains;
    ``collapsed`` reaches everything at 0.45 and has lost nine tenths of it from 0.75 on.
    """
    match state:
        case "improving":
            return x
        case "converged":
            return 1 - math.exp(-10 * x)
        case "stuck":
            return 0.0
    return min(1.0, x / 0.45) if x <= 0.6 else max(0.1, 1 - 0.9 * (x - 0.6) / 0.15)


def _normal(draw: random.Random) -> float:
    """From one uniform draw, whose stream Python promises never to change."""
    return NormalDist().inv_cdf(min(max(draw.random(), 1e-12), 1 - 1e-12))
