"""The workspace: one SQLite file that is the truth about runs, and the folders beside it.

Every part is a class of its own, in a file of its own; ``Workspace`` is their sum and the only public face.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from experimenter.workspace.calls import Calls
from experimenter.workspace.commands import Commands
from experimenter.workspace.database import Database
from experimenter.workspace.exchanges import Exchanges
from experimenter.workspace.keeping import Keeping
from experimenter.workspace.log import Log
from experimenter.workspace.opening import FILE, open_database
from experimenter.workspace.records import Command, FoundTrial, RunRecord, new_run_name
from experimenter.workspace.schema import MIGRATIONS, Migration
from experimenter.workspace.steps import Steps
from experimenter.workspace.vectors import Vectors

__all__ = ["FILE", "Command", "FoundTrial", "RunRecord", "Workspace", "new_run_name"]


class Workspace(Keeping, Steps, Log, Exchanges, Calls, Commands, Vectors):
    """An open workspace. Several processes may hold it open at once; a context manager."""

    def __init__(self, root: Path, database: Database) -> None:
        self.root = root
        self._database = database

    @classmethod
    def open(cls, root: Path, *, create: bool = True, migrations: Sequence[Migration] = MIGRATIONS) -> Self:
        """Opens the workspace in ``root``, making or migrating it where needed.

        Raises NotFound when there is none and ``create`` is false, and WorkspaceError, with what to do, when the
        folder cannot be written or the file is damaged, foreign or newer than this release.
        """
        absolute = root.expanduser().absolute()
        return cls(absolute, open_database(absolute, create=create, migrations=migrations))

    def close(self) -> None:
        """Closes the file; closing twice does no harm."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
