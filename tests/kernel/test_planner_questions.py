"""Both built-in planners answer every kind of question, and each answer of the search planner makes sense."""

from __future__ import annotations

import numpy as np
import pytest
from cards import CARDS, any_card, goal_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experimenter.planners.random import RandomPlanner
from experimenter.planners.search.hyperparameters import fitted
from experimenter.planners.search.planner import SearchPlanner
from experimenter.questions import (
    Attempt,
    ChooseHyperparameters,
    ChooseLever,
    Decompose,
    DesignEnvironments,
    ProposeTasks,
    RankRollouts,
    ReadCurve,
    Reflect,
    Refusal,
    RolloutSummary,
    SkillSummary,
    WriteSuccessTest,
)
from experimenter.records import CurvePoint, Diagnosis, Fault, Hyperparameters, WeightedEnv
from experimenter.testing import ScriptedPlanner, check_planner

PLANNERS = [SearchPlanner(), RandomPlanner()]
PLANNER = SearchPlanner()


def attempt(card, lever, trial, score=None, effect=None, **changes):
    given = {"hyperparameters": Hyperparameters(), "steps": 1000, "best": True, **changes}
    given.setdefault("environments", (WeightedEnv(environment=card.spec),))
    return Attempt(trial=trial, cycle=1, lever=lever, reward=None, true_return=score, effect=effect, **given)


@pytest.mark.parametrize("planner", PLANNERS, ids=lambda p: p.name)
@pytest.mark.parametrize("name", CARDS)
def test_planners_keep_their_contract(planner, name) -> None:
    check_planner(planner, CARDS[name])


@given(card=any_card())
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_planners_keep_their_contract_on_any_card(card) -> None:
    for planner in PLANNERS:
        check_planner(planner, card)


def test_the_contract_check_notices_an_impure_planner() -> None:
    class Moody(SearchPlanner):
        asked = 0

        def answer(self, question):
            self.asked += 1
            return super().answer(question.model_copy(update={"seed": self.asked}))

    with pytest.raises(AssertionError, match="same answer"):
        check_planner(Moody())


def test_a_scripted_planner_follows_its_script_and_refuses_the_rest() -> None:
    wanted = PLANNER.answer(ChooseLever(card=CARDS["pendulum"], available=("reward",)))
    planner = ScriptedPlanner({"choose_lever": wanted, "read_curve": lambda q: PLANNER.answer(q)})
    assert planner.answer(ChooseLever(card=CARDS["door_key"], available=("reward",))) == wanted
    assert planner.answer(ReadCurve(points=())).state == "too short"
    goal = goal_of(CARDS["door_key"])
    assert isinstance(planner.answer(ProposeTasks(goal=goal, card=CARDS["door_key"])), Refusal)
    with pytest.raises(ValueError, match="no such question"):
        ScriptedPlanner({"choose_levers": wanted})


# hyperparameters


def choose(card, count=6, steps=100_000, history=(), seed=0, base=None):
    base = base or Hyperparameters()
    question = ChooseHyperparameters(
        card=card, algorithm="ppo", base=base, count=count, steps=steps, history=tuple(history), seed=seed
    )
    answer = PLANNER.answer(question)
    assert answer == PLANNER.answer(question)
    return answer.choices


def test_presets_come_first_and_follow_the_kind_of_card() -> None:
    assert choose(CARDS["cart_pole"])[0].gamma == 0.98
    assert choose(CARDS["pendulum"])[0].gamma == 0.9
    assert choose(CARDS["door_key"], base=Hyperparameters(gamma=0.95))[0].gamma == 0.99


def test_no_setting_is_ever_asked_twice_and_all_fit() -> None:
    card, history, seen = CARDS["mountain_car"], [], []
    for cycle in range(5):
        choices = choose(card, 6, 20_000, history, cycle)
        assert len(choices) == 6
        for choice in choices:
            assert choice.minibatch_size <= choice.rollout
            assert choice.rollout % choice.minibatch_size == 0
            assert choice.rollout * 8 <= 20_000
        seen += choices
        history += [
            attempt(card, "hyperparameters", f"t{cycle}", -200.0 + 1e4 * c.learning_rate, hyperparameters=c)
            for c in choices
        ]
    assert len(set(seen)) == len(seen)


