"""What a supervisor does from outside: measures memory and folders, widens pipes, ends processes, clears up behind."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final

__all__ = ["end_process", "folder_use", "new_folder", "printable", "tree_memory", "widen"]

_PREFIX: Final = "experimenter-sandbox-"
_STALE_SECONDS: Final = 60.0
_PIPE_BYTES: Final = 1 << 20


def new_folder() -> Path:
    """A private temporary folder; those that killed processes left behind are removed on the way."""
    import psutil

    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*-*"):
        owner = left.name.removeprefix(_PREFIX).partition("-")[0]
        if owner.isdigit() and not psutil.pid_exists(int(owner)) and _age(left) > _STALE_SECONDS:
            shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))


def _age(folder: Path) -> float:
    try:
        return time.time() - folder.stat().st_mtime
    except OSError:
        return 0.0


def end_process(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to the process's own session, then collects it and closes its pipes. May be called twice."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


def printable(text: str) -> str:
    """Generated text without control characters, at most 600: it may reach a terminal."""
    return "".join(c if c.isprintable() else " " for c in text[:600])


def tree_memory(pid: int, *, alone: bool) -> int:
    """Resident bytes of a process and, unless it is known to be ``alone``, of everything it started."""
    import psutil

    total = 0
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for member in (process, *([] if alone else process.children(recursive=True))):
            with contextlib.suppress(psutil.Error):
                total += int(member.memory_info().rss)
    return total


def folder_use(folder: Path, at_most: int) -> tuple[int, int]:
    """Number of entries below ``folder`` and their bytes; stops counting just above ``at_most`` entries."""
    count = size = 0
    folders = [folder]
    while folders and count <= at_most:
        with contextlib.suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                count += 1
                size += entry.stat(follow_symlinks=False).st_size
                if entry.is_dir(follow_symlinks=False):
                    folders.append(Path(entry.path))
                if count > at_most:
                    break
    return count, size


def widen(descriptor: int) -> None:
    """Lets a pipe hold a whole rollout where the system can, so that the process may work on it at once."""
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with contextlib.suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
