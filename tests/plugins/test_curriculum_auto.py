"""``auto`` starts with the native design and then changes one lever of the champion at a time."""

from __future__ import annotations

import pytest

from experimenter.envs.records import EnvCard, Parameter
from experimenter.errors import ExperimenterError
from experimenter.planners.random import RandomPlanner
from experimenter.planners.search.planner import SearchPlanner
from experimenter.questions import Attempt, ChooseLever, HyperparameterChoices, LeverChoice, Refusal
from experimenter.records import Design
from experimenter.rl.defaults import default_hyperparameters, default_network
from experimenter.rl.offpolicy.settings import check_agreed
from experimenter.testing import ScriptedPlanner, ask_of, check_curriculum, example_card, example_view
from experimenter_curricula.auto import Auto

LEVERS = ("reward", "hyperparameters", "environment")


def card() -> EnvCard:
    spaces = {
        "observation_space": {
            "type": "Box",
            "shape": [3],
            "dtype": "float32",
            "low": [-1.0] * 3,
            "high": [1.0] * 3,
        },
        "action_space": {"type": "Discrete", "n": 3, "start": 0},
    }
    size = Parameter(name="size", type="int", default=8, low=4, high=16)
    return example_card().model_copy(update={**spaces, "parameters": (size,)})


def view(**changes):
    return example_view(card()).model_copy(update=changes)


def pulling(lever):
    """The search planner with its choice of lever scripted."""
    search = SearchPlanner()
    kinds = ("write_rewards", "choose_hyperparameters", "design_environments")
    choice = LeverChoice(lever=lever, reason="scripted")
    return ask_of(ScriptedPlanner({"choose_lever": choice, **{kind: search.answer for kind in kinds}}))


def native() -> Design:
    task = Auto().propose(view(), pulling("reward"))
    return Auto().design(task, view(), pulling("reward"))[0]


def designed(lever, now):
    task = Auto().propose(now, pulling(lever))
    return task, Auto().design(task, now, pulling(lever))


@pytest.mark.parametrize("planner", [SearchPlanner(), RandomPlanner()], ids=lambda p: p.name)
def test_auto_keeps_the_contract(planner) -> None:
    check_curriculum(Auto(), planner, view())


def test_the_first_cycle_is_the_native_design_with_shipped_defaults() -> None:
    task = Auto().propose(view(), pulling("reward"))
    designs = Auto().design(task, view(), pulling("reward"))
    assert (task.lever, len(designs)) == ("native", 1)
    phase = designs[0].phases[0]
    assert phase.reward is None
    assert phase.hyperparameters == default_hyperparameters(card())
    assert designs[0].network == default_network(card())


@pytest.mark.parametrize("lever", LEVERS)
@pytest.mark.parametrize("with_champion", [False, True])
def test_later_cycles_change_one_lever_only(lever, with_champion) -> None:
    base = native().with_steps(30_000)
    now = view(
        cycle=1, champion=base if with_champion else None, champion_trial="t0" if with_champion else None
    )
    task, designs = designed(lever, now)
    assert task.name == f"{lever}_1"
    assert task.lever == lever
    assert len(designs) == now.max_designs
    fields = {"reward": "reward", "hyperparameters": "hyperparameters", "environment": "environments"}
    before = native().phases[0].model_dump()
    for design in designs:
        after = design.phases[0].model_dump()
        assert [name for name in after if after[name] != before[name]] == [fields[lever]]
        assert design.network == native().network
        assert design.parent == ("t0" if with_champion else None)


@pytest.mark.parametrize("planner", [SearchPlanner(), RandomPlanner()], ids=lambda p: p.name)
@pytest.mark.parametrize("algorithm", ["sac", "dqn"])
def test_the_settings_of_a_replay_buffer_are_a_lever_too(algorithm, planner) -> None:
    """From the algorithm's own defaults; what is proposed differs in those settings alone, and agrees with itself."""
    now = view(algorithm=algorithm)
    base = Auto().design(Auto().propose(now, pulling("reward")), now, pulling("reward"))[0]
    assert base.phases[0].off_policy is not None
    later = view(algorithm=algorithm, cycle=1, champion=base, champion_trial="t0")
    task = Auto().propose(later, pulling("hyperparameters"))
    designs = Auto().design(task, later, ask_of(planner))
    assert task.lever == "hyperparameters" and len(designs) == later.max_designs
    assert len({design.hash for design in (*designs, base)}) == len(designs) + 1
    for design in designs:
        check_agreed(design)
        assert design.network == base.network and design.algorithm == algorithm
        assert design.phases[0].reward == base.phases[0].reward
        assert design.phases[0].off_policy != base.phases[0].off_policy


