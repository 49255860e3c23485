"""One SQLite connection: its pragmas, short transactions, and our errors in place of SQLite's."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from experimenter.errors import WorkspaceError

__all__ = ["BUSY_SECONDS", "Database", "database_error"]

BUSY_SECONDS: Final = 30
Row = tuple[Any, ...]

_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})
_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_UNWRITABLE: Final = frozenset(
    {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}
)


def database_error(path: Path, cause: sqlite3.Error) -> WorkspaceError:
    """What SQLite said about the file at ``path``, in words and with what to do next."""
    code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
    if code in _DAMAGED:
        return WorkspaceError(f"{path} is damaged ({cause}).", set_aside_hint(path))
    if code == sqlite3.SQLITE_FULL:
        return WorkspaceError(
            f"No space is left to write {path}.",
            "Free some disk space, then: experimenter resume. Nothing that was finished is lost.",
        )
    if code in _BUSY:
        return WorkspaceError(
            f"Another process has kept {path} busy for {BUSY_SECONDS} seconds.",
            "End the process that holds it, then try again.",
        )
    if code in _UNWRITABLE:
        return WorkspaceError(
            f"{path} cannot be opened for writing ({cause}).",
            "Give yourself write access to the file and its folder, or choose another folder with --workspace.",
        )
    if code == sqlite3.SQLITE_CONSTRAINT:
        return WorkspaceError(f"{path} refuses the row ({cause}).", "Nothing was written.")
    return WorkspaceError(
        f"{path} cannot be used ({cause}).",
        "Check the disk and its free space, then: experimenter resume. Nothing that was finished is lost.",
    )


def set_aside_hint(path: Path) -> str:
    """The command that gets a person going again after damage, without deleting anything."""
    return (
        f"Set it aside with: mv '{path}' '{path}.damaged' (and its -wal and -shm files, if any), "
        f"then start again; the policies and event logs under '{path.parent / 'runs'}' are kept."
    )


class Database:
    """A connection to one file, usable from several threads of one process, one transaction at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        with self._ours():
            self._connection = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                self._connection.execute("PRAGMA foreign_keys = ON")
                self._connection.execute("PRAGMA synchronous = FULL")
            except sqlite3.Error:
                self._connection.close()
                raise

    @property
    def connection(self) -> sqlite3.Connection:
        """The bare connection, for what needs SQLite's own interface (backups)."""
        return self._connection

    @contextmanager
    def _ours(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as cause:
            raise database_error(self.path, cause) from cause

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of the block's writes, or none. Keep it short: other processes wait."""
        with self._lock, self._ours():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                # A full disk may have rolled back already; a second rollback would hide the cause.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """Every row of a query, fetched at once, so that no reader holds the log back."""
        with self._lock, self._ours():
            return self._connection.execute(sql, values).fetchall()

    def row(self, sql: str, values: Sequence[Any] = ()) -> Row | None:
        """The first row of a query."""
        found = self.rows(sql, values)
        return found[0] if found else None

    def pragma(self, name: str) -> int:
        """The number behind a pragma."""
        found = self.row(f"PRAGMA {name}")
        return int(found[0]) if found else 0

    def close(self) -> None:
        """Closes the connection; closing twice does no harm."""
        with self._lock, self._ours():
            self._connection.close()
