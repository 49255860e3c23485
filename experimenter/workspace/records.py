"""What the workspace itself keeps, beside the loop's records: runs, and the commands sent to them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import Field, field_validator

from experimenter.identity import slug, valid_name
from experimenter.records import Goal, Json, Record, Trial
from experimenter.results import RunStatus

__all__ = ["CONTROL_OF", "LATEST", "Command", "FoundTrial", "RunRecord", "new_run_name"]

LATEST: Final = "latest"
# A run that is the control arm of another carries a document of this name; it is never meant by a shortened name.
CONTROL_OF: Final = "control_of"


class RunRecord(Record):
    """One pursuit of a goal, with everything that was frozen before its first step.

    ``settings`` are the resolved ones; ``versions`` maps packages to releases; ``command`` is the argument list that
    started it; ``pid`` is its runner while there is one. Times are ISO 8601 in UTC; the workspace sets ``updated``.
    """

    id: str
    goal: Goal
    settings: dict[str, Json] = Field(default_factory=dict)
    planner: str = "search"
    curriculum: str = "auto"
    status: RunStatus = "created"
    created: str = ""
    updated: str = ""
    error: str = ""
    hint: str = ""
    versions: dict[str, str] = Field(default_factory=dict)
    command: tuple[str, ...] = ()
    pid: int | None = None

    @field_validator("id")
    @classmethod
    def _valid_id(cls, run: str) -> str:
        if not valid_name(run) or run == LATEST:
            raise ValueError(f"a run's name is [a-z][a-z0-9_]{{0,39}} and not '{LATEST}'")
        return run


class Command(Record):
    """What a face asked of a run. The runner reads pending ones between steps and settles them."""

    id: int
    run: str
    kind: str
    payload: dict[str, Json] = Field(default_factory=dict)
    created: str
    state: Literal["pending", "done", "refused", "dropped"] = "pending"


@dataclass(frozen=True, slots=True)
class FoundTrial:
    """A trial together with the run that it belongs to."""

    run: str
    trial: Trial


def new_run_name(words: str, taken: Iterable[str]) -> str:
    """A name for a run from the words of its wish, distinct from those ``taken``."""
    return slug(words, "run", (*taken, LATEST))
