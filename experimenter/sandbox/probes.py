"""Eight things that must fail in a contained process, tried for real at every start, before any code is loaded.

A limit that is merely believed to be set is no limit: the level of containment is what these attempts show.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Final

__all__ = ["PROBES", "refused"]

_AF_INET, _SOCK_STREAM = 2, 1
_DENIALS: Final = frozenset({1, 13})


def _denied() -> bool:
    return ctypes.get_errno() in _DENIALS


def _tried(action: Callable[[], object]) -> bool:
    """True when the kernel refused ``action`` for want of permission."""
    try:
        action()
    except (PermissionError, ValueError):
        return True
    except OSError as error:
        return error.errno in _DENIALS
    return False


def _write_outside(outside: Path, scratch: Path, parent: int) -> bool:
    target = outside / "probe"
    held = _tried(lambda: os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o600)))
    with contextlib.suppress(OSError):
        target.unlink()
    return held


def _read_outside(outside: Path, scratch: Path, parent: int) -> bool:
    return _tried(lambda: os.close(os.open(outside / "canary", os.O_RDONLY)))


def _socket(outside: Path, scratch: Path, parent: int) -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    return libc.socket(_AF_INET, _SOCK_STREAM, 0) < 0 and _denied()


def _fork(outside: Path, scratch: Path, parent: int) -> bool:
    try:
        child = os.fork()
    except OSError:
        return True
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return False


def _execute(outside: Path, scratch: Path, parent: int) -> bool:
    # A path that does not exist: refused before it is looked up, or else "no such file".
    return _tried(lambda: os.execv(outside / "nothing", ["nothing"]))


def _signal_parent(outside: Path, scratch: Path, parent: int) -> bool:
    return _tried(lambda: os.kill(parent, 0))


def _change_mode(outside: Path, scratch: Path, parent: int) -> bool:
    return _tried(lambda: scratch.chmod(0o700))


def _set_limit(outside: Path, scratch: Path, parent: int) -> bool:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _tried(lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (hard + 1, hard + 1)))


PROBES: Final[dict[str, Callable[[Path, Path, int], bool]]] = {
    "write a file outside the scratch folder": _write_outside,
    "read a file outside the code folders": _read_outside,
    "open a socket": _socket,
    "start a process": _fork,
    "run another program": _execute,
    "signal the parent": _signal_parent,
    "change a file's mode": _change_mode,
    "raise a resource limit": _set_limit,
}


def refused(outside: Path, scratch: Path, parent: int) -> dict[str, bool]:
    """For each probe whether the kernel refused it. ``outside`` holds a readable file named ``canary``."""
    return {name: probe(outside, scratch, parent) for name, probe in PROBES.items()}
