"""Every fault has a training that shows it and one, close by, that does not."""

from __future__ import annotations

import pytest

from experimenter.curves import tail_slope, true_returns
from experimenter.envs.records import EnvCard, Feature, FeatureSource, RandomRollouts
from experimenter.records import ComponentTrace, CurvePoint, Design, Diagnosis, EnvSpec, Training
from experimenter.rl.curves import curve_state, plateaued
from experimenter.rl.diagnostics import diagnose, rare_reward
from experimenter.rl.reach import BINS, MAX_PAIRS, Reach
from tests.kernel.rl_samples import CAR_FEATURES, CARTPOLE, phase

RISING = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0)
DESIGN = Design(name="sample", phases=(phase(CARTPOLE, steps=8000),))


def _card(*, distinct: int = 900, nonzero: float = 1.0, threshold: float | None = None) -> EnvCard:
    """By default a dense task, such as locomotion: every random step pays something else."""
    met = RandomRollouts(
        episodes=10, steps=2000, reward_min=-1.0, reward_mean=0.0, reward_max=1.0, reward_distinct=distinct,
        nonzero_share=nonzero, return_mean=0.0, return_std=1.0, length_mean=200.0, length_max=200,
        terminated_share=0.0,
    )  # fmt: skip
    return EnvCard(
        spec=EnvSpec(id="Any-v0"), observation_space={}, action_space={}, action_kind="discrete", features=(),
        random=met, reward_threshold=threshold,
    )  # fmt: skip


RARE = _card(distinct=1, nonzero=0.0)


def _curve(true, shaped=None, components=None) -> tuple[CurvePoint, ...]:
    return tuple(
        CurvePoint.model_validate(
            {
                "steps": 1000 * (i + 1),
                "true_return": value,
                "shaped_return": None if shaped is None else shaped[i],
                "components": components or {},
            }
        )
        for i, value in enumerate(true)
    )


def _trace(name: str, low: float, mean: float, high: float, share: float, correlation: float | None = None):
    three = {k: (v,) * 3 for k, v in (("minimum", low), ("mean", mean), ("maximum", high))}
    return ComponentTrace(name=name, share=share, correlation=correlation, **three)


def _training(true=RISING, *traces: ComponentTrace, shaped=None, components=None, **more) -> Training:
    settings = {"step": "s", "design": "d", "seed": 0, "status": "finished", "steps": 8000, "env_steps": 8000}
    return Training(**settings, curve=_curve(true, shaped, components), components=traces, **more)


def _found(training: Training, card: EnvCard | None = None, baseline: Training | None = None) -> Diagnosis:
    return diagnose(training, None, DESIGN, card or _card(), baseline)


def _names(training: Training, card: EnvCard | None = None, baseline: Training | None = None) -> list[str]:
    return [fault.name for fault in _found(training, card, baseline).faults]


def test_a_good_training_has_no_fault() -> None:
    good = _training(RISING, _trace("a", -1, 0.1, 1, 0.6, 0.9), _trace("b", 0, 0.3, 2, 0.4, 0.5))
    found = _found(good)
    assert found.faults == () and found.words == "No fault was found." and found.curve == "improving"


def test_components_dead_constant_dominated() -> None:
    bad = _training(
        RISING, _trace("dead", 0, 0, 0, 0.0), _trace("flat", 0.5, 0.5, 0.5, 0.001), _trace("big", -9, 1, 9, 0.998),
        _trace("small", -0.01, 0, 0.02, 0.001),
    )  # fmt: skip
    found = {fault.component: fault.name for fault in _found(bad).faults}
    assert found == {"dead": "dead component", "flat": "constant component", "small": "dominated component"}
    fair = _training(RISING, _trace("big", -9, 1, 9, 0.9), _trace("small", -0.4, 0, 0.5, 0.1))
    assert _names(fair) == []


def test_a_single_component_dominates_nobody() -> None:
    assert _names(_training(RISING, _trace("only", -1, 0, 1, 1.0))) == []


def _farm(correlation: float, farmed: float) -> Training:
    """A term that pays at every step beside an event worth 1."""
    dense = _trace("near", 0.0, 0.05, 0.1, 0.9, correlation)
    event = _trace("arrived", 0.0, 0.001, 1.0, 0.1, 1.0)
    return _training(RISING, dense, event, components={"near": farmed, "arrived": 0.2})


def test_flooding() -> None:
    assert _names(_farm(0.0, 8.0), RARE) == ["flooding"]
    assert _names(_farm(0.0, 0.5), RARE) == [], "it earns less than the event pays"
    assert _names(_farm(0.9, 8.0), RARE) == [], "what it pays for is the task itself"


def test_dense_locomotion_is_not_flooding() -> None:
    """Forward reward and health bonus on every step, a rare penalty: that is how such tasks are."""
    forward, healthy = _trace("forward", -1, 1.5, 4, 0.6, 0.2), _trace("healthy", 1, 1, 1.001, 0.39, 0.1)
    fell = _trace("fell", -1, -0.001, 0.5, 0.01, 0.2)
    walk = _training(
        RISING, forward, healthy, fell, components={"forward": 1500, "healthy": 1000, "fell": -1}
    )
    assert _names(walk) == []


def test_collapse() -> None:
    falling = _training((0, 20, 60, 90, 100, 80, 30, 10))
    assert _names(falling) == ["collapse"] and _found(falling).curve == "collapsed"
    assert _names(_training((0, 20, 60, 90, 100, 95, 92, 97))) == []


