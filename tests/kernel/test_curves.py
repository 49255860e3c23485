"""The one reading of a curve's tail gives the trainer and the planner the figures that each had from its own."""

from __future__ import annotations

import numpy as np
import pytest

from experimenter.curves import FEWEST, student, tail_slope, true_returns
from experimenter.planners.search.curves import read_curve
from experimenter.questions import ReadCurve
from experimenter.records import CurvePoint
from experimenter.rl.curves import curve_state, plateaued

WIGGLE = (3.0, -1.0, 4.0, 1.0, -5.0, 9.0, -2.0, 6.0, 5.0, -3.0)
PUBLISHED = {1: 12.706, 5: 2.571, 10: 2.228, 12: 2.179, 15: 2.131, 20: 2.086, 30: 2.042}


def wiggles(count, rise=0.0):
    return [rise * i + WIGGLE[i % 10] for i in range(count)]


def curve(values):
    return tuple(CurvePoint(steps=2048 * (i + 1), true_return=v) for i, v in enumerate(values))


CURVES = {
    "rising": wiggles(12, 2.0),
    "long climb": wiggles(28, 0.5),
    "longer still": wiggles(44, 0.2),
    "saturated": [min(500.0, value) for value in wiggles(20, 60.0)],
    "collapsed": [*wiggles(9, 10.0), 12.0, 3.0, 8.0, 5.0],
    "noise": wiggles(20),
    "gaps": [None, 1.0, None, 2.5, 2.0, None, 4.0, 3.5, 6.0],
    "four": [1.0, 2.0, 4.0, 3.0],
    "falling": wiggles(34, -3.0),
}
# Recorded when each reader had a least-squares fit of its own.
PLANNER = {
    "rising": ("converged", False, 0.8091517857142861, -0.5605879777472437, 2.178891549175816),
    "long climb": ("converged", False, 0.2881395947802205, -0.0652589212614158, 0.6415381108218567),
    "longer still": ("converged", False, 0.0918663537549398, -0.05328525286154302, 0.23701796037142264),
    "saturated": ("converged", False, 0.0, 0.0, 0.0),
    "collapsed": ("collapsed", False, -8.300781250000007, -15.965794655540467, -0.635767844459548),
    "noise": ("stuck", False, 0.008877840909090854, -0.5770022832348702, 0.5947579650530519),
    "gaps": ("converged", False, 0.42550223214285754, -0.19792007303678882, 1.0489245373225038),
    "four": ("converged", False, 0.390625, -0.5001638161432093, 1.2814138161432092),
    "falling": ("stuck", False, -1.4971564797794086, -1.7029909406339763, -1.2913220189248409),
}
TRAINER = {
    "rising": ("converged", False, 8.285714285714286, -5.7404208921317785, 22.31184946356035),
    "long climb": ("stuck", False, 7.671428571428571, -1.8245727982851818, 17.167429941142323),
    "longer still": ("stuck", True, 3.95098814229249, -1.9315375225291063, 9.833513807114086),
    "saturated": ("converged", True, 0.0, 0.0, 0.0),
    "collapsed": ("collapsed", False, -85.0, -163.48973727273432, -6.510262727265697),
    "noise": ("stuck", True, 0.16363636363636347, -10.635306084585126, 10.962578811857854),
    "gaps": ("converged", False, 3.4857142857142858, -1.621361238317375, 8.592789809745947),
    "four": ("converged", False, 2.4000000000000004, -3.0730064863838766, 7.873006486383877),
    "falling": ("stuck", False, -49.05882352941177, -55.83542215973803, -42.282224899085506),
}


@pytest.mark.parametrize("name", CURVES)
def test_the_planner_reads_as_it_did(name) -> None:
    found = read_curve(ReadCurve(points=curve(CURVES[name])))
    state, keep, *figures = PLANNER[name]
    assert (found.state, found.keep_training) == (state, keep)
    assert (found.slope, found.low, found.high) == pytest.approx(figures, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("name", CURVES)
def test_the_trainer_reads_as_it_did(name) -> None:
    points = curve(CURVES[name])
    found = tail_slope(*true_returns(points))
    state, level, *figures = TRAINER[name]
    assert (curve_state(points), plateaued(points)) == (state, level)
    assert found is not None
    assert (found.gain, found.low, found.high) == pytest.approx(figures, rel=1e-12, abs=1e-12)


def test_too_short_a_curve_has_no_slope() -> None:
    short = curve([1.0, None, *range(FEWEST - 2)])
    assert tail_slope(*true_returns(short)) is None
    assert curve_state(short) == read_curve(ReadCurve(points=short)).state == "too short"


@pytest.mark.parametrize("steps", [1000, 1843, 2048])
@pytest.mark.parametrize("level", [0.1, -200.0, -199.3])
def test_a_level_curve_improves_for_nobody_however_long(level, steps) -> None:
    for count in (8, 16, 24, 60):
        points = tuple(CurvePoint(steps=steps * (i + 1), true_return=level) for i in range(count))
        assert curve_state(points) == read_curve(ReadCurve(points=points)).state == "stuck"


def test_validations_at_one_and_the_same_step_have_no_slope() -> None:
    found = tail_slope(np.full(6, 100.0), np.array([1.0, 2.0, 3.0, 2.0, 1.0, 3.0]))
    assert found is not None
    assert (found.gain, found.low, found.steps) == (0.0, found.high * -1, 0.0)


def test_the_interval_of_a_slope_covers_the_truth() -> None:
    rng, steps = np.random.default_rng(0), np.arange(16.0)
    covered = 0
    for _ in range(400):
        found = tail_slope(steps, 2.0 * steps + rng.normal(size=16))
        assert found is not None
        covered += found.low <= 2.0 * found.steps <= found.high
    assert 0.92 <= covered / 400 <= 0.98


@pytest.mark.parametrize("degrees", PUBLISHED)
def test_quantiles_are_students(degrees) -> None:
    assert student(degrees, listed=10, excess=2.4) == pytest.approx(PUBLISHED[degrees], rel=0.01)
    assert student(degrees) == pytest.approx(PUBLISHED[degrees], rel=0.01 if degrees <= 15 else 0.07)
