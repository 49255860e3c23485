"""What a run ends with: the object behind ``--json``, the Python API's return value, the report's first page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from pydantic import Field, ValidationError

from experimenter.budget import Ledger
from experimenter.records import Arm, Comparison, Design, Interval, Json, Record, Trial

_PREFIX: Final = "winner:"
RunStatus = Literal["created", "running", "paused", "stopped", "finished", "failed"]


class Best(Record):
    """The confirmed winner: its trial, true score over fresh training seeds, and success rate where a judge applies."""

    trial: str
    design: Design
    true_score: Interval
    success_rate: float | None = None
    scores: tuple[float, ...] = ()
    policies: tuple[str, ...] = ()


class ControlResult(Record):
    true_score: Interval
    success_rate: float | None = None
    scores: tuple[float, ...] = ()


class Confirmation(Record):
    """One confirmation that a run made: its ``number`` from 0, the trial, and the whole arm with its scores."""

    number: int
    trial: str
    steps: int = 0
    arm: Arm


class Earlier(Record):
    """A confirmation whose winner was replaced by a later one. ``number`` counts from 1, as readers do."""

    number: int
    trial: str
    true_score: Interval
    success_rate: float | None = None
    scores: tuple[float, ...] = ()
    env_steps: int = 0


def confirmation_document(number: int) -> str:
    """The name under which a run keeps its confirmation of that number, from 0."""
    return f"{_PREFIX}{number}"


def earlier_confirmations(run: str, documents: Mapping[str, Json]) -> tuple[Earlier, ...]:
    """The confirmations of ``run`` that were replaced, the oldest first, out of its documents.

    One that is damaged, or was never kept because an older release made it, is left out.
    """
    winner = documents.get("winner")
    last = winner.get("number") if isinstance(winner, dict) else None
    if not isinstance(last, int):
        return ()
    stored = (_confirmation(value) for name, value in documents.items() if name.startswith(_PREFIX))
    found = sorted((one for one in stored if one and one.number < last), key=lambda one: one.number)
    return tuple(_earlier(run, one) for one in found)


def _confirmation(stored: Json) -> Confirmation | None:
    try:
        return Confirmation.model_validate(stored)
    except ValidationError:
        return None


def _earlier(run: str, found: Confirmation) -> Earlier:
    return Earlier(
        number=found.number + 1,
        trial=f"{run}/{found.trial}",
        true_score=found.arm.interval,
        success_rate=found.arm.success_rate,
        scores=tuple(float(score) for score in found.arm.scores),
        env_steps=found.arm.env_steps,
    )


class RunResult(Record):
    """``verdict`` and ``controls`` are keyed by the control's name (``native``, ``random``).

    ``earlier`` holds the confirmations before the one of ``best``, the oldest first.
    """

    run: str
    status: RunStatus
    planner: str
    judge: str
    environment: str = ""
    wish: str = ""
    sentence: str = ""
    why_ended: str = ""
    verdict: dict[str, Comparison] = Field(default_factory=dict)
    best: Best | None = None
    earlier: tuple[Earlier, ...] = ()
    controls: dict[str, ControlResult] = Field(default_factory=dict)
    ledger: Ledger = Field(default_factory=Ledger)
    inherited_steps: int = 0
    trials: int = 0
    discarded: int = 0
    containment: str = ""
    report: str | None = None
    error: str = ""
    hint: str = ""
    exit_code: int = 0


def inherited_steps(run: str, trials: Sequence[Trial]) -> int:
    """Learning steps behind the starting policies that came from outside this run, each policy counted once."""
    starts = (one.design.start for trial in trials for one in trial.candidates)
    outside = {
        start.hash: start.lineage_steps
        for start in starts
        if start is not None and not start.path.startswith(f"runs/{run}/")
    }
    return sum(outside.values())