def test_plateau() -> None:
    flat = (0, 30, 60, 80, *(80, 79, 80) * 4)
    assert _names(_training(flat)) == ["plateau"] and _found(_training(flat)).curve == "converged"
    assert _names(_training(flat), _card(threshold=79.0)) == [], "it is solved"
    assert _names(_training(tuple(range(0, 160, 10)))) == []


def test_reward_hacking_within_a_training() -> None:
    paid = _trace("a", -1, 0.1, 1, 1.0, -0.5)
    shaped = (0, 5, 10, 20, 40, 60, 80, 100)
    hacked = _training((50, 52, 48, 40, 30, 20, 25, 20), paid, shaped=shaped)
    assert "reward hacking" in _names(hacked)
    assert "reward hacking" not in _names(_training(RISING, paid, shaped=shaped))
    assert "reward hacking" not in _names(_training(hacked_true := (50, 52, 48, 40, 30, 20, 25, 20))), (
        hacked_true
    )


def test_reward_hacking_against_the_baseline() -> None:
    paid = _trace("a", -1, 0.1, 1, 1.0, 0.1)
    lured = _training((5, 6, 5, 6, 5, 6, 5, 6), paid, shaped=RISING)
    assert "reward hacking" in _names(lured, baseline=_training((20, 30, 40, 50)))
    assert "reward hacking" not in _names(lured, baseline=_training((0, 3, 4, 10)))


def test_sparse_beyond_reach() -> None:
    nothing = _training((0.0,) * 8, reach=0.2)
    assert _names(nothing, RARE) == ["sparse beyond reach"] and _found(nothing, RARE).curve == "stuck"
    assert _names(_training((0, 0, 0, 0, 0, 0, 0, 0.3)), RARE) == []
    assert "sparse beyond reach" not in _names(nothing), "a dense reward is always in reach"
    assert "sparse beyond reach" not in _names(_training((500.0,)), RARE), "one good look is no flat curve"


def test_dormant_units() -> None:
    assert _names(_training(RISING, dormant_share=0.5)) == ["dormant units"]
    assert _names(_training(RISING, dormant_share=0.1)) == []


def test_failed_trainings_say_so() -> None:
    settings = {"step": "s", "design": "d", "seed": 0, "steps": 0, "env_steps": 0}
    found = diagnose(Training(**settings, status="failed", error="it broke"), None, DESIGN, _card(), None)
    assert [fault.name for fault in found.faults] == ["training failed"] and "it broke" in found.words
    assert "training failed" not in _names(_training())


def test_rare_rewards_are_told_from_dense_ones() -> None:
    assert rare_reward(RARE) and rare_reward(_card(distinct=2, nonzero=0.001))
    assert not rare_reward(_card()) and not rare_reward(_card(distinct=3, nonzero=0.3))


@pytest.mark.parametrize(
    ("values", "state"),
    [
        ((1, 2, 3), "too short"),
        (RISING, "improving"),
        ((5,) * 8, "stuck"),
        ((5, 4, 6, 5, 4, 6, 5, 5), "stuck"),
        ((0, 50, 90, 100, 99, 100, 101, 100), "converged"),
        ((0, 50, 100, 100, 100, 20, 10, 10), "collapsed"),
    ],
)
def test_curve_states(values, state: str) -> None:
    assert curve_state(_curve(values)) == state


def test_slope_has_an_interval() -> None:
    slope = tail_slope(*true_returns(_curve((0, 0, 0, 0, 10, 21, 29, 40))))
    assert slope is not None and slope.low < 30 < slope.high and slope.low > 20
    assert tail_slope(*true_returns(_curve((1, 2, 3)))) is None


def test_a_curve_that_never_rose_is_no_plateau() -> None:
    assert not plateaued(_curve((0.0,) * 30))
    assert plateaued(_curve((0.0, 1.0, 2.0, *(2.0,) * 9)))


def _swing(size: float):
    import numpy as np

    t = np.linspace(0, 60, 3000)
    return {
        "position": (-0.5 + size * np.sin(t)).astype(np.float32),
        "velocity": (0.07 * size * np.cos(t)).astype(np.float32),
    }


def test_reach_ranks_a_car_that_swings_high_above_one_in_the_valley() -> None:
    values = []
    for size in (0.02, 0.1, 0.3, 0.6):
        reach = Reach(CAR_FEATURES)
        reach.visit(_swing(size))
        values.append(reach.value)
    assert values == sorted(values) and values[-1] > 2 * values[0] and 0 < values[0] < values[-1] < 1


def _flags(*names: str) -> tuple[Feature, ...]:
    return tuple(Feature(name=n, kind="flag", low=0, high=1, source=FeatureSource()) for n in names)


def test_reach_ranks_opening_doors_above_carrying_keys_above_neither() -> None:
    import numpy as np

    rng, values = np.random.default_rng(0), []
    features = (*_flags("carrying", "open"), *CAR_FEATURES)
    for key, door in ((0.0, 0.0), (0.3, 0.0), (0.3, 0.001), (0.3, 0.1)):
        reach = Reach(features)
        state = _swing(0.1) | {
            "carrying": (rng.random(3000) < key).astype(np.float32),
            "open": (rng.random(3000) < door).astype(np.float32),
        }
        reach.visit(state)
        values.append(reach.value)
    assert values == sorted(values) and len(set(values)) == 4


def test_reach_is_bounded_in_memory_and_needs_no_features() -> None:
    many = Reach(_flags(*(f"f{i}" for i in range(60))))
    assert many.counts.shape == (MAX_PAIRS, BINS * BINS)
    assert Reach(()).value == 0.0
    impossible = Reach(tuple(f.model_copy(update={"possible": False}) for f in CAR_FEATURES))
    impossible.visit(_swing(0.3))
    assert impossible.value == 0.0
