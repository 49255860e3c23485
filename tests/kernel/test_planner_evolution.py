"""Evolution builds on what scored, mends what was diagnosed, never repeats, and beats uniform draws."""

from __future__ import annotations

import numpy as np
import pytest
from cards import CARDS, goal_of, still

from experimenter.planners.random import RandomPlanner
from experimenter.planners.search.evolution import mended
from experimenter.planners.search.grammar import Shaping, Term, parse
from experimenter.planners.search.planner import SearchPlanner
from experimenter.planners.search.render import program
from experimenter.planners.search.vocabulary import NATIVE, speed, vocabulary
from experimenter.questions import Attempt, RewardPrograms, WriteRewards
from experimenter.records import Diagnosis, Fault, Hyperparameters, RewardProgram, WeightedEnv

CARD = CARDS["mountain_car"]


def attempt(reward, score, cycle=1, reach=0.0, **changes):
    return Attempt(
        trial=f"t{cycle}",
        cycle=cycle,
        lever="reward",
        environments=(WeightedEnv(environment=CARD.spec),),
        reward=reward,
        hyperparameters=Hyperparameters(),
        steps=10_000,
        true_return=score,
        reach=reach,
        **changes,
    )


def ask(planner, card=CARD, count=8, history=(), seed=0, **changes):
    goal = goal_of(card)
    answer = planner.answer(
        WriteRewards(goal=goal, card=card, count=count, history=tuple(history), seed=seed, **changes)
    )
    assert isinstance(answer, RewardPrograms)
    return answer.programs


def tree(reward: RewardProgram) -> Shaping:
    found = parse(reward.source)
    assert found is not None
    return found


def worth(reward: RewardProgram) -> float:
    """A made-up objective: a gain in speed of the right size helps, every other term costs a little."""
    best = -200.0
    for term in tree(reward).shaping_terms:
        if term.kind == "potential" and term.features == ("velocity",) and term.measure.kind == "away":
            best = max(best, -110.0 - 30.0 * abs(np.log10(max(abs(term.weight), 1e-3) / 60.0)))
    return best - 5.0 * max(0, len(tree(reward).shaping_terms) - 1)


def search(planner, seed, rounds=5, count=6):
    history = []
    for cycle in range(rounds):
        programs = ask(planner, count=count, history=history, seed=seed + cycle)
        history += [attempt(p, worth(p), cycle) for p in programs]
    return max(a.true_return for a in history), history


def test_evolution_beats_uniform_draws_on_a_synthetic_objective() -> None:
    found = [search(SearchPlanner(), seed)[0] for seed in range(5)]
    drawn = [search(RandomPlanner(), seed)[0] for seed in range(5)]
    assert np.mean(found) > np.mean(drawn) + 5
    first = max(worth(p) for p in ask(SearchPlanner(), count=6))
    assert np.mean(found) > first


@pytest.mark.parametrize("name", CARDS)
def test_nothing_is_ever_tried_twice(name) -> None:
    card, history, keys = CARDS[name], [], []
    rng = np.random.default_rng(0)
    for cycle in range(6):
        programs = ask(SearchPlanner(), card, 8, history, seed=cycle)
        assert len(programs) == 8
        keys += [tree(p).key for p in programs]
        history += [attempt(p, float(rng.normal(-150, 30)), cycle) for p in programs]
    assert len(set(keys)) == len(keys)


def test_planning_is_a_pure_function_of_the_question() -> None:
    _, history = search(SearchPlanner(), 0, rounds=2)
    assert ask(SearchPlanner(), history=history, seed=5) == ask(SearchPlanner(), history=history, seed=5)
    assert ask(SearchPlanner(), history=history, seed=5) != ask(SearchPlanner(), history=history, seed=6)


def test_level_true_scores_are_ranked_by_reach() -> None:
    first = ask(SearchPlanner(), count=8)
    history = [attempt(p, -200.0, reach=0.9 if i == 3 else 0.1) for i, p in enumerate(first)]
    born = [p for seed in range(8) for p in ask(SearchPlanner(), history=history, seed=seed) if p.parents]
    counts = [sum(parent.hash in child.parents for child in born) for parent in first]
    assert max(counts) == counts[3]
    assert counts[3] > 2 * np.mean(counts)


