"""``experimenter memory``: found, shown, carried and forgotten from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from workspace_samples import a_testimony, lesson, opened, skill

from experimenter.cli import main
from experimenter.workspace.store import Workspace


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "experiments"
    other = lesson("lesson_1").model_copy(
        update={"sentence": "Save fuel.\x1b[2J", "environment": "LunarLander-v3"}
    )
    with opened(folder, "one") as store:
        store.finish_step("one", "a", "note", {}, lesson=lesson(), skill=skill(), testimonies=[a_testimony()])
        store.finish_step("one", "b", "note", {}, lesson=other)
    return folder


def told(capsys: pytest.CaptureFixture[str], *words: object, code: int = 0) -> str:
    assert main(["memory", *map(str, words)]) == code
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return captured.out if code == 0 else captured.err


def test_search_finds_by_other_words_and_by_environment(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = json.loads(told(capsys, "search", "burn less propellant", "--workspace", root, "--json"))
    assert found[0]["id"] == "lesson:lesson_1" and found[0]["meaning"] > 0.1
    near = told(
        capsys,
        "search",
        "anything",
        "--env",
        "CartPole-v1",
        "--kind",
        "lesson",
        "--workspace",
        root,
        "--json",
    )
    first = json.loads(near)[0]
    assert (first["id"], first["nearness"]) == ("lesson:lesson_0", 1.0)
    assert json.loads(
        told(capsys, "search", "stand", "--kind", "skill", "--limit", 1, "--workspace", root, "--json")
    )
    table = told(capsys, "search", "save fuel", "--workspace", root)
    assert "lesson:lesson_1" in table and "\x1b[2J" not in table


def test_list_and_show_give_the_evidence(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed = json.loads(told(capsys, "list", "--workspace", root, "--json"))
    assert [one["id"] for one in listed][:3] == ["lesson:lesson_0", "lesson:lesson_1", "skill:stand-up"]
    assert "skill:stand-up" in told(capsys, "list", "--workspace", root)
    shown = json.loads(told(capsys, "show", "lesson_0", "--workspace", root, "--json"))
    assert shown["testimonies"] == [a_testimony().model_dump(mode="json")]
    assert "later/trial_3 agrees (effect +2.5)" in told(
        capsys, "show", "lesson:lesson_0", "--workspace", root
    )
    assert "true score 21.5" in told(capsys, "show", "stand", "--workspace", root)
    assert "means 2 items" in told(capsys, "show", "lesson_", "--workspace", root, code=2)
    assert "Did you mean lesson:lesson_1" in told(
        capsys, "show", "lesson:lessen_1", "--workspace", root, code=2
    )


def test_reindex_makes_the_vectors_of_the_embedder_that_is_named(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = json.loads(told(capsys, "reindex", "--workspace", root, "--json"))
    assert facts["embedder"] == "hash" and facts["items"] >= 3
    with Workspace.open(root) as store:
        assert len(store.vector_store("hash").marks("hash-1-1024")) == facts["items"]
    assert "no embedder named hush" in told(
        capsys, "reindex", "--embedder", "hush", "--workspace", root, code=2
    )


def test_lessons_travel_and_a_damaged_file_takes_nothing_in(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, there = tmp_path / "lessons.jsonl", tmp_path / "there"
    told(capsys, "export", "--output", file, "--workspace", root)
    assert told(capsys, "export", "--workspace", root) == file.read_text()
    told(capsys, "import", file, "--workspace", there)
    assert json.loads(told(capsys, "import", file, "--workspace", there, "--json"))["changes"] == 0
    with Workspace.open(root) as old, Workspace.open(there) as new:
        assert (old.lessons(), old.testimonies()) == (new.lessons(), new.testimonies())
    file.write_text(file.read_text() + '{"v":1,"lesson":{}}\n')
    fresh = tmp_path / "fresh"
    assert "line 3: lesson.id: Field required" in told(capsys, "import", file, "--workspace", fresh, code=2)
    assert not fresh.exists()


def test_forgetting_is_said_and_final(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told(capsys, "forget", "lesson_0", "--workspace", root)
    assert (
        json.loads(told(capsys, "forget", "stand-up", "--workspace", root, "--json"))["forgotten"]
        == "skill:stand-up"
    )
    left = {one["kind"]: one["id"] for one in json.loads(told(capsys, "list", "--workspace", root, "--json"))}
    assert "skill" not in left
    assert "holds nothing named lesson_0" in told(capsys, "forget", "lesson_0", "--workspace", root, code=2)
    method = left["method"]
    assert "came with a plug-in" in told(capsys, "forget", method, "--workspace", root, code=2)


def test_without_a_workspace_it_says_how_to_begin(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no workspace" in told(capsys, "list", "--workspace", tmp_path / "none", code=2)
    assert "none is named" in told(capsys, "search", "x", "--set", "size=3", "--workspace", tmp_path, code=2)
