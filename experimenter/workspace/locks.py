"""One runner per run: a lock that a killed process releases, and the pid of whoever holds it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from filelock import FileLock, Timeout

from experimenter.errors import RunLocked
from experimenter.workspace.files import make_folder, storage_error, write_atomic

__all__ = ["RunLock"]

LOCK_FILE: Final = "run.lock"
# A viewer that only asks whether a runner lives shares the lock for a moment; a runner waits that out.
_PATIENCE: Final = 1.0


def _is_held(path: Path) -> bool:
    """Whether somebody holds the lock; a shared probe, so that viewers never take each other for the runner."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


class RunLock:
    """Held by a run's runner for as long as it lives, on ``folder/run.lock``.

    A context manager; ``acquire`` raises RunLocked, naming the pid, when another process holds it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._pid_file = folder / "run.pid"
        self._lock = FileLock(str(folder / LOCK_FILE), timeout=_PATIENCE, thread_local=False)

    def acquire(self) -> None:
        """Takes the lock and writes down this process's pid."""
        make_folder(self.folder)
        try:
            self._lock.acquire()
        except Timeout as cause:
            raise self._locked() from cause
        except OSError as cause:
            raise storage_error(self.folder, cause) from cause
        try:
            write_atomic(self._pid_file, f"{os.getpid()}\n")
        except BaseException:
            self._lock.release()
            raise

    def release(self) -> None:
        """Gives the lock back; releasing twice does no harm."""
        if self._lock.is_locked:
            self._pid_file.unlink(missing_ok=True)
            self._lock.release()

    def holder(self) -> int | None:
        """The pid that holds the lock (0 when it cannot be read), or ``None`` when nobody does."""
        if self._lock.is_locked:
            return os.getpid()
        return self._written_pid() if _is_held(self.folder / LOCK_FILE) else None

    def _written_pid(self) -> int:
        try:
            return int(self._pid_file.read_text())
        except (OSError, ValueError):
            return 0

    def _locked(self) -> RunLocked:
        return RunLocked(
            f"The run {self.folder.name} is held by process {self._written_pid() or 'unknown'}.",
            f"Watch it with: experimenter watch {self.folder.name}, or stop that process first.",
        )

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
