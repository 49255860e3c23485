"""Hyperparameters by search with a model's proposals enqueued: they are trained first, and search learns from them.

Search rebuilds its study from the journal at every ask, so that what a model proposed counts there as every other
trial does. Neither waits for the other: where the model has nothing to say, search fills its places.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from experimenter.contracts import Planner
from experimenter.planners.llm.calls import Consultation
from experimenter.planners.llm.route import consulted, whom_of
from experimenter.questions import (
    Answer,
    ChooseHyperparameters,
    HyperparameterChoices,
    Question,
    Refusal,
)

__all__ = ["Enqueued"]


@dataclass
class Enqueued:
    """``model`` proposes up to half of the settings where there is more than one, ``search`` the rest."""

    contract: ClassVar[int] = 1
    name: ClassVar[str] = "enqueued"
    notice: ClassVar[str] = "Hyperparameters are chosen by search, with a model's proposals tried first."

    model: Planner
    search: Planner

    def whom(self, kind: str) -> str:
        """The model that will be asked, where one will be."""
        return whom_of(self.model, kind)

    def answer(self, question: Question) -> Answer:
        return self.consult(question).answer

    def consult(self, question: Question) -> Consultation:
        """The model's proposals first; without any, search's answer with a note that says why."""
        if not isinstance(question, ChooseHyperparameters) or question.count < 2:
            return consulted(self.search, question)
        asked = question.model_copy(update={"count": question.count // 2})
        proposed, found = consulted(self.model, asked), self.search.answer(question)
        if isinstance(proposed.answer, Refusal):
            said = f"No settings were proposed, so all are the planner {self.search.name}'s: {proposed.answer.reason}"
            return replace(proposed, answer=found, planner=self.search.name, notes=(*proposed.notes, said))
        first = _settings(proposed.answer)
        others = [] if isinstance(found, Refusal) else [one for one in _settings(found) if one not in first]
        chosen = tuple([*first, *others][: question.count])
        kind = "choices" if question.off_policy is None else "off_policy"
        answer = HyperparameterChoices.model_validate({kind: chosen})
        return replace(proposed, answer=answer, planner=self.name)


def _settings(answer: Answer) -> tuple[Any, ...]:
    assert isinstance(answer, HyperparameterChoices), "planners answer by the question's type, or refuse"
    return answer.choices or answer.off_policy
