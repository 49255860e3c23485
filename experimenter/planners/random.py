"""The random planner: every answer drawn uniformly from the grammar or schema that the search planner searches.

It is the control that says whether planning helped: the same loop, trial count and budget, without the ideas.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from experimenter.identity import slug
from experimenter.planners.search import offpolicy
from experimenter.planners.search.environments import drawn_configuration, mixed, options
from experimenter.planners.search.hyperparameters import drawn
from experimenter.planners.search.planner import refuse_success_test
from experimenter.planners.search.render import program
from experimenter.planners.search.vocabulary import pick, vocabulary
from experimenter.questions import (
    Answer,
    ChooseHyperparameters,
    ChooseLever,
    CurveReading,
    Decompose,
    Decomposition,
    DesignEnvironments,
    EnvironmentMixtures,
    HyperparameterChoices,
    LeverChoice,
    ProposeTasks,
    Question,
    RankRollouts,
    ReadCurve,
    Reflect,
    Reflection,
    Refusal,
    RewardPrograms,
    RolloutRanking,
    TaskProposals,
    WriteRewards,
    WriteSuccessTest,
)
from experimenter.records import EnvSpec, Task

__all__ = ["RandomPlanner"]

STATES: tuple[Literal["improving", "converged", "stuck", "collapsed"], ...] = (
    "improving",
    "converged",
    "stuck",
    "collapsed",
)


class RandomPlanner:
    """Draws every answer uniformly; reads neither the journal nor the wish."""

    contract: ClassVar[int] = 1
    name: ClassVar[str] = "random"
    notice: ClassVar[str] = (
        "Questions are answered by uniform draws: this is a control, not a planner to use."
    )

    def answer(self, question: Question) -> Answer:
        """A pure function of the question, whose seed decides the draws."""
        rng = np.random.default_rng([question.seed, len(getattr(question, "history", ()))])
        match question:
            case WriteRewards():
                return _rewards(question, rng)
            case ChooseHyperparameters():
                return _hyperparameters(question, rng)
            case DesignEnvironments():
                return _environments(question, rng)
            case ChooseLever():
                return LeverChoice(lever=pick(rng, question.available), reason="drawn at random")
            case ReadCurve():
                return CurveReading(state=pick(rng, STATES), keep_training=bool(rng.integers(2)))
            case Reflect():
                return Reflection()
            case ProposeTasks():
                return _tasks(question, rng)
            case Decompose():
                return _decomposition(question, rng)
            case RankRollouts():
                order = [question.rollouts[int(i)].id for i in rng.permutation(len(question.rollouts))]
                return RolloutRanking(order=tuple(order))
            case WriteSuccessTest():
                return refuse_success_test()
        return Refusal(reason=f"the random planner does not know the question {question.kind}.")


def _rewards(question: WriteRewards, rng: np.random.Generator) -> Answer:
    words = vocabulary(question.card, hidden=question.goal.judge_visibility == "hidden")
    count = 1 if question.failed else question.count
    return RewardPrograms(programs=tuple(program(words.draw(rng), origin="random") for _ in range(count)))


def _hyperparameters(question: ChooseHyperparameters, rng: np.random.Generator) -> Answer:
    if (base := question.off_policy) is None:
        choices = tuple(drawn(rng, question.base, question.steps) for _ in range(question.count))
        return HyperparameterChoices(choices=choices)
    if question.algorithm not in offpolicy.ALGORITHMS:
        return Refusal(reason=f"the random planner does not know the settings of {question.algorithm}.")
    found = tuple(
        offpolicy.drawn(rng, question.algorithm, base, question.steps) for _ in range(question.count)
    )
    return HyperparameterChoices(off_policy=found)


def _environments(question: DesignEnvironments, rng: np.random.Generator) -> Answer:
    if not any(options(p) for p in question.card.parameters):
        return Refusal(reason=f"{question.target.id} has no parameters to draw.")
    mixtures = []
    for _ in range(question.count):
        variants = [
            drawn_configuration(question.target, question.card, rng) for _ in range(int(rng.integers(1, 3)))
        ]
        mixtures.append(mixed(question.target, variants))
    return EnvironmentMixtures(mixtures=tuple(mixtures), reasons=("drawn at random",) * len(mixtures))


def _tasks(question: ProposeTasks, rng: np.random.Generator) -> Answer:
    tasks: list[Task] = []
    for i in range(question.count):
        target: EnvSpec = question.goal.environment
        spec = drawn_configuration(target, question.card, rng) if rng.integers(2) else target
        name = slug(f"draw {i}", "draw", [task.name for task in tasks])
        lever: Literal["native", "environment"] = "native" if spec.hash == target.hash else "environment"
        tasks.append(
            Task(
                name=name,
                sentence=question.goal.wish,
                environment=spec,
                reason="drawn at random",
                lever=lever,
            )
        )
    return TaskProposals(tasks=tuple(tasks))


def _decomposition(question: Decompose, rng: np.random.Generator) -> Answer:
    """Some of the skills in any order; one of the wanted facts as the gap where there are none."""
    if not question.skills:
        return Decomposition(gap=pick(rng, question.wanted) if question.wanted else None)
    count = int(rng.integers(1, len(question.skills) + 1))
    return Decomposition(
        skills=tuple(question.skills[int(i)].name for i in rng.permutation(len(question.skills))[:count])
    )
