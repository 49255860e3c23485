"""What a run ends with: the object behind ``--json``, the Python API's return value, the report's first page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from pydantic import Field, SerializerFunctionWrapHandler, ValidationError, model_serializer

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


class Share(Record):
    """``count`` of ``of`` (at least one) as a rate, with Wilson's 95 % interval."""

    count: int
    of: int
    share: float
    low: float
    high: float


class Programs(Record):
    """What became of the reward programs that ``author`` (a planner's name) wrote, each counted once.

    ``first_try`` passed every check as they were written, ``repaired`` after their error was told, ``given_up`` never.
    ``executable`` is the share that passed in the end.
    """

    author: str
    written: int
    first_try: int
    repaired: int
    given_up: int
    at_first_try: Share
    executable: Share


class Spent(Record):
    """What models used. ``None`` is unknown, because some of it is: never zero; ``at_least_…`` holds what is known.

    ``input_tokens`` include the cached ones. ``seconds`` are those that the run waited.
    """

    input_tokens: int | None = 0
    cached_input_tokens: int | None = 0
    output_tokens: int | None = 0
    at_least_tokens: int = 0
    dollars: float | None = 0.0
    at_least_dollars: float = 0.0
    seconds: float = 0.0


class Asked(Record):
    """One kind of question: how often it was asked, and how many answers came from whom (planners' names).

    ``refused`` got no answer at all; ``instead`` were answered by another planner after a refusal. ``rejected`` replies
    were no valid answer, and ``repairs`` carried their errors back. ``replayed`` answers came from an earlier run: what
    they used then is no part of ``spent``.
    """

    kind: str
    asked: int
    answered_by: dict[str, int] = Field(default_factory=dict)
    refused: int = 0
    instead: int = 0
    repairs: int = 0
    rejected: int = 0
    replayed: int = 0
    spent: Spent = Spent()


class Instead(Record):
    """Why ``by`` answered questions of a kind in the place of ``planner``, and how often for this reason."""

    kind: str
    planner: str
    by: str
    reason: str
    count: int


class Replayed(Record):
    """Answers that came out of the archive of ``run``, and what they had used there."""

    run: str
    answers: int
    spent: Spent = Spent()


class Planning(Record):
    """What a run's planner did, from its archived exchanges and its trials.

    ``models`` counts the questions that each language model took part in, ``served_as`` are the names that their
    services gave them. Under a built-in planner alone there are only ``programs``; what says nothing is left out of
    the JSON.
    """

    questions: tuple[Asked, ...] = ()
    models: dict[str, int] = Field(default_factory=dict)
    served_as: tuple[str, ...] = ()
    instead: tuple[Instead, ...] = ()
    spent: Spent = Spent()
    replayed: tuple[Replayed, ...] = ()
    programs: tuple[Programs, ...] = ()

    @model_serializer(mode="wrap")
    def _without_the_empty(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = handler(self)
        if not self.questions:
            written.pop("spent", None)
        return {key: value for key, value in written.items() if value not in ((), [], {})}


class RunResult(Record):
    """``verdict`` and ``controls`` are keyed by the control's name (``native``, ``random``).

    ``earlier`` holds the confirmations before the one of ``best``, the oldest first. ``planning`` says what the planner
    did; it is left out of the JSON where nothing is known of it.
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
    planning: Planning | None = None

    @model_serializer(mode="wrap")
    def _without_no_planning(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = handler(self)
        if self.planning is None:
            written.pop("planning", None)
        return written


def inherited_steps(run: str, trials: Sequence[Trial]) -> int:
    """Learning steps behind the starting policies that came from outside this run, each policy counted once."""
    starts = (one.design.start for trial in trials for one in trial.candidates)
    outside = {
        start.hash: start.lineage_steps
        for start in starts
        if start is not None and not start.path.startswith(f"runs/{run}/")
    }
    return sum(outside.values())
