"""Opening a workspace's file: making it, migrating it after a backup, refusing what is not ours or is newer."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from experimenter.errors import NotFound, WorkspaceError
from experimenter.workspace.database import BUSY_SECONDS, Database, database_error
from experimenter.workspace.files import make_folder, storage_error, sync_folder
from experimenter.workspace.schema import APPLICATION_ID, MIGRATIONS, Migration

__all__ = ["FILE", "open_database"]

FILE: Final = "workspace.sqlite"


def open_database(root: Path, *, create: bool, migrations: Sequence[Migration] = MIGRATIONS) -> Database:
    """The workspace's database in the format of this release.

    Raises NotFound when it does not exist and ``create`` is false, and WorkspaceError when it cannot be written, is
    damaged, belongs to another program, or was written by a newer release.
    """
    path = root / FILE
    if not create and not _exists(path):
        raise NotFound(
            f"There is no workspace in {root}.",
            'Start with: experimenter run "your wish" --env CartPole-v1, or name another folder with --workspace.',
        )
    make_folder(root)
    _check_writable(root)
    _check_file(path)
    database = Database(path)
    try:
        if database.pragma("user_version") != len(migrations):
            _bring_up(database, root, migrations)
        elif database.pragma("application_id") != APPLICATION_ID:
            raise _foreign(path)
    except BaseException:
        database.close()
        raise
    return database


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as cause:
        raise storage_error(path, cause) from cause


def _check_writable(root: Path) -> None:
    # SQLite would open a read-only database happily and fail at the first commit, hours later.
    if not os.access(root, os.W_OK | os.X_OK):
        raise WorkspaceError(
            f"The folder {root} cannot be written.",
            "Give yourself write access, or choose another folder with --workspace.",
        )


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise WorkspaceError(
            f"{path} is a folder, and a file is needed there.", "Move it away, then try again."
        )
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        raise WorkspaceError(
            f"{path} cannot be written.",
            "Give yourself write access, or choose another folder with --workspace.",
        )


def _bring_up(database: Database, root: Path, migrations: Sequence[Migration]) -> None:
    """Makes or migrates the file, one process at a time."""
    try:
        with FileLock(str(root / ".workspace.lock"), timeout=BUSY_SECONDS):
            _migrate(database, migrations)
    except Timeout as cause:
        raise WorkspaceError(
            f"Another process has been preparing {database.path} for {BUSY_SECONDS} seconds.",
            "End the process that holds it, then try again.",
        ) from cause
    except OSError as cause:
        raise storage_error(root, cause) from cause


def _migrate(database: Database, migrations: Sequence[Migration]) -> None:
    version = database.pragma("user_version")
    if version == len(migrations):
        return
    _refuse_foreign(database, version)
    if version > len(migrations):
        raise _newer(database.path, version, len(migrations))
    if version > 0:
        _back_up(database, version)
    database.rows("PRAGMA journal_mode = WAL")
    with database.transaction() as connection:
        for migration in migrations[version:]:
            for statement in migration:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(migrations)}")


def _refuse_foreign(database: Database, version: int) -> None:
    owner = database.pragma("application_id")
    has_tables = database.row("SELECT 1 FROM sqlite_master LIMIT 1") is not None
    if owner != APPLICATION_ID and (version != 0 or owner != 0 or has_tables):
        raise _foreign(database.path)


def _foreign(path: Path) -> WorkspaceError:
    return WorkspaceError(
        f"{path} is a SQLite file of another program.",
        "Move it away, or choose another folder with --workspace.",
    )


def _newer(path: Path, version: int, known: int) -> WorkspaceError:
    return WorkspaceError(
        f"{path} was written by a newer release (format {version}; this one reads up to {known}).",
        "Upgrade with: pip install --upgrade rl-experimenter, or choose another folder with --workspace.",
    )


def _back_up(database: Database, version: int) -> None:
    """A whole copy, beside the file, of the format that the migration starts from."""
    path = database.path
    kept = path.with_name(f"{path.name}.format{version}.backup")
    aside = kept.with_name(kept.name + ".aside")
    aside.unlink(missing_ok=True)
    try:
        copy = sqlite3.connect(aside)
        try:
            database.connection.backup(copy)
        finally:
            copy.close()
    except sqlite3.Error as cause:
        aside.unlink(missing_ok=True)
        raise database_error(kept, cause) from cause
    aside.replace(kept)
    sync_folder(path.parent)
