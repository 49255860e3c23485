"""The lexical memory: what it finds, in which order, and that no question can break it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from experimenter.contracts import Memory
from experimenter.records import Lesson
from experimenter_memory.lexical import LexicalMemory, similarity

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


def a_lesson(number, sentence, environment="CartPole-v1"):
    return Lesson(
        id=f"l{number}", sentence=sentence, environment=environment, lever="reward", trials=(f"t{number}",)
    )


SPEED = a_lesson(0, "A potential on the speed taught the car to swing up the hill.", "MountainCar-v0")
KEY = a_lesson(
    1, "A small bonus for the key and the door made sparse success reachable.", "MiniGrid-DoorKey-5x5-v0"
)
ROOMS = a_lesson(2, "Two rooms first, then four, reached the last room.", "MiniGrid-MultiRoom-N4-S5-v1")
LANDING = a_lesson(3, "Punishing fuel alone made the lander crash early.", "LunarLander-v3")
OLD = a_lesson(4, "Normalised observations were needed.", "MiniGrid-DoorKey-5x5-v1")
ALL = (SPEED, KEY, ROOMS, LANDING, OLD)


def ids(lessons):
    return [lesson.id for lesson in lessons]


def test_it_keeps_the_contract():
    assert isinstance(LexicalMemory(), Memory) and LexicalMemory.contract == 1


def test_the_same_environment_comes_first_then_its_versions_then_its_family():
    found = LexicalMemory().recall("open the last door", "MiniGrid-DoorKey-5x5-v0", ALL, 10)
    assert ids(found) == ["l1", "l4", "l2"]


def test_in_an_unknown_environment_words_decide():
    assert ids(LexicalMemory().recall("save fuel while landing", "Rocket-v0", ALL, 10)) == ["l3"]
    assert ids(LexicalMemory().recall("speeds on hills", "Rocket-v0", ALL, 10))[0] == "l0"


def test_words_order_lessons_of_the_same_environment_and_later_ones_break_ties():
    same = (
        a_lesson(0, "Entropy helped."),
        a_lesson(1, "The pole fell left."),
        a_lesson(2, "The cart drifted."),
    )
    assert ids(LexicalMemory().recall("why does the pole fall", "CartPole-v1", same, 3))[0] == "l1"
    assert ids(LexicalMemory().recall("", "CartPole-v1", same, 3)) == ["l2", "l1", "l0"]


def test_the_limit_holds_and_nothing_comes_of_nothing():
    assert len(LexicalMemory().recall("door", "MiniGrid-DoorKey-5x5-v0", ALL, 2)) == 2
    assert LexicalMemory().recall("door", "MiniGrid-DoorKey-5x5-v0", ALL, 0) == ()
    assert LexicalMemory().recall("door", "MiniGrid-DoorKey-5x5-v0", (), 5) == ()
    assert LexicalMemory().recall("xylophone", "Rocket-v0", ALL, 5) == ()


def test_full_text_syntax_in_a_question_is_only_words():
    for hostile in (
        '" OR 1',
        "door NEAR(",
        "sentence:door AND",
        "NOT NOT",
        "*",
        "door*) --",
        "^door",
        "a" * 9_999,
        "\0",
    ):
        LexicalMemory().recall(hostile, "Rocket-v0", ALL, 5)
    assert ids(LexicalMemory().recall('"door" AND (xylophone', "Rocket-v0", ALL, 5)) == ["l1"]


@settings(max_examples=150, deadline=None)
@given(texts, texts, st.lists(st.tuples(texts, texts), max_size=5), st.integers(-1, 6))
def test_any_question_gets_a_repeatable_subset(words, environment, written, limit):
    lessons = [a_lesson(i, sentence, where) for i, (sentence, where) in enumerate(written)]
    found = LexicalMemory().recall(words, environment, lessons, limit)
    assert len(found) <= max(0, limit) and len(set(ids(found))) == len(found)
    assert set(ids(found)) <= set(ids(lessons))
    assert found == LexicalMemory().recall(words, environment, lessons, limit)


def test_similarity_reads_ids_as_people_do():
    assert similarity("CartPole-v1", "CartPole-v1") == 3
    assert similarity("CartPole-v1", "CartPole-v0") == 2
    assert similarity("my_module:Walk-Far-v0", "Walk-Near-v2") == 1
    assert similarity("MountainCar-v0", "MountainCarContinuous-v0") == 0
