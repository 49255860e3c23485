"""Testimonies, vectors, and lessons that come and go by a person's wish."""

from __future__ import annotations

import numpy as np
import pytest
from workspace_samples import a_testimony, design, lesson, opened, skill

from experimenter.contracts import NewVector, VectorStore
from experimenter.errors import NotFound, UsageError
from experimenter.records import PolicyRef
from experimenter.workspace.lines import lesson_lines, read_lesson_lines
from experimenter.workspace.store import Workspace


@pytest.fixture
def store(tmp_path):
    with opened(tmp_path / "experiments", "one") as workspace:
        yield workspace


def a_vector(item, value=1.0, text="t"):
    return NewVector(item, text, np.array([value, 0.0], dtype=np.float32))


def test_a_trial_testifies_once_and_in_the_steps_own_transaction(store):
    assert store.finish_step("one", "a", "conclude", {}, lesson=lesson(), testimonies=[a_testimony()])
    assert not store.finish_step("one", "a", "conclude", {}, testimonies=[a_testimony(trial_id="x/y")])
    assert store.testimonies() == (a_testimony(),)
    store.finish_step("one", "b", "conclude", {}, testimonies=[a_testimony(agrees=False)])
    assert store.testimonies() == (a_testimony(agrees=False),)


def test_a_step_that_fails_leaves_no_testimony(store):
    with pytest.raises(Exception, match="FOREIGN KEY"):
        store.finish_step("no_such_run", "a", "conclude", {}, testimonies=[a_testimony()])
    assert store.testimonies() == ()


def test_numbers_of_vectors_only_grow(store):
    vectors = store.vector_store("hash")
    holds: VectorStore = vectors
    holds.put_vectors("e-1", [a_vector("lesson:a"), a_vector("lesson:b")])
    last = vectors.marks("e-1")[-1].seq
    vectors.drop_vectors("e-1")
    vectors.put_vectors("e-1", [a_vector("lesson:a", 0.5)])
    (again,) = vectors.vectors("e-1")
    assert again.seq > last and again.vector.tolist() == [0.5, 0.0]
    vectors.put_vectors("e-1", [a_vector("lesson:a", 0.25, "other text")])
    (newer,) = vectors.vectors("e-1", after=again.seq)
    assert newer.seq > again.seq and newer.text_hash == "other text"
    assert [mark.seq for mark in vectors.marks("e-1")] == [newer.seq]


def test_vectors_of_one_embedder_are_not_anothers(store):
    vectors = store.vector_store("hash")
    vectors.put_vectors("e-1", [a_vector("lesson:a"), a_vector("lesson:b")])
    vectors.put_vectors("e-2", [a_vector("lesson:a", 0.5)])
    assert [one.item for one in vectors.vectors_of("e-1", ["lesson:b", "lesson:none"])] == ["lesson:b"]
    vectors.drop_vectors(items=["lesson:a"])
    assert [one.item for one in vectors.vectors("e-1")] == ["lesson:b"] and not vectors.vectors("e-2")


@pytest.mark.parametrize("blob", [b"odd", b"\xff\xff\xff\xff\x00\x00\x00\x00", "text", None])
def test_a_damaged_vector_is_read_as_none_at_all(store, blob):
    vectors = store.vector_store("hash")
    vectors.put_vectors("e-1", [a_vector("lesson:a")])
    store._database.rows("UPDATE vectors SET vector = CASE WHEN ?1 IS NULL THEN '' ELSE ?1 END", (blob,))
    (found,) = vectors.vectors("e-1")
    assert found.vector.size == 0


@pytest.mark.parametrize("blob", [b"odd", b"\xff\xff\xff\xff\x00\x00\x00\x00", "text", b"longer than it"])
def test_a_block_holds_the_whole_vectors_of_many_rows_and_counts_the_damaged_ones(store, blob):
    vectors = store.vector_store("hash")
    vectors.put_vectors("e-1", [a_vector(f"lesson:{i}", i / 8, f"text {i}") for i in range(6)])
    numbers = [mark.seq for mark in vectors.marks("e-1")]
    store._database.rows("UPDATE vectors SET vector = ? WHERE item IN ('lesson:1', 'lesson:3')", (blob,))
    first = vectors.block("e-1", 2, 0, 4)
    assert (first.seq, first.items, first.text_hashes) == (
        numbers[3],
        ("lesson:0", "lesson:2"),
        ("text 0", "text 2"),
    )
    assert first.vectors.tolist() == [[0.0, 0.0], [0.25, 0.0]]
    second = vectors.block("e-1", 2, first.seq, 4)
    assert (second.seq, second.items) == (numbers[5], ("lesson:4", "lesson:5"))
    assert vectors.block("e-1", 2, second.seq, 4) is None
    assert vectors.block("e-1", 3, 0, 4).items == ()


