"""What a run ends with: the object behind ``--json``, the Python API's return value, the report's first page."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from experimenter.budget import Ledger
from experimenter.records import Comparison, Design, Interval, Record

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


class RunResult(Record):
    """``verdict`` and ``controls`` are keyed by the control's name (``native``, ``random``)."""

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
    controls: dict[str, ControlResult] = Field(default_factory=dict)
    ledger: Ledger = Field(default_factory=Ledger)
    trials: int = 0
    discarded: int = 0
    containment: str = ""
    report: str | None = None
    error: str = ""
    hint: str = ""
    exit_code: int = 0
