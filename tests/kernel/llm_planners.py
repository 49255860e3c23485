"""Planners over a script of replies, for tests that look at one question."""

from __future__ import annotations

from llm_samples import REPLIES, questions

from experimenter.planners.llm.planner import LLMPlanner
from experimenter.planners.llm.scripted import ScriptedAnswer, ScriptedClient

SAMPLES = questions()


def planner(replies, **changes):
    """Over a script of replies to one question, or to each kind."""
    entries = replies if isinstance(replies, dict) else {}
    answers = [ScriptedAnswer(kind=kind, replies=tuple(said), repeat=True) for kind, said in entries.items()]
    client = ScriptedClient(answers if answers else replies)
    return LLMPlanner(lambda role: client, **changes)


def told(name, replies=None, **changes):
    question = SAMPLES[name]
    said = REPLIES[name] if replies is None else replies
    return planner({question.kind: said}, **changes).consult(question)


def answered(name, replies=None):
    return told(name, replies).answer


def rejected(name, *wrong):
    """The error that the first reply earns; the second is the right one."""
    found = told(name, [*wrong, *REPLIES[name]])
    assert isinstance(found.answer, SAMPLES[name].answer_type), found.answer
    return " ".join(found.rejected)
