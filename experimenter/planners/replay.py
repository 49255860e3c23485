"""The planner that answers from the archive of an earlier run: the same decisions, no key, nothing paid.

Keyed by the question's id alone. A question that the archive does not hold ends the replay: whatever came after it
would be another run's decisions under this one's name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from pydantic import ValidationError

from experimenter.config import Settings
from experimenter.errors import ConfigError, ExperimenterError
from experimenter.planners.archive import Archive, ArchivedExchange
from experimenter.planners.asked import question_id
from experimenter.planners.desk import Desk
from experimenter.planners.llm.notes import Note
from experimenter.questions import Answer, Question, Refusal

__all__ = ["ReplayEnded", "ReplayPlanner", "Replayed"]

USAGE_VERSION: Final = 1


class ReplayEnded(ExperimenterError):
    """The archive has no answer to a question of the run."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """An archived answer, with what it cost then: charged as ``replayed``, never to this run."""

    answer: Answer
    planner: str
    archived: Any
    notes: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()

    def usage(self) -> dict[str, Any]:
        said = {"notes": list(self.notes)} if self.notes else {}
        return {"v": USAGE_VERSION, "planner": self.planner, "replayed": self.archived, **said}


class ReplayPlanner:
    """Answers from ``archive``; ``notes`` are this run's, so that a prompt that would differ can be told."""

    contract: ClassVar[int] = 1
    name: ClassVar[str] = "replay"
    notice: ClassVar[str] = (
        "Answers come from the archive of an earlier run: nobody is asked, and nothing is paid."
    )

    def __init__(self, archive: Archive, notes: Sequence[Note] = ()) -> None:
        self._run, self._notes = archive.run, tuple(notes)
        self._known: dict[str, ArchivedExchange] = {}
        for exchange in archive.exchanges:
            self._known.setdefault(exchange.question_id, exchange)

    @classmethod
    def opened(cls, desk: Desk) -> ReplayPlanner:
        if desk.archive is None:
            raise ConfigError("The replay names no run.", "Write --planner replay:RUN.")
        return cls(desk.archive, desk.notes)

    @classmethod
    def ready(cls, settings: Settings) -> None:
        """Raises ConfigError for a replay that would ask somebody else as well."""
        if settings.routes:
            raise ConfigError(
                "A replay answers every question from its archive, and has no routes.", "Leave --route out."
            )

    def answer(self, question: Question) -> Answer:
        return self.consult(question).answer

    def consult(self, question: Question) -> Replayed:
        """The archived answer, refusals included. Raises ReplayEnded where there is none."""
        found = self._known.get(question_id(question))
        if found is None:
            raise ReplayEnded(
                f"The archive of {self._run} has no answer to this question of the kind {question.kind}.",
                "A replay needs the same wish, environment, seed, budget and settings as the run that it replays.",
            )
        used = _innermost(found.usage)
        notes = self._differences(question, used)
        return Replayed(_read(question, found), f"replay:{self._run}", used, notes)

    def _differences(self, question: Question, used: Any) -> tuple[str, ...]:
        then = used.get("prompt") if isinstance(used, dict) else None
        if not then or then == _prompt_hash(question, self._notes):
            return ()
        return (
            f"The prompt of {question.kind} is not what {self._run} sent: the notes or this release's templates differ."
            " Its answer is used all the same.",
        )


def _innermost(usage: Any) -> Any:
    """What the answer cost when it was asked for: a replay of a replay tells of the first."""
    while isinstance(usage, dict) and "replayed" in usage:
        usage = usage["replayed"]
    return usage


def _read(question: Question, found: ArchivedExchange) -> Answer:
    kind: type[Answer] = Refusal if found.answer.refused else question.answer_type
    try:
        return kind.model_validate(found.answer.answer)
    except ValidationError as cause:
        raise ReplayEnded(
            f"The archived answer to this question of the kind {question.kind} is none.",
            "The archive is damaged.",
        ) from cause


def _prompt_hash(question: Question, notes: Sequence[Note]) -> str:
    from experimenter.planners.llm.planner import form_of
    from experimenter.planners.llm.prompting import render

    form = form_of(question)
    return render(question, form.schema if form else None, tuple(notes)).hash