def test_a_planner_that_answers_with_settings_of_another_kind_is_told_so() -> None:
    now = view(algorithm="dqn")
    base = Auto().design(Auto().propose(now, pulling("reward")), now, pulling("reward"))[0]
    later = view(algorithm="dqn", cycle=1, champion=base, champion_trial="t0")
    answer = HyperparameterChoices(choices=(base.phases[0].hyperparameters,))
    task = Auto().propose(later, pulling("hyperparameters"))
    with pytest.raises(ExperimenterError, match="another kind of algorithm"):
        Auto().design(task, later, ask_of(ScriptedPlanner({"choose_hyperparameters": answer})))


def test_the_champion_of_one_lever_is_kept_by_the_next() -> None:
    _, shaped = designed("reward", view(cycle=1, champion=native()))
    _, tuned = designed("hyperparameters", view(cycle=2, champion=shaped[0], champion_trial="t1"))
    assert {d.phases[0].reward for d in tuned} == {shaped[0].phases[0].reward}


def test_environments_are_available_only_with_parameters() -> None:
    asked: list[ChooseLever] = []

    def choose(question):
        asked.append(question)
        return LeverChoice(lever="reward", reason="")

    ask = ask_of(ScriptedPlanner({"choose_lever": choose}))
    Auto().propose(view(cycle=1), ask)
    bare = card().model_copy(update={"parameters": ()})
    Auto().propose(view(cycle=1, card=bare), ask)
    assert ["environment" in question.available for question in asked] == [True, False]


def test_what_was_just_refused_is_not_offered_again_and_nothing_left_is_out_of_ideas() -> None:
    asked: list[ChooseLever] = []

    def choose(question):
        asked.append(question)
        return LeverChoice(lever=question.available[0], reason="scripted")

    ask = ask_of(ScriptedPlanner({"choose_lever": choose}))
    tasks = [Auto().propose(view(cycle=1 + n, refused=LEVERS[:n]), ask) for n in range(len(LEVERS) + 1)]
    assert [task and task.lever for task in tasks] == [*LEVERS, None]
    assert [question.available for question in asked] == [LEVERS, LEVERS[1:], LEVERS[2:]]


def test_a_failed_reward_is_repaired_and_another_lever_given_up() -> None:
    now = view(cycle=1, champion=native())
    task, designs = designed("reward", now)
    repaired = Auto().repair(designs[0], "component holds NaN", task, now, pulling("reward"))
    assert repaired.phases[0].reward != designs[0].phases[0].reward
    assert repaired.name == designs[0].name
    assert repaired.steps == designs[0].steps
    task, designs = designed("hyperparameters", now)
    assert Auto().repair(designs[0], "the environment died", task, now, pulling("hyperparameters")) is None


def test_an_answer_of_the_wrong_type_is_named() -> None:
    task, _ = designed("reward", view(cycle=1))
    with pytest.raises(ExperimenterError, match="Refusal where RewardPrograms"):
        Auto().design(task, view(cycle=1), lambda question: Refusal(reason="no"))


def test_the_journal_reaches_the_planner() -> None:
    """What was tried is not proposed again in the next cycle of the same lever."""
    _, first = designed("reward", view(cycle=1, champion=native()))
    phase = first[0].phases[0]
    history = tuple(
        Attempt(
            trial="t1",
            cycle=1,
            lever="reward",
            environments=phase.environments,
            reward=design.phases[0].reward,
            hyperparameters=phase.hyperparameters,
            steps=1000,
            true_return=-90.0,
        )
        for design in first
    )
    _, second = designed("reward", view(cycle=2, champion=native(), history=history))
    tried = {design.phases[0].reward.source for design in first}
    assert tried.isdisjoint({design.phases[0].reward.source for design in second})
