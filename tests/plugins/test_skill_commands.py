"""What a person does with skills: judge where the environment is the same, watch, export, remove."""

from __future__ import annotations

import pytest
from skill_samples import NAME, answer, command, settled

from experimenter.errors import EnvironmentFault
from experimenter.loop import skills
from experimenter.loop.certify import fingerprint_of
from experimenter.records import EnvSpec, Interval
from experimenter.workspace.store import Workspace
from experimenter_skills.library import FolderLibrary


@pytest.fixture(scope="module")
def now():
    return fingerprint_of(EnvSpec(id="CartPole-v1"))


@pytest.fixture
def home(tmp_path, now):
    return settled(tmp_path, now)


def changed(home, **what):
    """The same skill, certified when its environment did something else."""
    skill, _ = FolderLibrary().load(NAME, home)
    before = skill.fingerprint.model_copy(update=what)
    FolderLibrary().replace(skill.model_copy(update={"fingerprint": before}), home)


def test_changed_dynamics_are_refused_with_the_reason_until_certified_anew(home, now):
    moved = tuple((*row[:8], row[8] + 1.0, *row[9:]) for row in now.trace)
    changed(home, trace=moved)
    refused = command("judge", NAME, root=home)
    assert refused.returncode == 3
    assert "dynamics" in refused.stderr and "--recertify" in refused.stderr
    again = answer("judge", NAME, "--recertify", "--episodes", "4", root=home)
    assert "dynamics" in again["recertified"] and again["evaluation"]["success_rate"] == 1.0
    skill, _ = FolderLibrary().load(NAME, home)
    assert skill.fingerprint == now and len(skill.episodes.seeds) == 4
    assert skill.success.low < 0.6 < skill.success.high == 1.0 and skill.success.seeds == 1
    assert answer("judge", NAME, "--episodes", "1", root=home)["changes"] == []
    assert "Re-certified" in (home / "skills" / NAME / "SKILL.md").read_text()
    third = skills.recertify(home, NAME, 4, 0)
    assert not set(third.evaluation.seeds) & set(skill.episodes.seeds)


def test_other_spaces_are_refused_even_then_and_a_new_version_only_told(home):
    changed(home, versions={"gymnasium": "0.1"})
    told = answer("judge", NAME, "--episodes", "1", root=home)
    assert [change["part"] for change in told["changes"]] == ["version"]
    changed(home, action={"type": "Discrete", "n": 3, "start": 0})
    for recertify in ([], ["--recertify"]):
        refused = command("judge", NAME, *recertify, root=home)
        assert refused.returncode == 3 and "spaces" in refused.stderr and "--recertify" not in refused.stderr


def test_the_shelf_shows_the_most_reliable_first_and_names_what_is_damaged(home):
    library, (skill, folder) = FolderLibrary(), FolderLibrary().load(NAME, home)
    for name, low in (("better", 0.9), ("worse", 0.001)):
        success = Interval(iqm=0.95, low=low, high=1.0, seeds=5)
        library.keep(skill.model_copy(update={"name": name, "success": success}), folder, home)
    (home / "skills" / NAME / "skill.json").write_text("{")
    told = answer("list", root=home)
    assert [one["name"] for one in told["skills"]] == ["better", "worse"] and list(told["damaged"]) == [NAME]
    shown = command("list", root=home)
    assert shown.returncode == 0 and "damaged" in shown.stderr and "better" in shown.stdout
    answer("remove", NAME, "--yes", root=home)
    assert list(answer("list", root=home)["damaged"]) == []


def test_removing_wants_to_be_meant_and_forgets_the_row(home):
    skill, _ = FolderLibrary().load(NAME, home)
    with Workspace.open(home) as store:
        store.put_skill(skill)
    asked = command("remove", NAME, root=home)
    assert asked.returncode == 2 and "--yes" in asked.stderr and (home / "skills" / NAME).exists()
    assert answer("remove", NAME, "--yes", root=home) == {"removed": NAME}
    with Workspace.open(home, create=False) as store:
        assert store.skills() == ()
    gone = command("remove", NAME, "--yes", root=home)
    assert gone.returncode == 2 and "no skill named" in gone.stderr


@pytest.mark.parametrize("file", ["pole.onnx", "pole.pt"])
def test_the_policy_alone_is_exported_from_the_command_line(home, tmp_path, file):
    told = answer("export", NAME, tmp_path / file, root=home)
    assert told["difference"] <= 1e-5 and told["observations"] == 1000 and told["reads"] == "observation"
    assert (tmp_path / file).stat().st_size > 500
    assert command("export", NAME, tmp_path / file, root=home).returncode == 2


def test_playing_in_the_terminal_a_film_file_and_in_words(home, tmp_path):
    shown = command("play", NAME, "--terminal", "--mp4", tmp_path / "pole.mp4", root=home)
    assert shown.returncode == 0, shown.stderr
    assert "▀" in shown.stdout and "true return" in shown.stdout
    assert b"ftyp" in (tmp_path / "pole.mp4").read_bytes()[:16]
    told = command("play", NAME, root=home)
    assert "pole_angle" in told.stdout and told.returncode == 0
    wrong = command("play", NAME, "--gif", tmp_path / "pole.png", root=home)
    assert wrong.returncode == 2 and ".gif" in wrong.stderr


def test_an_unknown_skill_gets_a_did_you_mean(home):
    for words in (["show"], ["judge"], ["play"], ["export"], ["remove"]):
        given = [*words, "balance-pol", *(["x"] if words == ["export"] else [])]
        done = command(*given, root=home)
        assert done.returncode == 2 and NAME in done.stderr, words


def test_a_check_passes_where_only_versions_changed(home, now):
    skill, _ = FolderLibrary().load(NAME, home)
    skills.check(skill, skills.examine(skill, now.model_copy(update={"versions": {}})))
    with pytest.raises(EnvironmentFault, match="limit"):
        skills.check(skill, skills.examine(skill, now.model_copy(update={"limit": 7})))