def test_tpe_learns_from_the_journal() -> None:
    """Scores reward a small learning rate and long horizons; later asks must be closer to that than uniform ones."""
    card, rng = CARDS["mountain_car"], np.random.default_rng(0)

    def score(choice):
        return -200 - 40 * abs(np.log10(choice.learning_rate / 3e-4)) - (0 if choice.gamma == 0.999 else 30)

    history = []
    for cycle in range(8):
        choices = choose(card, 6, 100_000, history, cycle)
        history += [
            attempt(card, "hyperparameters", f"t{cycle}", score(c), hyperparameters=c) for c in choices
        ]
    late = np.mean([a.true_return for a in history[-12:]])
    uniform = np.mean(
        [
            score(
                RandomPlanner()
                .answer(
                    ChooseHyperparameters(
                        card=card,
                        algorithm="ppo",
                        base=Hyperparameters(),
                        count=1,
                        steps=100_000,
                        seed=int(rng.integers(1e6)),
                    )
                )
                .choices[0]
            )
            for _ in range(60)
        ]
    )
    assert late > uniform + 10


@given(
    st.sampled_from([4, 8, 16, 64]),
    st.sampled_from([16, 512, 4096]),
    st.integers(8, 4096),
    st.integers(256, 10**6),
)
def test_settings_always_fit_into_the_steps(num_envs, num_steps, minibatch, steps) -> None:
    made = fitted(Hyperparameters(num_envs=num_envs, num_steps=num_steps, minibatch_size=minibatch), steps)
    assert made.minibatch_size <= made.rollout
    assert made.rollout * 8 <= steps or made.num_steps <= 16


# environments


def test_mixtures_keep_half_the_weight_for_the_target() -> None:
    card, history = CARDS["door_key"], []
    for cycle in range(3):
        answer = PLANNER.answer(
            DesignEnvironments(card=card, target=card.spec, count=4, history=tuple(history), seed=cycle)
        )
        for mixture in answer.mixtures:
            total = sum(w.weight for w in mixture)
            assert mixture[0].environment == card.spec
            assert mixture[0].weight >= total / 2
            for other in mixture[1:]:
                assert other.environment.kwargs
                assert 5 <= other.environment.kwargs.get("size", 8) <= 16
                assert isinstance(other.environment.kwargs.get("size", 8), int)
            history.append(
                attempt(card, "environment", f"t{cycle}", 0.3, environments=mixture, success_rate=0.4)
            )
    keys = [tuple(w.model_dump_json() for w in a.environments) for a in history]
    assert len(set(keys)) == len(keys) == 12


@pytest.mark.parametrize("planner", PLANNERS, ids=lambda p: p.name)
def test_without_parameters_environments_are_refused(planner) -> None:
    card = CARDS["mountain_car"]
    answer = planner.answer(DesignEnvironments(card=card, target=card.spec, count=2))
    assert isinstance(answer, Refusal)
    assert card.spec.id in answer.reason


def test_tasks_are_the_target_and_its_neighbours_without_known_skills() -> None:
    card = CARDS["door_key"]
    question = ProposeTasks(goal=goal_of(card), card=card, count=4)
    tasks = PLANNER.answer(question).tasks
    assert tasks[0].environment == card.spec
    assert len({t.name for t in tasks}) == 4
    known = question.model_copy(update={"skills": ("target",)})
    assert all(t.name != "target" for t in PLANNER.answer(known).tasks)


# curves


def curve(values, target=None):
    points = tuple(CurvePoint(steps=1000 * (i + 1), true_return=v) for i, v in enumerate(values))
    return PLANNER.answer(ReadCurve(points=points, target=target))


def test_curves_are_read_by_their_tail() -> None:
    rng = np.random.default_rng(1)
    rising = curve([10.0 * i + rng.normal() for i in range(12)])
    assert (rising.state, rising.keep_training) == ("improving", True)
    assert rising.low < 10 < rising.high
    assert curve([-200.0] * 12).state == "stuck"
    assert not curve([-200.0] * 12).keep_training
    assert curve([0, 50, 90, *(100 + rng.normal(size=12))]).state == "converged"
    assert curve([0, 50, 100, 110, 105, 20, 10, 5, 8, 6]).state == "collapsed"
    assert curve([1.0, 2.0]).state == "too short"
    assert curve([0, 100, 200, 300, 400, 500], target=450).state == "converged"


# levers


def lever(card, history=(), available=("reward", "hyperparameters", "environment")):
    return PLANNER.answer(ChooseLever(card=card, available=available, history=tuple(history))).lever


def test_flat_or_sparse_rewards_are_shaped_first_and_dense_ones_tuned() -> None:
    for name in ("mountain_car", "door_key"):
        card = CARDS[name]
        native = attempt(card, "native", "t0", card.random.return_mean)
        assert lever(card, [native]) == "reward"
    assert lever(CARDS["pendulum"], [attempt(CARDS["pendulum"], "native", "t0", -400.0)]) == "hyperparameters"


