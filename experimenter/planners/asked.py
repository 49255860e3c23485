"""When two runs ask the same: a question's id, from everything that an answer may hang on and nothing else."""

from __future__ import annotations

from experimenter.identity import digest
from experimenter.questions import Question
from experimenter.records import Budget, Json

__all__ = ["question_id", "without_volatile", "written_id"]


def question_id(question: Question) -> str:
    """The question's id, whichever run asks it: the same words give the same id."""
    return written_id(question.kind, question.model_dump(mode="json"))


def written_id(kind: str, question: Json) -> str:
    """The same of a question's JSON, as archives hold it."""
    return digest([kind, without_volatile(question)])


def without_volatile(written: Json) -> Json:
    """A question's JSON without what differs between runs that decide alike: how fast the environment was stepped,
    and what the run may spend."""
    if not isinstance(written, dict):
        return written
    found = dict(written)
    card, goal = found.get("card"), found.get("goal")
    if isinstance(card, dict) and isinstance(card.get("random"), dict):
        found["card"] = {**card, "random": {**card["random"], "steps_per_second": 0.0}}
    if isinstance(goal, dict):
        found["goal"] = {**goal, "budget": Budget().model_dump(mode="json")}
    return found
