"""The lexical memory: what it finds, in which order, and that no question can break it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_samples import an_item, asking, ids

from experimenter.contracts import Memory
from experimenter.workspace.store import Workspace
from experimenter_memory.lexical import LexicalMemory

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)

SPEED = an_item("speed", "A potential on the speed taught the car to swing up the hill.", "MountainCar-v0")
KEY = an_item(
    "key", "A small bonus for the key and the door made success reachable.", "MiniGrid-DoorKey-5x5-v0"
)
ROOMS = an_item("rooms", "Two rooms first, then four, reached the last room.", "MiniGrid-MultiRoom-N4-S5-v1")
LANDING = an_item("landing", "Punishing fuel alone made the lander crash early.", "LunarLander-v3")
OLD = an_item("old", "Normalised observations were needed.", "MiniGrid-DoorKey-5x5-v1")
ALL = (SPEED, KEY, ROOMS, LANDING, OLD)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with Workspace.open(tmp_path_factory.mktemp("w") / "experiments") as workspace:
        yield workspace.vector_store("hash")


def test_it_keeps_the_contract(store):
    assert isinstance(LexicalMemory(), Memory) and LexicalMemory.contract == 1
    assert LexicalMemory().reindex(ALL, store) == 5


def test_the_same_environment_comes_first_then_its_versions_then_its_family(store):
    found = LexicalMemory().recall(
        asking("needed", "MiniGrid-DoorKey-5x5-v0"), (KEY, ROOMS, LANDING), store, 10
    )
    assert ids(found) == ["key", "rooms"]
    assert ids(LexicalMemory().recall(asking("", "MiniGrid-DoorKey-5x5-v0"), ALL, store, 10)) == [
        "key",
        "old",
        "rooms",
    ]


def test_without_an_environment_words_decide(store):
    assert ids(LexicalMemory().recall(asking("save fuel while landing"), ALL, store, 10)) == ["landing"]
    assert ids(LexicalMemory().recall(asking("speeds on hills", "Rocket-v0"), ALL, store, 10))[0] == "speed"


def test_words_order_items_of_the_same_environment_and_later_ones_break_ties(store):
    same = tuple(
        an_item(str(i), text, "CartPole-v1")
        for i, text in enumerate(("Entropy helped.", "The pole fell left.", "The cart drifted."))
    )
    assert (
        ids(LexicalMemory().recall(asking("why does the pole fall", "CartPole-v1"), same, store, 3))[0] == "1"
    )
    assert ids(LexicalMemory().recall(asking("", "CartPole-v1"), same, store, 3)) == ["2", "1", "0"]


def test_the_limit_holds_and_nothing_comes_of_nothing(store):
    door = asking("door", "MiniGrid-DoorKey-5x5-v0")
    assert len(LexicalMemory().recall(door, ALL, store, 2)) == 2
    assert LexicalMemory().recall(door, ALL, store, 0) == ()
    assert LexicalMemory().recall(door, (), store, 5) == ()
    assert LexicalMemory().recall(asking("xylophone", "Rocket-v0"), ALL, store, 5) == ()


def test_full_text_syntax_in_a_question_is_only_words(store):
    for hostile in (
        '" OR 1',
        "door NEAR(",
        "text:door AND",
        "NOT NOT",
        "*",
        "door*) --",
        "^door",
        "a" * 9_999,
        "\0",
    ):
        LexicalMemory().recall(asking(hostile, "Rocket-v0"), ALL, store, 5)
    assert ids(LexicalMemory().recall(asking('"door" AND (xylophone'), ALL, store, 5)) == ["key"]


@settings(max_examples=150, deadline=None)
@given(texts, texts, st.lists(st.tuples(texts, texts), max_size=5), st.integers(-1, 6))
def test_any_question_gets_a_repeatable_subset(store, words, environment, written, limit):
    items = [an_item(str(i), text, where) for i, (text, where) in enumerate(written)]
    found = LexicalMemory().recall(asking(words, environment), items, store, limit)
    assert len(found) <= max(0, limit) and len(set(ids(found))) == len(found)
    assert {one.item.id for one in found} <= {item.id for item in items}
    assert found == LexicalMemory().recall(asking(words, environment), items, store, limit)
