"""Reward programs from a model: ideas first, then a program for each in a call of its own, and the repair of one."""

from __future__ import annotations

from typing import Any

from experimenter.identity import canonical_json
from experimenter.planners.llm.asking import Talk, Unanswered
from experimenter.planners.llm.faults import LASTING, ModelFault
from experimenter.planners.llm.forms import Form, Idea
from experimenter.planners.llm.programs import checked_reward
from experimenter.planners.llm.prompting import Prompt, is_hidden, one_reward
from experimenter.questions import Answer, RewardPrograms, WriteRewards
from experimenter.records import RewardProgram

__all__ = ["repaired", "written"]


def written(question: WriteRewards, talk: Talk, prompt: Prompt, form: Form) -> Answer:
    """Ideas first, then a program for each, in a call of its own. One that stays wrong is given up alone."""
    thought: Any = talk.typed(prompt, form.schema, form.read)
    ideas: tuple[Idea, ...] = thought.ideas
    told = canonical_json({"ideas": [idea.model_dump() for idea in ideas]})
    tried = {attempt.reward.source for attempt in question.history if attempt.reward}
    found: list[RewardProgram] = []
    why = ""
    for index, idea in enumerate(ideas):
        before = len(talk.rejected)
        asked = one_reward(prompt, told, index, len(ideas), idea.name)
        try:
            source = _code(question, talk, asked, tried)
        except (Unanswered, ModelFault) as cause:
            if isinstance(cause, ModelFault) and cause.kind in LASTING:
                raise
            why = str(cause)
            talk.notes.append(f"The program {idea.name} was given up: {why}")
            if isinstance(cause, ModelFault):
                break
            continue
        tried.add(source)
        program = RewardProgram(name=idea.name, source=source, origin="llm")
        talk.mended += [program.hash] if len(talk.rejected) > before else []
        found.append(program)
    if not found:
        raise Unanswered(f"None of {len(ideas)} programs was written. {why}")
    return RewardPrograms(programs=tuple(found))


def repaired(question: WriteRewards, talk: Talk, prompt: Prompt) -> Answer:
    failed = question.failed
    assert failed is not None, "asked only of a program that failed"
    source = _code(question, talk, prompt, {failed.source})
    program = RewardProgram(name=failed.name, source=source, origin="llm", parents=(failed.hash,))
    talk.mended += [program.hash] if talk.rejected else []
    return RewardPrograms(programs=(program,))


def _code(question: WriteRewards, talk: Talk, prompt: Prompt, tried: set[str]) -> str:
    hidden = is_hidden(question)
    return talk.code(prompt, lambda code: checked_reward(code, question.card, hidden=hidden, tried=tried))
