"""The weight of evidence, and how near environments are: figures that a person can follow."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experimenter.knowledge import (
    lesson_items,
    lesson_weight,
    memory_items,
    method_items,
    nearness,
    skill_items,
    skill_weight,
)
from experimenter.records import EnvSpec, Interval, Lesson, Method, PolicyRef, Skill, Testimony

finite = st.floats(-1e6, 1e6)


def a_lesson(**changes):
    return Lesson(
        id="l", sentence="Small steps.", environment="MiniGrid-DoorKey-5x5-v0", lever="reward", trials=()
    ).model_copy(update=changes)


def told(*votes):
    return [Testimony(lesson="l", trial=f"r/t{i}", agrees=vote, effect=1.0) for i, vote in enumerate(votes)]


def an_interval(low, iqm, high, seeds=5):
    return Interval(iqm=iqm, low=low, high=high, seeds=seeds)


def a_skill(**changes):
    spec = EnvSpec(id="CartPole-v1")
    base = Skill(
        name="stand-up",
        description="Stands up",
        environment=spec,
        environment_hash=spec.hash,
        policy=PolicyRef(path="skills/stand-up", hash="0" * 32, lineage_steps=1),
        judge="return",
        score=an_interval(20, 21, 22),
    )
    return base.model_copy(update=changes)


def test_every_contradiction_lowers_and_every_agreement_raises_the_weight():
    alone = lesson_weight(a_lesson())
    assert lesson_weight(a_lesson(), told(False)) < alone < lesson_weight(a_lesson(), told(True))
    assert lesson_weight(a_lesson(), told(False, False)) < lesson_weight(a_lesson(), told(False))
    assert lesson_weight(a_lesson(), told(True, True)) > lesson_weight(a_lesson(), told(True))


def test_more_seeds_and_narrower_intervals_weigh_more_and_give_way_more_slowly():
    few, many = a_lesson(interval=an_interval(9, 10, 11, 3)), a_lesson(interval=an_interval(9, 10, 11, 10))
    wide = a_lesson(interval=an_interval(0, 10, 20, 10))
    assert lesson_weight(a_lesson()) < lesson_weight(few) < lesson_weight(many)
    assert lesson_weight(wide) < lesson_weight(many)
    kept = [lesson_weight(one, told(False, False)) / lesson_weight(one) for one in (few, many)]
    assert kept[0] < kept[1]


def test_what_others_say_about_another_lesson_does_not_count():
    other = [one.model_copy(update={"lesson": "another"}) for one in told(False, False)]
    assert lesson_weight(a_lesson(), other) == lesson_weight(a_lesson())
    (item,) = lesson_items([a_lesson()], [*other, *told(False)])
    assert item.weight == lesson_weight(a_lesson(), told(False))


@given(finite, finite, finite, st.integers(1, 1000), st.lists(st.booleans(), max_size=300))
def test_a_weight_stays_above_zero_and_at_most_one(low, iqm, high, seeds, votes):
    interval = an_interval(low, iqm, high, seeds)
    assert 0 < lesson_weight(a_lesson(interval=interval), told(*votes)) <= 1
    assert 0 < skill_weight(a_skill(score=interval)) <= 1
    assert 0 < skill_weight(a_skill(success=interval)) <= 1


def test_a_skill_weighs_what_it_surely_succeeds():
    assert skill_weight(a_skill(success=an_interval(0.8, 0.9, 0.95))) == 0.8
    assert skill_weight(a_skill(success=an_interval(0.0, 0.1, 0.2))) == 0.01
    assert skill_weight(a_skill(success_rate=1.0)) == pytest.approx(0.566, abs=1e-3)
    assert skill_weight(a_skill(score=an_interval(1, 10, 19))) < skill_weight(a_skill())


def test_items_say_what_they_are_and_where_they_come_from():
    method = Method(name="gated", description="Counts late.", kind="reward", when="Use it late.", hook="a:B")
    lesson, skill, way = memory_items([a_lesson()], (), [a_skill()], [method])
    assert (lesson.id, skill.id, way.id) == ("lesson:l", "skill:stand-up", "method:gated")
    assert lesson.spec == EnvSpec(id="MiniGrid-DoorKey-5x5-v0") and way.spec is None
    assert "Door Key" in lesson.text and "Cart Pole" in skill.text and "Use it late" in way.text
    assert (lesson, skill, way) == (
        *lesson_items([a_lesson()]),
        *skill_items([a_skill()]),
        *method_items([method]),
    )


def near(one, other, ones=None, others=None):
    return nearness(EnvSpec(id=one, kwargs=ones or {}), EnvSpec(id=other, kwargs=others or {}))


def test_nearness_falls_from_the_same_to_the_unrelated():
    door = "MiniGrid-DoorKey-5x5-v0"
    steps = [
        near(door, door),
        near(door, door, {"size": 5}, {"size": 6}),
        near(door, "MiniGrid-DoorKey-5x5-v1"),
        near(door, "MiniGrid-DoorKey-6x6-v0"),
        near(door, "MiniGrid-Empty-5x5-v0"),
        near(door, "CartPole-v1"),
    ]
    assert steps[0] == 1.0 and steps[-1] == 0.0
    assert steps == sorted(steps, reverse=True) and len(set(steps)) == len(steps)


def test_sizes_in_names_are_read_as_sizes():
    assert near("MiniGrid-MultiRoom-N2-S4-v0", "MiniGrid-MultiRoom-N4-S5-v0") == 0.65
    assert near("MiniGrid-KeyCorridorS3R1-v0", "MiniGrid-KeyCorridorS4R3-v0") == 0.65
    assert near("MountainCar-v0", "MountainCarContinuous-v0") == 0.5
    assert near("ALE/Pong-v5", "ALE/Breakout-v5") == 0.3
    assert near("Hopper-v5", "Walker2d-v5") == 0.0


def test_a_parameter_that_agrees_brings_nearer():
    assert near("P-v1", "P-v1", {"g": 1, "m": 2}, {"g": 1, "m": 3}) > near("P-v1", "P-v1", {"g": 1}, {"g": 2})
    assert near("my_module:P-v1", "P-v1") == 1.0


names = st.text(st.characters(categories=["L", "N", "P"]), max_size=20)


@given(
    names,
    names,
    st.dictionaries(names, st.integers(), max_size=3),
    st.dictionaries(names, st.integers(), max_size=3),
)
def test_nearness_is_bounded_and_the_same_from_both_sides(one, other, ones, others):
    assert 0.0 <= near(one, other, ones, others) <= 1.0
    assert near(one, other, ones, others) == near(other, one, others, ones)
    assert near(one, one, ones, ones) == 1.0
