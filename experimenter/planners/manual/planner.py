"""The planner for whom somebody answers by hand: a person, with any chat window or none, or another program.

It asks what a language model would be asked, in the same words, and takes an answer by the same checks; only nobody
is in a hurry, and nothing is paid.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from experimenter.planners.llm.asking import Limits
from experimenter.planners.llm.calls import CallLog, Consultation, Kept
from experimenter.planners.llm.notes import Note
from experimenter.planners.llm.planner import LLMPlanner
from experimenter.planners.manual.client import ManualClient
from experimenter.questions import Answer, Question, RewardPrograms

if TYPE_CHECKING:
    from experimenter.planners.desk import Desk

__all__ = ["FOLDER", "ManualPlanner"]

FOLDER: Final = "questions"
_PATIENT: Final = Limits(call_seconds=math.inf, seconds=math.inf)


def _unknown(_kind: str) -> int | None:
    return None


class ManualPlanner:
    """``client`` writes questions and waits for their answers; the rest is as in ``LLMPlanner``."""

    contract: ClassVar[int] = 1
    name: ClassVar[str] = "manual"
    notice: ClassVar[str] = (
        "Questions are written as files and wait until somebody answers them: experimenter answer."
    )

    def __init__(
        self,
        client: ManualClient,
        notes: Sequence[Note] = (),
        log: CallLog | None = None,
        ordinal: Callable[[str], int | None] = _unknown,
    ) -> None:
        self._planner = LLMPlanner(
            clients=lambda _role: client,
            notes=tuple(notes),
            limits=_PATIENT,
            log=Kept() if log is None else log,
            ordinal=ordinal,
        )

    @classmethod
    def opened(cls, desk: Desk) -> ManualPlanner:
        """Questions stand in the folder ``questions`` of the run's own."""
        client = ManualClient(desk.folder / FOLDER, desk.stop, desk.say, _command(desk.folder))
        return cls(client, desk.notes, desk.log, desk.ordinal)

    def answer(self, question: Question) -> Answer:
        """The answer alone; ``consult`` says how it came about."""
        return self.consult(question).answer

    def consult(self, question: Question) -> Consultation:
        """Waits until somebody answers. Raises Stopped where the run is asked to stop before that."""
        found = self._planner.consult(question)
        return replace(found, planner=self.name, answer=_by_a_person(found.answer))


def _by_a_person(answer: Answer) -> Answer:
    """Programs say who wrote them, as far as we know."""
    if not isinstance(answer, RewardPrograms):
        return answer
    signed = tuple(one.model_copy(update={"origin": "person"}) for one in answer.programs)
    return answer.model_copy(update={"programs": signed})


def _command(folder: Path) -> str:
    """What a person types to answer a question of the run in ``folder``, wherever its workspace is."""
    root = folder.absolute().parent.parent
    there = "" if root == Path("experiments").absolute() else f" --workspace {shlex.quote(str(root))}"
    return f"experimenter answer {folder.name}{there}"
