"""Files are whole or absent, and a lock is free when its holder is dead."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from experimenter.errors import RunLocked, WorkspaceError
from experimenter.workspace.files import free_megabytes, write_atomic
from experimenter.workspace.locks import RunLock

REPOSITORY = Path(__file__).resolve().parent.parent.parent

FULL = """
import resource, signal, sys
sys.path.insert(0, {repository!r})
from pathlib import Path
from experimenter.errors import WorkspaceError
from experimenter.workspace.files import write_atomic
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_atomic(Path({path!r}), b"x" * 5000)
except WorkspaceError as error:
    print(error)
"""

HOLD = """
import sys, time
sys.path.insert(0, {repository!r})
from pathlib import Path
from experimenter.workspace.locks import RunLock
with RunLock(Path({folder!r})):
    print("held", flush=True)
    {after}
    time.sleep(60)
"""


def python(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def test_writing_replaces_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file.txt"
    write_atomic(path, "été")
    write_atomic(path, b"two")
    assert path.read_bytes() == b"two"
    assert [item.name for item in path.parent.iterdir()] == ["file.txt"]


def test_written_files_have_ordinary_permissions(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        write_atomic(tmp_path / "file", "x")
        assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644
    finally:
        os.umask(before)


def test_without_space_the_old_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "policy"
    path.write_text("old")
    process = python(FULL.format(repository=str(REPOSITORY), path=str(path)))
    said, _ = process.communicate(timeout=30)
    assert "No space is left" in said
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["policy"]


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(WorkspaceError, match="taken is a file") as caught:
        write_atomic(tmp_path / "taken" / "deep" / "file", "x")
    assert "Move the file away" in caught.value.hint
    (tmp_path / "folder").mkdir()
    with pytest.raises(WorkspaceError, match="folder"):
        write_atomic(tmp_path / "folder", "x")


def test_free_space_is_that_of_the_nearest_folder(tmp_path: Path) -> None:
    statistics = os.statvfs(tmp_path)
    expected = statistics.f_bavail * statistics.f_frsize // 1_000_000
    assert abs(free_megabytes(tmp_path / "not" / "there") - expected) < 500


def test_a_lock_is_held_once_and_named(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    lock = RunLock(folder)
    assert lock.holder() is None
    with lock:
        assert lock.holder() == RunLock(folder).holder() == os.getpid()
        with pytest.raises(RunLocked, match=f"one is held by process {os.getpid()}") as caught:
            RunLock(folder).acquire()
        assert "experimenter watch one" in caught.value.hint
    lock.release()
    assert RunLock(folder).holder() is None
    with RunLock(folder):
        pass


def test_a_lock_of_another_process_names_it_and_is_free_after_kill_9(tmp_path: Path) -> None:
    child = (
        "import subprocess; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(5)'], stdout=-3)"
    )
    process = python(HOLD.format(repository=str(REPOSITORY), folder=str(tmp_path), after=child))
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert RunLock(tmp_path).holder() == process.pid
        with pytest.raises(RunLocked, match=str(process.pid)):
            RunLock(tmp_path).acquire()
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert RunLock(tmp_path).holder() is None
    with RunLock(tmp_path) as mine:
        assert mine.holder() == os.getpid()


def test_viewers_that_ask_at_once_never_take_each_other_for_the_runner(tmp_path: Path) -> None:
    with RunLock(tmp_path):
        pass
    descriptor = os.open(tmp_path / "run.lock", os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        assert RunLock(tmp_path).holder() is None
    finally:
        os.close(descriptor)
