"""The vector memory: what it finds, and that nothing stale or damaged is answered from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_samples import an_item, asking, ids, random_items, random_questions

from experimenter.contracts import Memory
from experimenter.errors import ConfigError, NotFound
from experimenter.workspace.store import Workspace
from experimenter_memory.embedders.hash import HashEmbedder
from experimenter_memory.ranking import Shelf, joined
from experimenter_memory.vector import VectorMemory


@pytest.fixture
def workspace(tmp_path):
    with Workspace.open(tmp_path / "experiments") as opened:
        yield opened


@pytest.fixture
def store(workspace):
    return workspace.vector_store("hash")


def test_it_keeps_the_contract():
    assert isinstance(VectorMemory(), Memory) and VectorMemory.contract == 1


def test_it_finds_by_meaning_and_says_why(store):
    items = (
        an_item("pole", "Balancing the pole needs small angles.", "CartPole-v1"),
        an_item("fuel", "Saving fuel made the lander crash.", "LunarLander-v3"),
    )
    (first, *_) = VectorMemory().recall(asking("the stick should stay upright"), items, store, 5)
    assert ids([first]) == ["pole"]
    assert first.score == pytest.approx(first.meaning) and first.nearness == 0.0
    (first, *_) = VectorMemory().recall(asking("burning less propellant"), items, store, 5)
    assert ids([first]) == ["fuel"]


def test_environment_and_evidence_decide_between_equal_words(store):
    items = (
        an_item("far", "A bonus for the key helped.", "Ant-v5"),
        an_item("near", "A bonus for the key helped.", "MiniGrid-DoorKey-6x6-v0"),
        an_item("same", "A bonus for the key helped.", "MiniGrid-DoorKey-5x5-v0"),
        an_item("doubted", "A bonus for the key helped.", "MiniGrid-DoorKey-5x5-v0", weight=0.1),
    )
    found = VectorMemory().recall(asking("bonus for the key", "MiniGrid-DoorKey-5x5-v0"), items, store, 5)
    assert ids(found) == ["same", "near", "far", "doubted"]
    assert found[0].score == pytest.approx((0.6 * found[0].meaning + 0.4) * 1.0, abs=1e-8)


def test_the_later_of_equals_comes_first_and_unrelated_items_do_not_come(store):
    items = (
        an_item("old", "Entropy helped."),
        an_item("new", "Entropy helped."),
        an_item("other", "Zyxwv qponm."),
    )
    assert ids(VectorMemory().recall(asking("entropy"), items, store, 5)) == ["new", "old"]
    assert VectorMemory().recall(asking("entropy"), items, store, 0) == ()
    assert VectorMemory().recall(asking("entropy"), (), store, 5) == ()
    assert VectorMemory().recall(asking(""), items, store, 5) == ()


def test_a_text_that_changed_is_embedded_again(store):
    memory, other = VectorMemory(), VectorMemory()
    assert ids(memory.recall(asking("pole"), (an_item("a", "The pole fell."),), store, 1)) == ["a"]
    changed = (an_item("a", "Fuel was saved."),)
    assert memory.recall(asking("pole"), changed, store, 1) == ()
    assert ids(other.recall(asking("fuel"), changed, store, 1)) == ["a"]
    assert len(store.marks("hash-1-1024")) == 1


def test_what_another_process_wrote_is_taken_up_and_what_was_dropped_is_made_again(store):
    memory, other = VectorMemory(), VectorMemory()
    items = random_items(30)
    first = memory.recall(asking("pole hill"), items, store, 5)
    store.drop_vectors()
    assert memory.recall(asking("pole hill"), list(items), store, 5) == first
    assert other.recall(asking("pole hill"), items, store, 5) == first


def test_damaged_vectors_in_the_truth_are_made_again_from_the_texts(workspace, store):
    items = random_items(30)
    whole = VectorMemory().recall(asking("pole hill"), items, store, 10)
    workspace._database.rows("UPDATE vectors SET vector = x'00ff' WHERE seq % 3 = 0")
    assert VectorMemory().recall(asking("pole hill"), items, store, 10) == whole
    assert all(one.vector.size == 1024 for one in store.vectors("hash-1-1024"))


def test_another_embedder_has_vectors_of_its_own_and_reindex_leaves_only_the_present_ones(workspace, store):
    items = random_items(20)
    VectorMemory().recall(asking("pole"), items, store, 5)
    store.put_vectors("gone-1-2", [])
    workspace._database.rows("UPDATE vectors SET embedder = 'hash-0-1024'")
    assert VectorMemory(index_from=None).reindex(items, store) == 20
    assert len(store.marks("hash-1-1024")) == 20 and not store.marks("hash-0-1024")


def test_an_unknown_embedder_is_named(workspace):
    with pytest.raises(NotFound, match="embedder named hush"):
        VectorMemory().recall(asking("x"), random_items(1), workspace.vector_store("hush"), 1)
    with pytest.raises(ConfigError, match="hash:7 cannot be made"):
        VectorMemory().recall(asking("x"), random_items(1), workspace.vector_store("hash:7"), 1)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(1, 12))
def test_a_scan_is_the_plain_formula(tmp_path_factory, seed, count, limit):
    items, (query,) = random_items(count, seed), random_questions(1, seed)
    with Workspace.open(tmp_path_factory.mktemp("w")) as workspace:
        found = VectorMemory(index_from=None).recall(query, items, workspace.vector_store("hash"), limit)
    embedder = HashEmbedder()
    meaning = embedder.embed([i.text for i in items]).astype(float) @ embedder.embed([query.words])[0].astype(
        float
    )
    asked = Shelf(items).asked(query)
    scores = np.where((meaning >= 0.05) | (asked.near > 0), joined(meaning, asked), 0.0)
    best = sorted((score for score in scores if score > 1e-9), reverse=True)[:limit]
    assert [one.score for one in found] == pytest.approx(best, abs=1e-6)
