"""What an examination may cost, before it is begun: the prompts are known, the replies are guessed from their kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from experimenter.planners.llm.calls import Pricing
from experimenter.planners.llm.model import ModelName, Usage
from experimenter.planners.llm.planner import form_of
from experimenter.planners.llm.prices import dollars
from experimenter.planners.llm.prompting import render
from experimenter.questions import Question

__all__ = ["Estimate", "estimate"]

_REPLY: Final[dict[str, int]] = {
    "choose_hyperparameters": 250,
    "design_environments": 200,
    "write_rewards": 200,
    "read_curve": 60,
    "rank_rollouts": 60,
}
"""Tokens of a plain answer; a model that thinks before it answers writes several times as many."""

_PROGRAM: Final = 400


@dataclass(frozen=True, slots=True)
class Estimate:
    """Without repairs, which add to it. ``dollars`` is ``None`` where nobody knows the price."""

    questions: int
    calls: int
    input_tokens: int
    output_tokens: int
    dollars: float | None


def estimate(questions: Sequence[Question], name: ModelName, pricing: Pricing = dollars) -> Estimate:
    """For every question its prompt and a typical reply; a program takes a second call with the whole prompt."""
    calls = read = written = 0
    for question in questions:
        form = form_of(question)
        tokens, reply = render(question, form.schema if form else None).tokens, _REPLY[question.kind]
        calls, read, written = calls + 1, read + tokens, written + reply
        if question.kind == "write_rewards":
            calls, read, written = calls + 1, read + tokens + reply, written + _PROGRAM
    price = pricing(name, Usage(input_tokens=read, output_tokens=written))
    return Estimate(len(questions), calls, read, written, price)
