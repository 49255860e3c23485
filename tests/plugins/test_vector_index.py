"""The index: whole, damaged, another's or absent, it never changes an answer, and it is made anew."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from filelock import FileLock
from memory_samples import WORDS, an_item, answers, asking, random_items, random_questions

from experimenter.contracts import NewVector
from experimenter.workspace.store import Workspace
from experimenter_memory.chroma import ChromaIndex
from experimenter_memory.folder import FOLDER, LOCK
from experimenter_memory.owner import IndexProcess
from experimenter_memory.vector import VectorMemory


@pytest.fixture
def workspace(tmp_path):
    with Workspace.open(tmp_path / "experiments") as opened:
        yield opened


@pytest.fixture
def store(workspace):
    return workspace.vector_store("hash")


@pytest.fixture
def indexed():
    memory = VectorMemory(index_from=1)
    yield memory
    memory.close()


def test_index_and_scan_give_the_same_top_ten(store, indexed):
    items, questions = random_items(1_500), random_questions(60)
    scanned = answers(VectorMemory(index_from=None), items, store, questions)
    assert indexed.index_ready(store)
    routes = set()
    for query, expected in zip(questions, scanned, strict=True):
        assert indexed.recall(query, items, store, 10) == expected
        routes.add((bool(query.words), indexed.last_route))
    assert routes == {(True, "index"), (False, "scan")}
    more = (*items, *(an_item(f"n{i}", f"novel {w} {i}") for i, w in enumerate(WORDS)))
    expected = answers(VectorMemory(index_from=None), more, store, questions[:10])
    assert indexed.index_ready(store)
    assert answers(indexed, more, store, questions[:10]) == expected


def _deleted(folder):
    shutil.rmtree(folder)


def _garbled(folder):
    rng = np.random.default_rng(0)
    for file in folder.rglob("*"):
        if file.is_file() and file.name != "manifest.json":
            file.write_bytes(rng.bytes(file.stat().st_size))


def _flipped(folder):
    """One byte in the middle of one file: what a checksum sees and a library may not."""
    largest = max(
        (file for file in folder.rglob("*") if file.is_file()), key=lambda file: file.stat().st_size
    )
    raw = bytearray(largest.read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    largest.write_bytes(raw)


def _without_manifest(folder):
    (folder / "manifest.json").unlink()


def _a_file(folder):
    shutil.rmtree(folder)
    folder.write_text("no folder")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A workspace with an index that was closed properly, to be copied and damaged."""
    root = tmp_path_factory.mktemp("built") / "experiments"
    with Workspace.open(root) as workspace:
        store, memory = workspace.vector_store("hash"), VectorMemory(index_from=1)
        expected = answers(memory, random_items(400), store, random_questions(6))
        assert memory.index_ready(store)
        memory.close()
    return root, expected


@pytest.mark.parametrize("damage", [_deleted, _garbled, _flipped, _without_manifest, _a_file])
def test_a_damaged_folder_changes_no_answer_and_is_made_anew(built, tmp_path, indexed, damage):
    root, expected = built
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    damage(copy / FOLDER)
    with Workspace.open(copy) as workspace:
        store, items, questions = workspace.vector_store("hash"), random_items(400), random_questions(6)
        assert answers(indexed, items, store, questions) == expected
        assert indexed.index_ready(store)
        indexed.close()
        assert (copy / FOLDER / "manifest.json").exists()
        again = VectorMemory(index_from=1)
        assert again.index_ready(store)
        assert answers(again, items, store, questions) == expected
        assert again.last_route == "index"
        again.close()


def test_an_index_that_was_closed_is_used_again(built, tmp_path, indexed):
    root, expected = built
    shutil.copytree(root, tmp_path / "copy")
    with Workspace.open(tmp_path / "copy") as workspace:
        store = workspace.vector_store("hash")
        indexed.recall(asking("pole"), random_items(400), store, 1)
        assert indexed.index_ready(store)
        assert answers(indexed, random_items(400), store, random_questions(6)) == expected


