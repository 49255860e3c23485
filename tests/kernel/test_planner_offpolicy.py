"""Settings of algorithms that learn from a replay buffer, as planners choose them; PPO's stand beside."""

from __future__ import annotations

import json

import numpy as np
import pytest
from cards import CARDS, goal_of
from pydantic import ValidationError
from test_planner_questions import PLANNER, PLANNERS, attempt

from experimenter.planners.random import RandomPlanner
from experimenter.questions import ChooseHyperparameters, HyperparameterChoices, Reflect, Refusal
from experimenter.records import Hyperparameters, OffPolicySettings

OFF_POLICY = {
    "sac": (CARDS["pendulum"], OffPolicySettings()),
    "dqn": (CARDS["mountain_car"], OffPolicySettings.dqn()),
}


def choose_off_policy(algorithm, planner=PLANNER, count=6, steps=20_000, history=(), seed=0, base=None):
    card, usual = OFF_POLICY[algorithm]
    question = ChooseHyperparameters(
        card=card, algorithm=algorithm, base=Hyperparameters(), count=count, steps=steps,
        history=tuple(history), seed=seed, off_policy=base or usual,
    )  # fmt: skip
    again = ChooseHyperparameters.model_validate_json(question.model_dump_json())
    answer = planner.answer(question)
    assert answer == planner.answer(again) and answer.choices == ()
    assert type(answer).model_validate_json(answer.model_dump_json()) == answer
    return answer.off_policy


@pytest.mark.parametrize("algorithm", sorted(OFF_POLICY))
def test_settings_of_a_replay_buffer_are_chosen_as_those_of_ppo_are(algorithm) -> None:
    """Published ones first, none twice, and all of them leave most of the steps for learning."""
    card, usual = OFF_POLICY[algorithm]
    history, seen = [], [usual]
    for cycle in range(4):
        choices = choose_off_policy(algorithm, history=history, seed=cycle)
        assert len(choices) == 6
        assert all(
            c.learning_starts <= 5_000 and 16 * c.rollout <= 20_000 and c.updates >= 1 for c in choices
        )
        seen += choices
        history += [
            attempt(card, "hyperparameters", f"t{cycle}", -300.0 + 1e4 * c.learning_rate, off_policy=c)
            for c in choices
        ]
    assert len(set(seen)) == len(seen)
    first = {"sac": {"learning_rate": 1e-3, "train_freq": 32}, "dqn": {"gamma": 0.98, "train_freq": 16}}
    assert first[algorithm].items() <= seen[1].model_dump().items()
    assert choose_off_policy(algorithm, seed=1) != choose_off_policy(algorithm, seed=2)


@pytest.mark.parametrize("algorithm", sorted(OFF_POLICY))
def test_tpe_learns_off_policy_settings_from_the_journal(algorithm) -> None:
    """Scores reward a small learning rate and long horizons; later asks come closer to that than uniform ones."""
    card = OFF_POLICY[algorithm][0]

    def score(choice):
        return -300 - 60 * abs(np.log10(choice.learning_rate / 3e-4)) - (0 if choice.gamma == 0.999 else 30)

    history = []
    for cycle in range(8):
        choices = choose_off_policy(algorithm, history=history, seed=cycle)
        history += [attempt(card, "hyperparameters", f"t{cycle}", score(c), off_policy=c) for c in choices]
    late = np.mean([a.true_return for a in history[-12:]])
    drawn = [c for seed in range(8) for c in choose_off_policy(algorithm, RandomPlanner(), seed=seed)]
    assert late > np.mean([score(c) for c in drawn]) + 5


def test_settings_of_an_algorithm_that_nobody_here_knows_are_refused() -> None:
    question = ChooseHyperparameters(
        card=CARDS["pendulum"], algorithm="td9", base=Hyperparameters(), count=2, steps=1000,
        off_policy=OffPolicySettings(),
    )  # fmt: skip
    for planner in PLANNERS:
        answer = planner.answer(question)
        assert isinstance(answer, Refusal) and "td9" in answer.reason


def test_what_has_no_off_policy_settings_is_written_as_it_always_was() -> None:
    """So that stored questions and answers keep their ids."""
    question = ChooseHyperparameters(
        card=CARDS["pendulum"], algorithm="ppo", base=Hyperparameters(), count=2, steps=50_000,
        history=(attempt(CARDS["pendulum"], "native", "t0", -400.0),),
    )  # fmt: skip
    answer = PLANNER.answer(question)
    for written in (question.model_dump(mode="json"), answer.model_dump(mode="json")):
        assert "off_policy" not in json.dumps(written)
    assert set(answer.model_dump(mode="json")) == {"v", "choices"}
    with pytest.raises(ValidationError, match="hyperparameters or of off-policy settings"):
        HyperparameterChoices()


def test_a_lesson_names_the_off_policy_settings_that_changed() -> None:
    card, base = OFF_POLICY["sac"]
    tuned = base.model_copy(update={"learning_rate": 1e-3, "ent_coef": 0.1})
    question = Reflect(
        goal=goal_of(card), card=card, lever="hyperparameters", effect=120.0,
        attempts=(attempt(card, "hyperparameters", "t1", -200.0, 120.0, off_policy=tuned),),
        baseline=attempt(card, "native", "t0", -320.0, off_policy=base),
    )  # fmt: skip
    assert "learning_rate 0.001, ent_coef 0.1" in str(PLANNER.answer(question).sentence)
