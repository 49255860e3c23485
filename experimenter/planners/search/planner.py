"""The built-in planner: each question goes to the module that answers it. Nothing is remembered between questions."""

from __future__ import annotations

from typing import ClassVar

from experimenter.planners.search import offpolicy
from experimenter.planners.search.curves import read_curve
from experimenter.planners.search.decompose import decompose
from experimenter.planners.search.environments import design_environments
from experimenter.planners.search.evolution import next_generation, repaired
from experimenter.planners.search.hyperparameters import choose
from experimenter.planners.search.lessons import reflect
from experimenter.planners.search.lever import choose_lever
from experimenter.planners.search.offpolicy import ALGORITHMS as OFF_POLICY
from experimenter.planners.search.render import program
from experimenter.planners.search.rollouts import rank
from experimenter.planners.search.tasks import propose_tasks
from experimenter.questions import (
    Answer,
    ChooseHyperparameters,
    ChooseLever,
    Decompose,
    DesignEnvironments,
    HyperparameterChoices,
    ProposeTasks,
    Question,
    RankRollouts,
    ReadCurve,
    Reflect,
    Refusal,
    RewardPrograms,
    WriteRewards,
    WriteSuccessTest,
)

__all__ = ["SearchPlanner"]


class SearchPlanner:
    """Answers every question by search, without a language model and without a key."""

    contract: ClassVar[int] = 1
    name: ClassVar[str] = "search"
    notice: ClassVar[str] = (
        "Questions are answered by the built-in search planner; the wording of the wish is not read. To ask a language "
        "model: --planner llm."
    )

    def answer(self, question: Question) -> Answer:
        """A pure function of the question; ``Refusal`` for what search cannot do."""
        match question:
            case WriteRewards():
                return write_rewards(question)
            case ChooseHyperparameters():
                return choose_hyperparameters(question)
            case DesignEnvironments():
                return design_environments(question)
            case ChooseLever():
                return choose_lever(question)
            case ReadCurve():
                return read_curve(question)
            case Reflect():
                return reflect(question)
            case ProposeTasks():
                return propose_tasks(question)
            case Decompose():
                return decompose(question)
            case RankRollouts():
                return rank(question)
            case WriteSuccessTest():
                return refuse_success_test()
        return Refusal(reason=f"the search planner does not know the question {question.kind}.")


def write_rewards(question: WriteRewards) -> Answer:
    """New programs, or the repair of the one that failed."""
    children = (repaired(question),) if question.failed is not None else next_generation(question)
    programs = tuple(program(child.shaping, parents=child.parents) for child in children)
    return (
        RewardPrograms(programs=programs)
        if programs
        else Refusal(reason="the grammar of rewards is exhausted.")
    )


def choose_hyperparameters(question: ChooseHyperparameters) -> Answer:
    """Settings of the kind that the question has."""
    if question.off_policy is not None and question.algorithm not in OFF_POLICY:
        return Refusal(reason=f"the search planner does not know the settings of {question.algorithm}.")
    off_policy = () if question.off_policy is None else offpolicy.choose(question)
    choices = choose(question) if question.off_policy is None else ()
    if not choices and not off_policy:
        return Refusal(reason="every setting in reach of the search was tried.")
    return HyperparameterChoices(choices=choices, off_policy=off_policy)


def refuse_success_test() -> Refusal:
    return Refusal(
        reason="the judge must be declared: --judge return>=NUMBER, length>=NUMBER or info:KEY; "
        "the search planner writes no success test."
    )
