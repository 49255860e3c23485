"""What third parties test their plug-ins with: contract checks, and a planner that follows a script.

Each ``check_*`` raises AssertionError with a sentence that says which clause of the contract is broken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ClassVar

from experimenter.contracts import CONTRACT, Ask, Curriculum, Family, Planner, RunView
from experimenter.envs.records import EnvCard, Feature, FeatureSource, RandomRollouts
from experimenter.errors import ExperimenterError
from experimenter.questions import (
    QUESTIONS,
    Answer,
    ChooseHyperparameters,
    ChooseLever,
    Decompose,
    DesignEnvironments,
    ProposeTasks,
    Question,
    RankRollouts,
    ReadCurve,
    Reflect,
    Refusal,
    RolloutSummary,
    SkillSummary,
    WriteRewards,
    WriteSuccessTest,
)
from experimenter.records import CurvePoint, EnvSpec, Goal, Hyperparameters, TrueReturn

__all__ = [
    "ScriptedPlanner",
    "ask_of",
    "check_curriculum",
    "check_family",
    "check_planner",
    "example_card",
    "example_questions",
    "example_view",
]

Script = Mapping[str, Answer | Callable[[Question], Answer]]


class ScriptedPlanner:
    """Answers each kind of question from a script: one answer, or a function of the question; else refuses."""

    contract: ClassVar[int] = CONTRACT
    name: ClassVar[str] = "scripted"
    notice: ClassVar[str] = "Questions are answered from a script."

    def __init__(self, script: Script) -> None:
        unknown = set(script) - {question.kind for question in QUESTIONS}
        if unknown:
            raise ValueError(f"no such questions: {', '.join(sorted(unknown))}")
        self._script = dict(script)

    def answer(self, question: Question) -> Answer:
        scripted = self._script.get(question.kind)
        if scripted is None:
            return Refusal(reason=f"the script has no answer to {question.kind}")
        return scripted if isinstance(scripted, Answer) else scripted(question)


def ask_of(planner: Planner) -> Ask:
    """The planner as the loop's ``Ask``: a refusal becomes an ExperimenterError."""

    def ask(question: Question) -> Answer:
        answer = planner.answer(question)
        if isinstance(answer, Refusal):
            raise ExperimenterError(f"The planner refused {question.kind}: {answer.reason}")
        return answer

    return ask


def check_planner(planner: Planner, card: EnvCard | None = None) -> None:
    """Identity, answer types and purity over one question of each kind."""
    _check_identity(planner, Planner)
    assert planner.notice.strip() and "\n" not in planner.notice, "notice must be one line"
    for question in example_questions(card or example_card()):
        first, second = planner.answer(question), planner.answer(question.model_copy(deep=True))
        wanted = (question.answer_type, Refusal)
        assert isinstance(first, wanted), (
            f"{question.kind} must be answered by {question.answer_type.__name__}"
        )
        assert first == second, f"{question.kind}: the same question must get the same answer"
        assert type(first).model_validate_json(first.model_dump_json()) == first, (
            "an answer must survive JSON"
        )


def check_curriculum(curriculum: Curriculum, planner: Planner, view: RunView | None = None) -> None:
    """Identity; proposals and designs of a first and a later cycle that keep to the view's limits."""
    _check_identity(curriculum, Curriculum)
    view = view or example_view()
    for cycle in (view.cycle, view.cycle + 1):
        now = view.model_copy(update={"cycle": cycle})
        task = curriculum.propose(now, ask_of(planner))
        assert task == curriculum.propose(now, ask_of(planner)), "propose must be pure"
        if task is None:
            continue
        designs = curriculum.design(task, now, ask_of(planner))
        assert designs == curriculum.design(task, now, ask_of(planner)), "design must be pure"
        assert 1 <= len(designs) <= now.max_designs, "design must give between one and max_designs designs"
        assert len({design.name for design in designs}) == len(designs), "designs' names must differ"
        assert all(d.steps == now.design_steps for d in designs), "designs must take design_steps steps"
        assert all(d.seeds == () for d in designs), "the loop chooses seeds"