def test_numbers_too_large_to_be_squared_are_whole_all_the_same(store):
    vectors = store.vector_store("hash")
    vectors.put_vectors("e-1", [a_vector("lesson:a", 3e38), a_vector("lesson:b")])
    assert vectors.block("e-1", 2, 0, 9).items == ("lesson:a", "lesson:b")


def test_forgetting_takes_testimonies_and_vectors_along(store):
    store.finish_step("one", "a", "note", {}, lesson=lesson(), skill=skill(), testimonies=[a_testimony()])
    vectors = store.vector_store("hash")
    vectors.put_vectors("e-1", [a_vector("lesson:lesson_0"), a_vector("skill:stand-up")])
    store.forget_lesson("lesson_0")
    assert (store.lessons(), store.testimonies()) == ((), ())
    assert [mark.item for mark in vectors.marks("e-1")] == ["skill:stand-up"]
    store.forget_skill("stand-up")
    assert store.skills() == () and not vectors.marks("e-1")
    with pytest.raises(NotFound, match="no lesson lesson_0"):
        store.forget_lesson("lesson_0")
    with pytest.raises(NotFound, match="no skill stand-up"):
        store.forget_skill("stand-up")


def test_lessons_travel_with_their_testimonies_and_arrive_once(store, tmp_path):
    store.finish_step("one", "a", "note", {}, lesson=lesson(), testimonies=[a_testimony()])
    file = tmp_path / "lessons.jsonl"
    file.write_text("\n".join(lesson_lines(store.lessons(), store.testimonies())) + "\n\n")
    with Workspace.open(tmp_path / "elsewhere") as other:
        for expected in (2, 0):
            lines = read_lesson_lines(file)
            assert (
                other.add_lessons([x.lesson for x in lines], [t for x in lines for t in x.testimonies])
                == expected
            )
        assert (other.lessons(), other.testimonies()) == (store.lessons(), store.testimonies())


def test_a_known_lesson_is_never_overwritten_and_nothing_is_half_taken(store):
    assert store.add_lesson(lesson())
    changed = lesson().model_copy(update={"sentence": "The opposite."})
    with pytest.raises(UsageError, match="Another lesson lesson_0"):
        store.add_lessons([lesson("fresh"), changed])
    assert store.lessons() == (lesson(),)


def test_every_refused_line_is_named_and_nothing_is_read(tmp_path):
    good = next(lesson_lines([lesson()], [a_testimony()]))
    outside = design().model_copy(
        update={"start": PolicyRef(path="../../etc", hash="0" * 32, lineage_steps=1)}
    )
    bad = {
        2: "{" * 100_000,
        3: "\x00\xff",
        4: good.replace('"v":1', '"v":2'),
        5: good.replace("small angles pay", "NaN").replace('"effect":2.5', '"effect":NaN'),
        6: good.replace('"lesson":"lesson_0"', '"lesson":"another"'),
        7: next(lesson_lines([lesson().model_copy(update={"sentence": " "})], [])),
        8: next(lesson_lines([lesson("\x1b[2J")], [])),
        9: next(lesson_lines([lesson().model_copy(update={"design": outside})], [])),
        10: good.replace("small angles pay", "\\ud800"),
        11: next(lesson_lines([lesson().model_copy(update={"sentence": "twice"})], [])),
    }
    file = tmp_path / "lessons.jsonl"
    file.write_text("\n".join([good, *bad.values()]), encoding="latin-1", errors="replace")
    with pytest.raises(UsageError) as caught:
        read_lesson_lines(file)
    for number in range(2, 11):
        assert f"line {number}: " in caught.value.message
    assert "Nothing was taken" in caught.value.hint
    file.write_text(good + "\n" + bad[11])
    with pytest.raises(UsageError, match="stands there twice"):
        read_lesson_lines(file)
    with pytest.raises(UsageError, match="cannot be read"):
        read_lesson_lines(tmp_path / "absent")
