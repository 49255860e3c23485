"""What faces ask of a run: the only table that they write (``contracts.md``, Processes)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import ValidationError

from experimenter.errors import NotFound, WorkspaceError
from experimenter.records import Json
from experimenter.workspace.database import Row
from experimenter.workspace.records import Command
from experimenter.workspace.rows import Part, decode, encode, now

__all__ = ["Commands"]


class Commands(Part):
    """Commands to runs, in the order in which they were sent."""

    def send(self, run: str, kind: str, payload: Mapping[str, Json] | None = None) -> int:
        """Asks something of a run; returns the command's id. Raises NotFound when there is no such run."""
        content = encode(dict(payload or {}), f"command {kind}")
        with self._database.transaction() as connection:
            if not connection.execute("SELECT 1 FROM runs WHERE id = ?", (run,)).fetchone():
                raise NotFound(f"There is no run {run}.", "See all of them with: experimenter list.")
            done = connection.execute(
                "INSERT INTO commands (run, kind, payload, created, state) VALUES (?, ?, ?, ?, 'pending')",
                (run, kind, content, now()),
            )
            return int(done.lastrowid or 0)

    def pending(self, run: str) -> tuple[Command, ...]:
        """What was asked of a run and not settled yet, the oldest first."""
        rows = self._database.rows(
            "SELECT id, run, kind, payload, created, state FROM commands"
            " WHERE run = ? AND state = 'pending' ORDER BY id",
            (run,),
        )
        return tuple(_command(row) for row in rows)

    def command(self, number: int) -> Command:
        """One command, with what became of it. Raises NotFound when there is none of that id."""
        row = self._database.row(
            "SELECT id, run, kind, payload, created, state FROM commands WHERE id = ?", (number,)
        )
        if row is None:
            raise NotFound(f"There is no command {number}.")
        return _command(row)

    def settle(self, command: int, state: Literal["done", "refused", "dropped"]) -> None:
        """Says what became of a command. Raises NotFound when there is none of that id."""
        with self._database.transaction() as connection:
            done = connection.execute("UPDATE commands SET state = ? WHERE id = ?", (state, command))
            if done.rowcount != 1:
                raise NotFound(f"There is no command {command}.")


def _command(row: Row) -> Command:
    number, run, kind, payload, created, state = row
    where = f"row {number} of table commands"
    content = decode(payload, where)
    try:
        return Command(id=number, run=run, kind=kind, payload=content, created=created, state=state)
    except ValidationError as cause:
        raise WorkspaceError(f"The workspace's {where} cannot be read ({cause}).") from cause