def check_family(family: Family, spec: EnvSpec) -> None:
    """Identity; makes ``spec``; its schema names each parameter once; repair keeps a valid configuration."""
    _check_identity(family, Family)
    assert family.owns(spec.id), "a family must own the environments that it is checked with"
    env = family.make(spec)
    try:
        observation, _ = env.reset(seed=0)
        assert env.observation_space.contains(observation), "reset must return an observation of the space"
    finally:
        env.close()
    schema = family.schema(spec)
    assert len({p.name for p in schema}) == len(schema), "a parameter must be named once"
    repaired, changes = family.repair(spec, schema)
    assert repaired == spec and not changes, "a valid configuration must not be changed"


def example_card() -> EnvCard:
    """A small card made by hand: a car with a position, a velocity and a flag for having met the goal."""

    def number(name: str, index: int, reach: float) -> Feature:
        source = FeatureSource(index=index)
        low, high = -reach, reach
        return Feature(
            name=name, low=low, high=high, measured_low=low / 2, measured_high=high / 2, source=source
        )

    flag = Feature(name="at_goal", kind="flag", low=0, high=1, source=FeatureSource(index=2))
    ever = FeatureSource(rule="ever", of="at_goal")
    return EnvCard(
        spec=EnvSpec(id="Example-v0"),
        observation_space={},
        action_space={},
        action_kind="discrete",
        features=(
            number("position", 0, 1.0),
            number("velocity", 1, 0.1),
            flag,
            Feature(name="ever_at_goal", kind="flag", low=0, high=1, source=ever),
        ),
        random=RandomRollouts(
            episodes=10,
            steps=1000,
            reward_min=-1.0,
            reward_mean=-1.0,
            reward_max=-1.0,
            reward_distinct=1,
            nonzero_share=1.0,
            return_mean=-100.0,
            return_std=0.0,
            length_mean=100.0,
            length_max=100,
            terminated_share=0.0,
        ),
        max_episode_steps=100,
    )


def example_view(card: EnvCard | None = None) -> RunView:
    """The beginning of a run on ``card``."""
    card = card or example_card()
    goal = Goal(wish="reach the goal", environment=card.spec)
    return RunView(
        goal=goal, card=card, cycle=0, design_steps=50_000, search_steps_left=200_000, max_designs=4
    )


def example_questions(card: EnvCard) -> Iterator[Question]:
    """One question of every kind about ``card``, with an empty journal."""
    goal = Goal(wish="reach the goal", environment=card.spec)
    base = Hyperparameters()
    yield ProposeTasks(goal=goal, card=card, count=2)
    yield Decompose(wanted=("open",), have=(), skills=(SkillSummary(name="open_door", gives=("open",)),))
    yield DesignEnvironments(card=card, target=card.spec, count=2)
    yield WriteRewards(goal=goal, card=card, count=3)
    yield ChooseHyperparameters(card=card, algorithm="ppo", base=base, count=3, steps=50_000)
    yield ReadCurve(points=tuple(_points((0.0, 1.0, 2.0, 3.0, 4.0))))
    yield RankRollouts(
        rollouts=(RolloutSummary(id="a", hidden_score=1), RolloutSummary(id="b", hidden_score=2))
    )
    yield Reflect(goal=goal, card=card, lever="reward", attempts=())
    yield WriteSuccessTest(goal=goal, card=card)
    yield ChooseLever(card=card, available=("reward", "hyperparameters"))


def _points(values: Sequence[float]) -> list[CurvePoint]:
    return [CurvePoint(steps=1000 * (i + 1), true_return=TrueReturn(v)) for i, v in enumerate(values)]


def _check_identity(plugin: Planner | Curriculum | Family, protocol: type) -> None:
    assert isinstance(plugin, protocol), f"a plug-in must provide all of {protocol.__name__}"
    assert plugin.contract == CONTRACT, f"contract must be {CONTRACT}"
    assert plugin.name.strip(), "a plug-in needs a name"
