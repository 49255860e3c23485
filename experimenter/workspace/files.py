"""Files that are either whole or absent: written aside, synced, renamed, so that a full disk destroys nothing."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from pathlib import Path

from experimenter.errors import WorkspaceError

__all__ = ["free_megabytes", "make_folder", "storage_error", "sync_folder", "write_atomic"]

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


def storage_error(path: Path, cause: OSError) -> WorkspaceError:
    """The error that tells a person what stopped us from using ``path``, and what to do about it."""
    if cause.errno in _FULL:
        return WorkspaceError(
            f"No space is left to write {path}.",
            "Free some disk space, then: experimenter resume. Nothing that was finished is lost.",
        )
    if cause.errno in _FORBIDDEN:
        return WorkspaceError(
            f"{path} cannot be written: {cause.strerror}.",
            "Give yourself write access, or choose another folder with --workspace.",
        )
    return WorkspaceError(
        f"{path} cannot be used: {cause.strerror or cause}.",
        "Check the path, or choose another folder with --workspace.",
    )


def sync_folder(folder: Path) -> None:
    """Makes a rename in ``folder`` survive a power cut, where the file system can sync folders."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomic(path: Path, data: bytes | str) -> None:
    """Replaces ``path`` by ``data`` (text as UTF-8), or leaves it as it was.

    Creates missing parents. Raises WorkspaceError when the disk is full or the folder is unwritable.
    """
    raw = data.encode() if isinstance(data, str) else data
    make_folder(path.parent)
    try:
        _write_aside(path, raw)
    except OSError as cause:
        raise storage_error(path, cause) from cause


def _write_aside(path: Path, raw: bytes) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".aside")
    aside = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(raw)
            handle.flush()
            os.fsync(handle.fileno())
        # mkstemp makes private files; a report or a skill is meant to be read like any other file.
        aside.chmod(0o666 & ~_umask())
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def make_folder(folder: Path) -> Path:
    """The folder, made with its parents. Raises WorkspaceError when something stands in the way."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as cause:
        raise _file_in_the_way(folder) from cause
    except NotADirectoryError as cause:
        raise _file_in_the_way(next(p for p in folder.parents if p.exists())) from cause
    except OSError as cause:
        raise storage_error(folder, cause) from cause
    return folder


def _file_in_the_way(path: Path) -> WorkspaceError:
    return WorkspaceError(
        f"{path} is a file, and a folder is needed there.",
        "Move the file away, or choose another folder with --workspace.",
    )


def free_megabytes(path: Path) -> int:
    """Free megabytes (10**6 bytes) where ``path`` is or would be. Raises WorkspaceError if unknown."""
    there = next((p for p in (path.absolute(), *path.absolute().parents) if p.exists()), Path("/"))
    try:
        return shutil.disk_usage(there).free // 1_000_000
    except OSError as cause:
        raise storage_error(there, cause) from cause