def test_faults_are_mended() -> None:
    words = vocabulary(CARD)
    flooding = words.dense(speed(words.roles.speeds[0]), 1.0)
    dead = words.potential(speed(words.roles.positions[0]), 1.0)
    shaping = words.shaping(flooding, dead)
    faults = (
        Fault(name="flooding", detail="", component=flooding.name),
        Fault(name="dead component", detail="", component=dead.name),
        Fault(name="constant component", detail="", component="native"),
    )
    after = mended(shaping, Diagnosis(faults=faults))
    assert [t.name for t in after.terms] == ["native", flooding.name]
    assert after.terms[1].weight == pytest.approx(0.2 * flooding.weight)
    hacked = mended(shaping, Diagnosis(faults=(Fault(name="reward hacking", detail=""),)))
    assert [t.weight < old.weight for t, old in zip(hacked.terms, shaping.terms, strict=True)] == [
        False,
        True,
        True,
    ]


def test_a_first_time_bonus_that_never_fired_is_kept() -> None:
    words = vocabulary(CARDS["door_key"])
    later = words.first(words.roles.firsts[-1], 0.2)
    shaping = words.shaping(words.first(words.roles.firsts[0], 0.2), later)
    fault = Fault(name="dead component", detail="", component=later.name)
    assert mended(shaping, Diagnosis(faults=(fault,))) == shaping


def test_repair_drops_the_component_that_the_error_names() -> None:
    words = vocabulary(CARD)
    good, bad = words.dense(speed(words.roles.speeds[0]), 0.5), words.bare("ending", 0.5)
    failed = program(words.shaping(good, bad))
    repaired = ask(SearchPlanner(), failed=failed, error=f"component {bad.name} holds NaN", count=1)
    assert len(repaired) == 1
    assert [t.name for t in tree(repaired[0]).terms] == ["native", good.name]
    assert repaired[0].parents == (failed.hash,)


@pytest.mark.parametrize("planner", [SearchPlanner(), RandomPlanner()])
def test_repair_of_a_foreign_or_minimal_program_still_answers(planner) -> None:
    foreign = RewardProgram(name="f", source="def reward(t):\n    return {'a': t.native_reward}\n")
    minimal = program(Shaping.of(NATIVE, Term("time", "survival", -1.0)))
    for failed in (foreign, minimal):
        repaired = ask(planner, failed=failed, error="ValueError: time", count=1)
        assert len(repaired) == 1
        assert tree(repaired[0]).shaping_terms


def test_a_hidden_judge_is_served_by_preference_alone() -> None:
    goal = goal_of(CARD, judge_visibility="hidden")
    first = SearchPlanner().answer(WriteRewards(goal=goal, card=CARD, count=4))
    history = tuple(attempt(p, None, best=i == 2) for i, p in enumerate(first.programs))
    second = SearchPlanner().answer(WriteRewards(goal=goal, card=CARD, count=8, history=history, seed=1))
    assert all("native" not in p.source for p in (*first.programs, *second.programs))
    assert any(first.programs[2].hash in p.parents for p in second.programs)


BALLS = {"carrying_ball", "ever_carrying_ball"}


def spoken(programs) -> set[str]:
    return {name for program in programs for term in tree(program).terms for name in term.features}


@pytest.mark.parametrize("planner", [SearchPlanner(), RandomPlanner()], ids=lambda p: p.name)
def test_what_cannot_vary_is_in_no_program_and_what_can_is(planner) -> None:
    plain, card = CARDS["door_key"], still(CARDS["door_key"], ["carrying_ball"])
    seeds = range(6)
    assert BALLS & spoken(p for seed in seeds for p in ask(planner, card=plain, seed=seed, count=12))
    found = spoken(p for seed in seeds for p in ask(planner, card=card, seed=seed, count=12))
    assert found
    assert not BALLS & found


def test_children_and_repairs_leave_out_what_their_parents_said_of_the_impossible() -> None:
    card = still(CARDS["door_key"], ["carrying_ball"])
    words = vocabulary(CARDS["door_key"])
    ball, key = (words.first(card.feature(f"ever_carrying_{thing}"), 0.5) for thing in ("ball", "key"))
    mixed, only = program(words.shaping(ball, key)), program(words.shaping(ball))
    history = [attempt(mixed, 0.9, 1), attempt(only, 0.5, 2)]
    for seed in range(6):
        children = ask(SearchPlanner(), card=card, history=history, seed=seed, count=12)
        assert not BALLS & spoken(children)
        assert {mixed.hash} & {parent for child in children for parent in child.parents}
    for failed in (mixed, only):
        error = "TypeError in component first_carrying_key"
        assert not BALLS & spoken(ask(SearchPlanner(), card=card, failed=failed, error=error))
