"""The verdict's wording and the control arms' arithmetic: what may be said, and what must always be said with it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experimenter.errors import BudgetError, ConfigError
from experimenter.identity import seeds
from experimenter.judge.controls import CHOICES, control_names, native_design, plan_control, plan_controls
from experimenter.judge.statistics import compare
from experimenter.judge.verdict import Claim, comparison_sentence, earlier_sentence, number, sentence
from experimenter.records import EnvSpec, Hyperparameters, Interval
from experimenter.results import Earlier

HIGH, LOW = [100.0, 101.0, 102.0, 103.0, 104.0], [1.0, 2.0, 3.0, 4.0, 5.0]
SCORE = Interval(iqm=102.0, low=100.7, high=103.3, seeds=5)


def a_claim(**changes):
    plain = {
        "ended": "confirmed",
        "planner": "search",
        "trial": "t003",
        "score": SCORE,
        "trials": 4,
        "candidates": 12,
        "discarded": 9,
        "env_steps": 480_000,
    }
    return Claim(**{**plain, **changes})


def compared(*names, winner=HIGH, control=LOW):
    return {name: compare(name, winner, control, 0) for name in names}


def test_a_confirmed_winner_with_both_controls_reads_as_one_paragraph():
    words = sentence(
        a_claim(
            comparisons=compared("native", "random"), control_env_steps=960_000, success_rate=0.93, target=475
        )
    )
    assert words.startswith(
        "The best design (trial t003) reached a true score of 102 (interquartile mean over 5 fresh training seeds, "
        "95 % interval 100.7 to 103.3), with 93 % of episodes successful. The target of 475 was not reached."
    )
    assert "The design that the run found helped against the native control (native reward, shipped" in words
    assert "The planner (search) helped against the random control" in words
    assert words.endswith(
        "Cost: 480,000 learning steps in 4 trials, 9 of 12 candidate designs discarded, and 960,000 more for controls."
    )


@pytest.mark.parametrize(
    ("winner", "control", "said"),
    [(HIGH, LOW, "helped"), (LOW, HIGH, "hurt"), (HIGH, HIGH, "made no measurable difference")],
)
@pytest.mark.parametrize("name", ["native", "random"])
def test_every_comparison_names_its_control_and_only_random_tests_the_planner(winner, control, said, name):
    words = comparison_sentence(compare(name, winner, control, 0), "search", 5)
    assert f"{said} against the {name} control" in words and "p = " in words
    assert ("planner" in words) == (name == "random")


def test_against_native_alone_the_planner_is_not_credited():
    words = sentence(a_claim(comparisons=compared("native")))
    assert not re.search(r"planner \(", words)
    assert "Whether the planner itself is the cause needs the random control." in words


def test_too_few_seeds_make_no_claim_however_large_the_difference():
    score = Interval(iqm=102.0, low=101.0, high=103.0, seeds=3)
    words = sentence(a_claim(score=score, comparisons=compared("native", "random", winner=HIGH[:3])))
    assert words.count("too few seeds: a claim needs 5 training seeds in each arm, and the winner has 3") == 2
    assert "helped" not in words and "hurt" not in words


def test_one_seed_has_no_interval():
    words = sentence(a_claim(score=Interval(iqm=7.0, low=7.0, high=7.0, seeds=1)))
    assert "one fresh training seed, which gives no interval" in words


def test_without_controls_nothing_is_credited():
    words = sentence(a_claim())
    assert "Without a control nothing can be said" in words and "helped" not in words


def test_a_control_that_could_not_be_run_is_named_with_the_reason():
    words = sentence(
        a_claim(comparisons=compared("native"), missing={"random": "the time limit was reached."})
    )
    assert "The random control is missing: the time limit was reached. " in words


@pytest.mark.parametrize("score", [None, SCORE])
def test_no_winner_makes_no_claim_but_names_its_cost(score):
    words = sentence(a_claim(ended="no winner", score=score, comparisons=compared("random")))
    assert words.startswith("No design was left to confirm, so this run makes no claim.")
    assert "helped" not in words and "480,000 learning steps" in words


def test_a_budget_that_ends_early_says_why_the_score_is_no_evidence():
    words = sentence(a_claim(ended="before confirmation"))
    assert "makes no claim: 102 is the highest of 12 candidates on the seeds that chose it" in words
    assert "reached a true score" not in words


def test_earlier_confirmations_are_told_with_their_figures():
    first = Earlier(
        number=1, trial="swing/t0", true_score=Interval(iqm=-144.9, low=-147.9, high=-135.1, seeds=5)
    )
    second = Earlier(number=2, trial="swing/t4", true_score=Interval(iqm=7.0, low=7.0, high=7.0, seeds=1))
    assert earlier_sentence(2, (first, second)) == (
        "This is confirmation 3 of the run; later champions replace earlier ones, better or not. Before it: "
        "trial t0 reached -144.9 (95 % interval -147.9 to -135.1, 5 seeds); "
        "trial t4 reached 7 (1 seed, no interval)."
    )
    assert earlier_sentence(2, (second,)).endswith("The figures of 1 earlier one were not kept.")
    assert "Before it" not in earlier_sentence(1, ())


@given(st.floats(-1e7, 1e7))
def test_numbers_read_back_to_four_digits(value):
    assert float(number(value).replace(",", "")) == pytest.approx(value, rel=1e-3)


def test_numbers_are_short():
    assert [number(x) for x in (0.0, -119.6234, 0.96123, 5819.4, 123456.7)] == [
        "0", "-119.6", "0.9612", "5819", "123,457",
    ]  # fmt: skip


@given(st.integers(1, 50), st.integers(0, 10**9), st.integers(0, 2**40))
def test_a_control_spends_the_whole_budget_less_a_remainder(k, extra, seed):
    plan = plan_control("native", k + extra, k, seed)
    assert plan.trainings == k == len(set(plan.seeds))
    assert 0 <= plan.env_steps - plan.trainings * plan.steps_each < k
    assert plan.seeds == seeds(seed, "control_train", k, "native")


def test_arms_have_their_own_seeds_and_say_who_runs_them():
    native, random = plan_controls("all", 500_000, 5, 1)
    assert (native.name, native.way, native.planner) == ("native", "trainings", None)
    assert (random.name, random.way, random.planner) == ("random", "loop", "random")
    assert native.env_steps == random.env_steps == 500_000
    assert not set(native.seeds) & set(random.seeds)
    assert not set(native.seeds) & set(seeds(1, "confirm_train", 5))


def test_the_native_arm_is_the_goals_environment_with_shipped_defaults():
    environment = EnvSpec(id="CartPole-v1")
    plan = plan_control("native", 500_003, 5, 1)
    design = native_design(plan, environment)
    assert design.steps == 100_000 and design.seeds == plan.seeds and design.start is None
    (phase,) = design.phases
    assert phase.reward is None and phase.hyperparameters == Hyperparameters()
    assert [e.environment for e in phase.environments] == [environment]


def test_the_choices_of_controls_are_closed():
    assert {choice: control_names(choice) for choice in CHOICES} == CHOICES
    with pytest.raises(ConfigError, match="native"):
        control_names("nativ")
    with pytest.raises(ConfigError):
        plan_control("best", 10, 2, 0)


@pytest.mark.parametrize(("budget", "k"), [(4, 5), (0, 1), (10, 0)])
def test_a_budget_too_small_for_the_trainings_is_refused(budget, k):
    with pytest.raises(BudgetError):
        plan_control("native", budget, k, 0)