def test_an_index_of_another_embedder_is_thrown_away(built, tmp_path, indexed):
    root, expected = built
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    with Workspace.open(copy) as workspace:
        store, items, questions = workspace.vector_store("hash"), random_items(400), random_questions(6)
        _index_of_another_embedder(store)
        assert _embedder_of(copy) == "other-1-1024"
        assert answers(indexed, items, store, questions) == expected
        assert indexed.index_ready(store)
        assert answers(indexed, items, store, questions) == expected
        indexed.close()
        assert _embedder_of(copy) == "hash-1-1024"


def _index_of_another_embedder(store):
    """The same texts with vectors that say something else, indexed and closed in good order."""
    mine = store.vectors("hash-1-1024")
    turned = [NewVector(one.item, one.text_hash, one.vector[::-1]) for one in mine]
    store.put_vectors("other-1-1024", turned)
    process = IndexProcess(store.root, "other-1-1024", 1024)
    assert process.settled(store.marks("other-1-1024")[-1].seq, 60)
    process.close()


def _embedder_of(root):
    return json.loads((root / FOLDER / "manifest.json").read_text())["embedder"]


def test_an_index_that_outgrows_its_coarse_graph_gets_a_finer_one(store, tmp_path):
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((60, 8)).astype("f4")
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = [NewVector(f"lesson:{i}", f"text {i}", vector) for i, vector in enumerate(vectors)]
    store.put_vectors("e-1", rows[:20])
    index = ChromaIndex(tmp_path / "chroma", "e-1", 8, store, few=40)
    _follow(index)
    coarse = _carefulness(index)
    store.put_vectors("e-1", rows[20:])
    _follow(index)
    assert index.fit and _carefulness(index) > coarse
    assert {name for name, _ in index.nearest(rows[0].vector, 60)} == {row.text_hash for row in rows}
    index.close()


def _follow(index):
    while index.advance():
        pass


def _carefulness(index):
    return index._collection.configuration_json["hnsw"]["ef_construction"]


def test_an_index_newer_or_older_than_the_truth_is_brought_in_line(built, tmp_path, indexed):
    root, _ = built
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    items, questions = random_items(500, seed=9), random_questions(6)
    with Workspace.open(copy) as workspace:
        store = workspace.vector_store("hash")
        store.drop_vectors()
        expected = answers(VectorMemory(index_from=None), items, store, questions)
        assert indexed.index_ready(store)
        assert answers(indexed, items, store, questions) == expected


def test_where_another_process_owns_the_index_everyone_else_scans(built, tmp_path, indexed):
    root, expected = built
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    with Workspace.open(copy) as workspace:
        store = workspace.vector_store("hash")
        with FileLock(str(copy / LOCK)):
            assert not indexed.index_ready(store)
            assert answers(indexed, random_items(400), store, random_questions(6)) == expected
            assert indexed.last_route == "scan"
        assert _until(lambda: indexed.index_ready(store))
        assert answers(indexed, random_items(400), store, random_questions(6)) == expected


def test_a_folder_that_vanishes_or_a_process_that_dies_under_way_is_survived(built, tmp_path, indexed):
    root, expected = built
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    with Workspace.open(copy) as workspace:
        store, items, questions = workspace.vector_store("hash"), random_items(400), random_questions(6)
        assert indexed.index_ready(store)
        _garbled(copy / FOLDER)
        assert answers(indexed, items, store, questions) == expected
        process = indexed._session(store)._index._process
        if process is not None:
            process.kill()
        assert answers(indexed, items, store, questions) == expected
        assert _until(lambda: indexed.index_ready(store))
        shutil.rmtree(copy / FOLDER)
        assert answers(indexed, items, store, questions) == expected


def _until(holds, tries=10):
    return any(holds() for _ in range(tries))
