"""Early stopping: what may be ended and what never, and that an ended training is the beginning of the whole one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from experimenter.records import CurvePoint, Hyperparameters, Network, Rival, Training, TrueReturn
from experimenter.rl.stopping import RULES, collapsed, forecast, hopeless, level, stop
from experimenter.rl.training import train
from tests.kernel.rl_samples import CARTPOLE, SMALL, job, lasting, phase, quiet

STEP = 1_000
RISES = st.lists(st.floats(0.5, 1.5), min_size=2, max_size=40)
RETURNS = st.lists(st.floats(-500, 500).map(lambda value: round(value, 3)), min_size=1, max_size=24)
MODES = ("plateau", "forecast")


def curve(values, step: int = STEP) -> tuple[CurvePoint, ...]:
    return tuple(CurvePoint(steps=step * (i + 1), true_return=v) for i, v in enumerate(values))


def rising(rises) -> list[float]:
    return [sum(rises[: i + 1]) for i in range(len(rises))]


def against(score: float) -> Rival:
    return Rival(name="the champion of t0", score=TrueReturn(score))


LEARNT_THEN_LEVEL = [0.0, 30.0, 60.0, 90.0, 100.0, *[101.0, 99.0, 100.0] * 4]
LEARNT_THEN_LOST = [0.0, 30.0, 60.0, 90.0, 100.0, 98.0, 100.0, 12.0, 9.0, 11.0, 8.0, 10.0]


@given(RISES, st.integers(1, 10))
def test_a_curve_that_rises_beyond_doubt_is_left_alone(rises, more) -> None:
    values = rising(rises)
    points, until = curve(values), STEP * (len(values) + more)
    reachable = values[-1] + more * 0.5
    for mode in MODES:
        assert stop(points, until, mode, against(reachable)) is None


@given(st.floats(0.01, 1e4), st.floats(-1e4, 1e4))
def test_level_and_collapsed_curves_are_ended(scale, shift) -> None:
    level_curve = curve([scale * v + shift for v in LEARNT_THEN_LEVEL])
    lost_curve = curve([scale * v + shift for v in LEARNT_THEN_LOST])
    for mode in MODES:
        for points, reason in ((level_curve, "plateau"), (lost_curve, "collapse")):
            found = stop(points, points[-1].steps + 4 * STEP, mode)
            assert found is not None and found.reason == reason
    assert stop(level_curve, 10**6, "off", against(1e9)) is None


@given(RETURNS, st.floats(-600, 600), st.sampled_from([0.125, 2.0, 1024.0]), st.integers(-4096, 4096))
def test_units_do_not_matter(values, score, scale, shift) -> None:
    """Scales that are powers of two and whole shifts, so that rounding has no say in a tie."""
    until = STEP * (len(values) + 6)
    one = curve([float(round(v)) for v in values])
    other = curve([float(round(v)) * scale + shift for v in values])
    rivals = against(round(score) + 0.5), against((round(score) + 0.5) * scale + shift)
    for mode in MODES:
        found, again = (
            stop(points, until, mode, rival) for points, rival in zip((one, other), rivals, strict=True)
        )
        assert (found and found.reason) == (again and again.reason)


@given(RETURNS, st.data())
def test_points_without_a_validation_say_nothing(values, data) -> None:
    points = curve(values)
    at = data.draw(st.integers(0, len(points)))
    gap = CurvePoint(steps=STEP * at + 1)
    until, rival = STEP * (len(values) + 6), against(400.0)
    with_gap = (*points[:at], gap, *points[at:])
    assert stop(points, until, "forecast", rival) == stop(with_gap, until, "forecast", rival)


@given(RETURNS, st.integers(0, 3 * STEP), st.floats(-600, 600))
def test_nothing_breaks_on_short_curves_and_equal_steps(values, steps, score) -> None:
    same = tuple(CurvePoint(steps=steps, true_return=v) for v in values)
    for points in (same, same[:1], ()):
        found = forecast(points, 5 * STEP)
        assert found is None or found.low <= found.high
        assert not (len(points) < RULES.few and hopeless(points, score, 5 * STEP))
        assert stop(points, steps, "forecast", against(score)) is None, "what is over is not ended early"


def test_a_return_that_is_no_number_never_enters_a_curve() -> None:
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValidationError):
            CurvePoint(steps=1, true_return=TrueReturn(value))


@given(RETURNS, st.integers(1, 10))
def test_a_forecast_narrows_as_the_steps_run_out(values, more) -> None:
    points, last = curve(values), STEP * len(values)
    now, later = forecast(points, last), forecast(points, last + more * STEP)
    if now is not None and later is not None:
        assert now.low == later.low == max(values) <= now.high <= later.high
    assert forecast(points, 10 * last) is None, "nothing is foretold in the first part of the steps"


def test_what_never_moved_has_no_forecast() -> None:
    """Sparse rewards look so before the first success: nothing bounds what comes then."""
    points = curve([-200.0] * 12)
    assert forecast(points, 10**6) is None
    assert stop(points, 13 * STEP, "forecast", against(-100.0)) is None
    just_begun = curve([*[-500.0] * 6, -455.0])
    assert forecast(just_begun, 10 * STEP) is None, "the next validations of this real one were -117 and -97"


def test_only_what_cannot_reach_its_rival_is_hopeless() -> None:
    points = curve([0.0, 8.0, 9.0, 10.0, 9.0, 10.0, 9.5, 10.0])
    until = 9 * STEP
    found = forecast(points, until)
    assert found is not None and found.low == 10.0 < found.high < 20.0
    assert hopeless(points, found.high + 0.1, until) and not hopeless(points, found.high, until)
    assert not level(points, 100 * STEP) and not collapsed(points)
    told = stop(points, until, "forecast", against(180.0))
    assert told is not None and told.reason == "forecast"
    assert told.sentence == (
        "its forecast, at most 14.7 at 9,000 steps, lies below the 180 of the champion of t0"
    )
    assert stop(points, until, "plateau", against(180.0)) is None


def _hopeful(folder: Path, **changes):
    """Updates so timid that nothing is learnt, against a rival that nobody reaches."""
    timid = SMALL.model_copy(update={"learning_rate": 1e-6})
    rival = {"name": "the champion of t0", "score": 400.0}
    settings = {"stopping": "forecast", "rival": rival, "chunk_steps": 128, **changes}
    return job(folder, phase(CARTPOLE, steps=2048, hyper=timid), **settings)


def test_an_ended_training_is_the_beginning_of_the_whole_one(tmp_path: Path) -> None:
    whole = train(_hopeful(tmp_path / "a", stopping="off"), quiet)
    early = train(_hopeful(tmp_path / "b"), quiet)
    assert whole.stopped is None and early.stopped is not None and early.stopped.reason == "forecast"
    assert early.env_steps == early.steps < whole.steps == 2048
    assert early.curve == whole.curve[: len(early.curve)]
    assert early.status == "finished" and early.policy is not None
    assert train(_hopeful(tmp_path / "b"), quiet).model_dump(exclude={"seconds"}) == early.model_dump(
        exclude={"seconds"}
    ), "asked again it says the same, without another step"


def test_an_interrupted_training_is_ended_at_the_same_point(tmp_path: Path) -> None:
    at_once = train(_hopeful(tmp_path / "a"), quiet)
    piece = 0
    for piece in range(256, 2049, 256):
        last = train(_hopeful(tmp_path / "b", until=piece), quiet)
        if last.stopped:
            break
    assert piece > at_once.steps - 256
    assert lasting(train(_hopeful(tmp_path / "b"), quiet)) == lasting(at_once)


def test_without_a_rule_a_training_is_written_as_it_always_was(tmp_path: Path) -> None:
    plain = train(job(tmp_path, phase(CARTPOLE, steps=256)), quiet)
    written = plain.model_dump(mode="json")
    assert "stopped" not in written and "stopped" not in json.loads(plain.model_dump_json())
    assert Training.model_validate(written) == plain
    told = plain.model_copy(update={"stopped": {"reason": "plateau", "sentence": "it is level"}})
    assert Training.model_validate(told.model_dump(mode="json", warnings=False)).stopped is not None


def test_a_training_that_learns_is_not_ended_by_a_rival_within_reach(tmp_path: Path) -> None:
    learning = job(
        tmp_path, phase(CARTPOLE, steps=16_384, hyper=Hyperparameters()), network=Network(), chunk_steps=1024,
        stopping="forecast", rival={"name": "another", "score": 150.0},
    )  # fmt: skip
    found = train(learning, quiet)
    assert found.stopped is None or found.stopped.reason != "forecast"
    assert max(point.true_return or 0.0 for point in found.curve) > 150.0
