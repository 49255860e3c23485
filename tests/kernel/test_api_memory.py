"""Memory from Python: searched, carried from one workspace to another, forgotten, embedded anew."""

from __future__ import annotations

import pytest
from run_samples import whole_run
from workspace_samples import skill

from experimenter import Experimenter, records
from experimenter.errors import NotFound, UsageError
from experimenter.workspace.store import Workspace


@pytest.fixture
def lab(workspace):
    """A workspace with three lessons, one of them contradicted, and one skill's record."""
    whole_run(workspace)
    with Workspace.open(workspace) as store:
        told = records.Testimony(lesson="reach_the_flag0", trial="later/t1", agrees=False, effect=-3.0)
        store.add_lesson(store.lessons()[0], [told])
        store.put_skill(skill("balance"))
    return Experimenter("MountainCar-v0", workspace=workspace)


def test_what_is_found_is_typed_ordered_and_limited(lab):
    found = lab.memory.search("which height made the flag reachable", limit=2, kinds=("lesson",))
    assert len(found) == 2 and {one.item.kind for one in found} == {"lesson"}
    assert found[0].score >= found[1].score and found[0].nearness == 1.0
    everything = lab.memory.items()
    assert {item.kind for item in everything} == {"lesson", "skill", "method"}
    assert len(lab.memory.search("anything", limit=len(everything))) <= len(everything)


def test_anywhere_leaves_the_environment_out(lab):
    near, far = (lab.memory.search("balance", limit=50, anywhere=away) for away in (False, True))
    assert {one.nearness for one in near} != {one.nearness for one in far}
    assert len({one.nearness for one in far}) == 1


@pytest.mark.parametrize("ask", [{"kinds": ("lessons",)}, {"limit": 0}])
def test_what_memory_cannot_answer_is_refused(lab, ask):
    with pytest.raises(UsageError):
        lab.memory.search("flag", **ask)


def test_lessons_travel_with_their_testimonies(lab, tmp_path):
    assert lab.memory.export(tmp_path / "lessons.jsonl") == 3
    other = Experimenter(workspace=tmp_path / "other")
    assert other.memory.load(tmp_path / "lessons.jsonl") == 3
    assert other.memory.load(tmp_path / "lessons.jsonl") == 0
    assert other.memory.lessons() == lab.memory.lessons()
    assert other.memory.testimonies("lesson:reach_the_flag0") == lab.memory.testimonies("reach_the_flag0")
    assert len(other.memory.testimonies("reach_the_flag0")) == 1
    (tmp_path / "torn.jsonl").write_text('{"v": 1, "lesson"')
    with pytest.raises(UsageError, match="1"):
        other.memory.load(tmp_path / "torn.jsonl")


def test_the_forgotten_is_found_no_more(lab):
    assert lab.memory.forget("reach_the_flag1").id == "lesson:reach_the_flag1"
    assert lab.memory.forget("skill:balance").kind == "skill"
    assert {one.id for one in lab.memory.items(("lesson", "skill"))} == {
        "lesson:reach_the_flag0",
        "lesson:reach_the_flag2",
    }
    with pytest.raises(NotFound, match="2 items"):
        lab.memory.forget("reach")
    with pytest.raises(NotFound):
        lab.memory.forget("reach_the_flag1")
    with pytest.raises(UsageError, match="plug-in"):
        lab.memory.forget(lab.memory.items(("method",))[0].id)


def test_reindexing_counts_every_item_and_changes_no_answer(lab):
    before = lab.memory.search("reach the flag")
    assert lab.memory.reindex() == len(lab.memory.items())
    assert lab.memory.search("reach the flag") == before


def test_nothing_is_made_by_looking(tmp_path):
    lab = Experimenter(workspace=tmp_path / "none")
    for ask in (lab.memory.lessons, lab.memory.reindex, lambda: lab.memory.search("x"), lab.runs, lab.report):
        with pytest.raises(NotFound):
            ask()
    assert lab.skills.list() == () and not (tmp_path / "none").exists()
