"""The event log: rows in the database are the truth, ``events.jsonl`` is a projection that can be rebuilt."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from experimenter.events import Event, NewEvent, event_line, parse_event
from experimenter.records import Json
from experimenter.workspace.database import Row
from experimenter.workspace.files import make_folder, storage_error, write_atomic
from experimenter.workspace.rows import Part, decode, encode, now

__all__ = ["EVENTS_FILE", "Log", "append"]

EVENTS_FILE: Final = "events.jsonl"
_TAIL: Final = 1 << 16


def append(connection: sqlite3.Connection, run: str, events: Sequence[NewEvent]) -> None:
    """Adds events to a run's log, inside the caller's transaction, which keeps ``seq`` without gaps."""
    if not events:
        return
    row = connection.execute("SELECT COALESCE(MAX(seq), 0) FROM events WHERE run = ?", (run,)).fetchone()
    moment, first = now(), int(row[0]) + 1
    connection.executemany(
        "INSERT INTO events (run, seq, at, step, kind, data) VALUES (?, ?, ?, ?, ?, ?)",
        [
            (run, first + i, moment, event.step, event.kind, encode(event.data, f"event {event.kind}"))
            for i, event in enumerate(events)
        ],
    )


class Log(Part):
    """A run's events, and their projection into its folder."""

    root: Path

    def emit(self, run: str, kind: str, data: dict[str, Json], step: str = "") -> None:
        """Stores one event by itself."""
        event = NewEvent(kind=kind, data=data, step=step)
        with self._database.transaction() as connection:
            append(connection, run, [event])

    def events(self, run: str, after: int = 0) -> tuple[Event, ...]:
        """A run's events with ``seq`` above ``after``, in order."""
        rows = self._database.rows(
            "SELECT run, seq, at, step, kind, data FROM events WHERE run = ? AND seq > ? ORDER BY seq",
            (run, after),
        )
        return tuple(_event(row) for row in rows)

    def project_events(self, run: str) -> int:
        """Appends to ``runs/<run>/events.jsonl`` what it lacks; rebuilds it when it does not fit the log.

        Returns how many events were written; 0 also when another process is at it.
        """
        folder = make_folder(self.root / "runs" / run)
        try:
            with FileLock(str(folder / ".events.lock"), timeout=0):
                return self._project(run, folder / EVENTS_FILE)
        except Timeout:
            return 0
        except OSError as cause:
            raise storage_error(folder / EVENTS_FILE, cause) from cause

    def _project(self, run: str, path: Path) -> int:
        reached = _cut_torn_line(path)
        if reached is None or (reached > 0 and not self._has(run, reached)):
            events = self.events(run)
            write_atomic(path, "".join(map(event_line, events)))
            return len(events)
        events = self.events(run, reached)
        if events:
            with path.open("a", encoding="utf-8") as handle:
                handle.write("".join(map(event_line, events)))
        return len(events)

    def _has(self, run: str, seq: int) -> bool:
        row = self._database.row("SELECT 1 FROM events WHERE run = ? AND seq = ?", (run, seq))
        return row is not None


def _event(row: Row) -> Event:
    run, seq, at, step, kind, data = row
    content = decode(data, f"row {run}, {seq} of table events")
    return Event(seq=seq, at=at, run=run, step=step, kind=kind, data=content)


def _cut_torn_line(path: Path) -> int | None:
    """Cuts off what follows the last line end; returns the last ``seq``, or ``None`` when it cannot be read."""
    if not path.exists():
        return 0
    with path.open("r+b") as handle:
        size = handle.seek(0, os.SEEK_END)
        last, end = _last_line(handle.fileno(), size)
        if end < size:
            handle.truncate(end)
    if not last:
        return 0
    event = parse_event(last)
    return None if event is None else event.seq


def _last_line(descriptor: int, size: int) -> tuple[bytes, int]:
    """The last complete line, and where it ends; reads backwards in growing pieces."""
    span = _TAIL
    while True:
        start = max(0, size - span)
        tail = os.pread(descriptor, size - start, start)
        end = tail.rfind(b"\n") + 1
        begin = tail.rfind(b"\n", 0, end - 1) + 1 if end else 0
        if start == 0 or (end and begin):
            return tail[begin:end], start + end
        span *= 4
