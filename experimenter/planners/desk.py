"""What a planner is given that needs more than questions: its run's settings and archive, and ways to ask and to say.

A plug-in class with ``opened`` is opened with a desk; any other is made without arguments. ``ready``, where a class
has it, is called with the settings before a run is created, and raises where the planner could not work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from experimenter.config import Settings
from experimenter.contracts import Planner
from experimenter.planners.archive import Archive
from experimenter.planners.llm.calls import CallLog, Kept
from experimenter.planners.llm.notes import Note

__all__ = ["Desk", "Opened", "Ready", "split_name"]


def _all_allowed(_tokens: int, _dollars: float | None) -> None:
    """Nobody keeps a budget here."""


def _unknown(_kind: str) -> int | None:
    return None


def _never() -> bool:
    return False


def _nothing(_kind: str, _data: Mapping[str, Any]) -> None:
    """Nobody listens."""


@dataclass(frozen=True, slots=True)
class Desk:
    """``folder`` is the run's own.

    ``log`` keeps each call before its reply is used. ``afford`` is told what a call may take at most (tokens, and
    dollars or ``None`` where the price is unknown) and raises where the budget does not allow it. ``ordinal`` says how
    many questions of a kind were asked before. ``stop`` says whether the run was asked to stop, and is to be looked at
    while waiting. ``say`` writes an event. ``archive`` is what a replay answers from.
    """

    settings: Settings
    folder: Path
    notes: tuple[Note, ...] = ()
    log: CallLog = field(default_factory=Kept)
    afford: Callable[[int, float | None], None] = _all_allowed
    ordinal: Callable[[str], int | None] = _unknown
    stop: Callable[[], bool] = _never
    say: Callable[[str, Mapping[str, Any]], None] = _nothing
    archive: Archive | None = None


@runtime_checkable
class Opened(Protocol):
    """A planner's class that is opened with a desk."""

    @classmethod
    def opened(cls, desk: Desk) -> Planner: ...


@runtime_checkable
class Ready(Protocol):
    """A planner's class that can say before a run is created that it could not work."""

    @classmethod
    def ready(cls, settings: Settings) -> None: ...


def split_name(text: str) -> tuple[str, str]:
    """A planner's name as a person writes it: ``replay:my_run`` is the planner ``replay`` with ``my_run``."""
    name, _, argument = text.partition(":")
    return name.strip(), argument.strip()