def test_an_untried_lever_is_preferred_over_a_useless_one_and_a_useful_one_over_both() -> None:
    card = CARDS["mountain_car"]
    useless = [attempt(card, "reward", f"t{i}", -200.0, 0.0) for i in range(3)]
    assert lever(card, useless) == "hyperparameters"
    useful = [
        attempt(card, "reward", "t1", -120.0, 80.0),
        attempt(card, "hyperparameters", "t2", -121.0, -1.0),
    ]
    assert lever(card, useful) == "reward"


def test_environments_are_offered_only_where_there_are_parameters() -> None:
    assert lever(CARDS["mountain_car"], available=("environment", "hyperparameters")) == "hyperparameters"
    assert lever(CARDS["door_key"], available=("environment",)) == "environment"


# lessons, skills, rollouts, success tests


def test_lessons_name_lever_effect_and_faults() -> None:
    card = CARDS["mountain_car"]
    fault = Fault(name="flooding", detail="", component="speed_velocity")
    tuned = Hyperparameters(gamma=0.9)
    best = attempt(
        card,
        "hyperparameters",
        "t1",
        -120.0,
        80.0,
        diagnosis=Diagnosis(faults=(fault,)),
        hyperparameters=tuned,
    )
    native = attempt(card, "native", "t0", -200.0)
    failed = attempt(card, "hyperparameters", "t1", error="loss is NaN")
    question = Reflect(
        goal=goal_of(card),
        card=card,
        lever="hyperparameters",
        attempts=(best, failed),
        baseline=native,
        effect=80.0,
    )
    answer = PLANNER.answer(question)
    for words in ("gamma 0.9", "raised", "80", "-120", "flooding of speed_velocity", "1 of 2 failed"):
        assert words in answer.sentence
    assert answer.keep_skill
    assert "-120" in answer.skill_description
    missed = PLANNER.answer(question.model_copy(update={"target": -110.0}))
    assert not missed.keep_skill
    lucky = PLANNER.answer(question.model_copy(update={"repeated": False}))
    assert "not trained again" in lucky.sentence and "raised" not in lucky.sentence
    assert not lucky.keep_skill
    nothing = PLANNER.answer(question.model_copy(update={"effect": 1.0}))
    assert "none of 1" in nothing.sentence
    assert not nothing.keep_skill
    hopeless = PLANNER.answer(question.model_copy(update={"attempts": (failed,)}))
    assert "loss is NaN" in hopeless.sentence


def test_decomposition_chains_backwards_or_names_the_gap() -> None:
    skills = (
        SkillSummary(name="open_door", requires=("key",), gives=("open",)),
        SkillSummary(name="pick_key", requires=("near_key",), gives=("key",)),
        SkillSummary(name="walk", gives=("near_key",)),
    )
    found = PLANNER.answer(Decompose(wanted=("open", "key"), skills=skills))
    assert found.skills == ("walk", "pick_key", "open_door")
    assert found.gap is None
    assert PLANNER.answer(Decompose(wanted=("open",), skills=skills[:2])).gap == "near_key"
    assert PLANNER.answer(Decompose(wanted=("open",), have=("open",), skills=skills)).skills == ()
    circle = (
        SkillSummary(name="a", requires=("y",), gives=("x",)),
        SkillSummary(name="b", requires=("x",), gives=("y",)),
    )
    assert PLANNER.answer(Decompose(wanted=("x",), skills=circle)).gap is not None


def test_rankings_follow_the_hidden_score_with_the_set_share_of_errors() -> None:
    rollouts = tuple(RolloutSummary(id=f"r{i}", hidden_score=i) for i in range(6))
    assert PLANNER.answer(RankRollouts(rollouts=rollouts)).order == ("r5", "r4", "r3", "r2", "r1", "r0")
    pair = rollouts[:2]
    wrong = sum(
        PLANNER.answer(RankRollouts(rollouts=pair, error_rate=0.2, seed=s)).order[0] == "r0"
        for s in range(1000)
    )
    assert 160 <= wrong <= 240


@pytest.mark.parametrize("planner", PLANNERS, ids=lambda p: p.name)
def test_a_success_test_is_refused_with_the_way_out(planner) -> None:
    card = CARDS["pendulum"]
    answer = planner.answer(WriteSuccessTest(goal=goal_of(card), card=card))
    assert isinstance(answer, Refusal)
    assert "--judge" in answer.reason


def test_a_reflection_says_that_a_lead_was_not_repeated_only_where_it_was_not() -> None:
    card = CARDS["pendulum"]
    question = Reflect(goal=goal_of(card), card=card, lever="reward", attempts=(), effect=1.0)
    assert "repeated" not in question.model_dump(mode="json")
    again = question.model_copy(update={"repeated": False})
    assert Reflect.model_validate(again.model_dump(mode="json")) == again
