"""Opening a workspace: made, migrated after a backup, refused by name, and never a traceback for damage."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from workspace_samples import a_testimony, lesson, opened, run_record, skill, trial

from experimenter.errors import NotFound, WorkspaceError
from experimenter.identity import step_id
from experimenter.workspace.schema import MIGRATIONS
from experimenter.workspace.store import FILE, Workspace

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
REPOSITORY = FIXTURES.parent.parent
NEXT = (*MIGRATIONS, ("ALTER TABLE lessons ADD COLUMN weight REAL NOT NULL DEFAULT 1.5",))


def pragma(root: Path, name: str) -> object:
    connection = sqlite3.connect(root / FILE)
    try:
        return connection.execute(f"PRAGMA {name}").fetchone()[0]
    finally:
        connection.close()


def change(root: Path, sql: str, *values: object) -> None:
    connection = sqlite3.connect(root / FILE)
    with connection:
        connection.execute(sql, values)
    connection.close()


def test_a_new_workspace_is_durable_and_has_the_current_format(workspace: Path) -> None:
    with Workspace.open(workspace) as opened_workspace:
        database = opened_workspace._database
        assert database.row("PRAGMA journal_mode") == ("wal",)
        assert database.pragma("synchronous") == 2
        assert database.pragma("foreign_keys") == 1
        assert database.pragma("busy_timeout") == 30_000
        assert database.pragma("user_version") == len(MIGRATIONS)


def test_opening_twice_changes_nothing(workspace: Path) -> None:
    opened(workspace, "one").close()
    with Workspace.open(workspace, create=False) as again:
        assert [run.id for run in again.runs()] == ["one"]


def test_a_missing_workspace_is_not_made_by_a_viewer(workspace: Path) -> None:
    with pytest.raises(NotFound, match="no workspace") as caught:
        Workspace.open(workspace, create=False)
    assert "experimenter run" in caught.value.hint
    assert not workspace.exists()


def test_migration_goes_forward_after_a_backup(workspace: Path) -> None:
    with opened(workspace, "one") as first:
        first.finish_step("one", "s", "remember", {}, lesson=lesson())
    with Workspace.open(workspace, migrations=NEXT) as migrated:
        assert migrated.lessons() == (lesson(),)
        assert migrated._database.row("SELECT weight FROM lessons") == (1.5,)
    assert pragma(workspace, "user_version") == len(NEXT)
    backup = workspace / f"workspace.sqlite.format{len(MIGRATIONS)}.backup"
    kept = sqlite3.connect(backup)
    assert kept.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    assert kept.execute("SELECT id FROM lessons").fetchall() == [(lesson().id,)]
    kept.close()


def test_a_migration_that_fails_leaves_the_old_format_whole(workspace: Path) -> None:
    opened(workspace, "one").close()
    broken = (*MIGRATIONS, ("CREATE TABLE extra (x)", "ALTER TABLE nothing ADD COLUMN x"))
    with pytest.raises(WorkspaceError, match=r"workspace\.sqlite"):
        Workspace.open(workspace, migrations=broken)
    with Workspace.open(workspace) as again:
        assert [run.id for run in again.runs()] == ["one"]
        assert again._database.row("SELECT 1 FROM sqlite_master WHERE name = 'extra'") is None


def test_a_newer_workspace_is_refused_by_name(workspace: Path) -> None:
    Workspace.open(workspace, migrations=NEXT).close()
    words = rf"newer release \(format {len(NEXT)}; this one reads up to {len(MIGRATIONS)}\)"
    with pytest.raises(WorkspaceError, match=words) as caught:
        Workspace.open(workspace)
    assert str(workspace / FILE) in caught.value.message
    assert "pip install --upgrade rl-experimenter" in caught.value.hint


def test_another_programs_file_is_refused_and_left_alone(workspace: Path) -> None:
    workspace.mkdir()
    change(workspace, "CREATE TABLE theirs (x)")
    before = (workspace / FILE).read_bytes()
    with pytest.raises(WorkspaceError, match="another program"):
        Workspace.open(workspace)
    change(workspace, f"PRAGMA user_version = {len(MIGRATIONS)}")
    with pytest.raises(WorkspaceError, match="another program"):
        Workspace.open(workspace)
    assert len((workspace / FILE).read_bytes()) == len(before)


def _garbage(path: Path) -> None:
    path.write_bytes(b"this is no database at all, " * 200)


def _torn_header(path: Path) -> None:
    raw = path.read_bytes()
    path.write_bytes(b"\0" * 100 + raw[100:])


def _torn_schema(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[100:4096] = b"\xab" * 3996
    path.write_bytes(raw)


@pytest.mark.parametrize("harm", [_garbage, _torn_header, _torn_schema])
def test_a_damaged_file_is_named_with_the_command_that_helps(workspace: Path, harm: object) -> None:
    opened(workspace, "one").close()
    harm(workspace / FILE)  # type: ignore[operator]
    with pytest.raises(WorkspaceError, match="is damaged") as caught:
        Workspace.open(workspace)
    assert f"mv '{workspace / FILE}'" in caught.value.hint
    (workspace / FILE).rename(workspace / "workspace.sqlite.damaged")
    with Workspace.open(workspace) as again:
        assert again.runs() == ()


def test_damage_in_the_middle_is_found_when_it_is_read(workspace: Path) -> None:
    with opened(workspace, "one") as first:
        for i in range(400):
            first.finish_step("one", f"s{i:04}", "note", "x" * 500)
    path = workspace / FILE
    raw = bytearray(path.read_bytes())
    raw[8192:] = b"\xff" * (len(raw) - 8192)
    path.write_bytes(raw)
    with pytest.raises(WorkspaceError, match="is damaged"), Workspace.open(workspace) as again:
        for i in range(400):
            again.step(f"s{i:04}")


def test_a_file_or_a_folder_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    for root in (tmp_path / "taken", tmp_path / "taken" / "below"):
        with pytest.raises(WorkspaceError, match="is a file, and a folder is needed"):
            Workspace.open(root)
    (tmp_path / "odd" / FILE).mkdir(parents=True)
    with pytest.raises(WorkspaceError, match="is a folder, and a file is needed"):
        Workspace.open(tmp_path / "odd")
    assert (tmp_path / "taken").read_text() == "mine"


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that every user of the machine may enter."""
    folder = Path(tempfile.mkdtemp(prefix="experimenter-"))
    folder.chmod(0o755)
    yield folder
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)
    shutil.rmtree(folder)


