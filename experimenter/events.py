"""What happened, one line each: the envelope that every face, the report and ``events.jsonl`` read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from pydantic import Field, ValidationError

from experimenter.identity import canonical_json
from experimenter.records import Json, Record

__all__ = ["KINDS", "Event", "NewEvent", "event_line", "parse_event", "read_events"]

KINDS: Final = (
    "run.created",
    "run.started",
    "run.resumed",
    "model.asked",
    "model.answered",
    "success_test.proposed",
    "success_test.measured",
    "recall.finished",
    "propose.finished",
    "design.finished",
    "check.finished",
    "check.failed",
    "training.started",
    "training.progress",
    "training.finished",
    "rung.finished",
    "judge.finished",
    "diagnose.finished",
    "reflect.finished",
    "remember.finished",
    "decide.finished",
    "confirm.started",
    "confirm.finished",
    "control.finished",
    "verdict.finished",
    "budget.raised",
    "run.paused",
    "run.stopped",
    "run.finished",
    "run.failed",
    "note",
)


class NewEvent(Record):
    """An event before it is stored: its place in the log and its time come with the commit."""

    kind: str
    data: dict[str, Json] = Field(default_factory=dict)
    step: str = ""


class Event(Record):
    """One stored event: ``seq`` counts from 1 within the run, ``at`` is ISO 8601 in UTC.

    Readers skip kinds that they don't know.
    """

    seq: int
    at: str
    run: str
    step: str = ""
    kind: str
    data: dict[str, Json] = Field(default_factory=dict)


def event_line(event: Event) -> str:
    """The event as one line of JSON, with its line end."""
    return canonical_json(event) + "\n"


def parse_event(line: str | bytes) -> Event | None:
    """The event of one line, or ``None`` for a torn or foreign line."""
    try:
        return Event.model_validate_json(line)
    except (ValidationError, json.JSONDecodeError):
        return None


def _parsed(lines: Iterable[bytes]) -> Iterator[Event]:
    for line in lines:
        event = parse_event(line)
        if event is not None:
            yield event


def read_events(path: Path) -> tuple[Event, ...]:
    """Every readable event of an ``events.jsonl``; a torn last line is left out. No file is no events."""
    if not path.exists():
        return ()
    return tuple(_parsed(path.read_bytes().splitlines()))