ORDINARY = """
import os, sys
sys.path.insert(0, {repository!r})
from pathlib import Path
from experimenter.errors import WorkspaceError
from experimenter.workspace.store import Workspace
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
try:
    Workspace.open(Path({root!r}))
except WorkspaceError as error:
    print(error)
"""


def as_ordinary_user(root: Path) -> str:
    """What an ordinary user is told who opens ``root``; root itself may write anywhere."""
    code = ORDINARY.format(repository=str(REPOSITORY), root=str(root))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_unwritable_folder_or_file_is_refused_at_once(public_folder: Path) -> None:
    root = public_folder / "experiments"
    opened(root, "one").close()
    (root / FILE).chmod(0o444)
    root.chmod(0o555)
    assert f"The folder {root} cannot be written. Give yourself write access" in as_ordinary_user(root)
    public_folder.chmod(0o555)
    assert "Permission denied. Give yourself write access" in as_ordinary_user(public_folder / "another")
    root.chmod(0o777)
    assert f"{root / FILE} cannot be written" in as_ordinary_user(root)


def test_a_full_disk_is_said_and_what_was_finished_stays(workspace: Path) -> None:
    with opened(workspace, "one") as full:
        full.finish_step("one", "early", "note", 1)
        pages = full._database.pragma("page_count")
        full._database.rows(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(WorkspaceError, match="No space is left") as caught:
            full.finish_step("one", "late", "note", "x" * 1_000_000)
        assert "experimenter resume" in caught.value.hint
        full._database.rows("PRAGMA max_page_count = 1000000")
        assert full.step("early") == 1
        assert full.step("late") is None
        assert full.finish_step("one", "late", "note", 2)


def test_a_row_that_does_not_validate_names_table_and_row(workspace: Path) -> None:
    with opened(workspace, "one") as store:
        store.finish_step("one", "s", "remember", {}, trial=trial(), lesson=lesson(), skill=skill())
    change(workspace, "UPDATE trials SET value = json_set(value, '$.v', 2)")
    change(workspace, "UPDATE lessons SET value = json_remove(value, '$.sentence')")
    change(workspace, "UPDATE skills SET value = 'no json'")
    change(workspace, "UPDATE steps SET value = 'NaN'")
    change(workspace, "UPDATE runs SET value = json_set(value, '$.surprise', 1)")
    change(workspace, "UPDATE ledgers SET value = NULL || '[]' WHERE 0")
    with Workspace.open(workspace) as store:
        for read, where in (
            (lambda: store.trials("one"), "row one, trial_0 of table trials"),
            (store.lessons, "row lesson_0 of table lessons"),
            (store.skills, "row stand-up of table skills"),
            (lambda: store.step("s"), "row s of table steps"),
            (lambda: store.run("one"), "row one of table runs"),
        ):
            with pytest.raises(WorkspaceError, match=where):
                read()


@pytest.mark.parametrize("release", ["workspace_v1", "workspace_v2", "workspace_v3"])
def test_the_fixture_of_every_release_opens(tmp_path: Path, release: str) -> None:
    root = tmp_path / "copy"
    shutil.copytree(FIXTURES / release, root)
    with Workspace.open(root, create=False) as store:
        run = store.run("latest")
        assert (run.id, run.status, run.goal) == ("balance", "stopped", run_record().goal)
        assert store.trials("balance") == (trial(),)
        assert store.lessons() == (lesson(),)
        assert store.skills() == (skill(),)
        assert store.ledger("balance").env_steps == 4096
        assert store.step(step_id(run="balance", cycle=0, kind="remember", index=0)) == {"trial": "trial_0"}
        assert store.document("balance", "plan") == {"env_steps": 10_000}
        assert store.exchange("q1") == {"refused": False}
        assert [command.kind for command in store.pending("balance")] == ["stop"]
        assert [event.kind for event in store.events("balance")] == ["run.created", "remember.finished"]
        assert store.project_events("balance") == 0
        if release == "workspace_v1":
            assert (root / f"{FILE}.format1.backup").exists()
            assert store.testimonies() == ()
        else:
            assert store.testimonies() == (a_testimony(),)
            paid = 120 if release == "workspace_v3" else 0
            assert (store.ledger("balance").tokens, len(store.calls("balance"))) == (paid, paid // 120)
            assert store.exchange("q2") is None, "there was no answer for now"
            (vector,) = store.vector_store("hash").vectors("tiny-1-2")
            assert (vector.item, vector.vector.tolist()) == ("lesson:lesson_0", pytest.approx([0.6, -0.8]))
