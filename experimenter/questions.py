"""The typed questions that cross from the loop to whoever plans, each with its answer. Nothing else crosses.

A planner is a pure function of the question, which carries the journal's relevant part (``history``) and a derived
``seed``. A language model, the search planner, a replay and a person answer the same ones.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from experimenter.envs.records import EnvCard
from experimenter.records import (
    CurvePoint,
    Diagnosis,
    EnvSpec,
    Goal,
    Hyperparameters,
    Lesson,
    Lever,
    OffPolicySettings,
    Record,
    RewardProgram,
    Task,
    WeightedEnv,
)


def _without(written: dict[str, Any], name: str, usual: Any) -> dict[str, Any]:
    """A later field is written only where it says something, so that older questions keep their ids."""
    return {key: value for key, value in written.items() if key != name or value not in (usual, [])}


class Answer(Record):
    """Base of every answer."""


class Refusal(Answer):
    """A typed no: the planner does not answer this, and says why."""

    reason: str


class Question(Record):
    """Base of every question. ``kind`` is its name; ``answer_type`` is what an answer must be."""

    kind: ClassVar[str]
    answer_type: ClassVar[type[Answer]]
    seed: int = 0


class Attempt(Record):
    """One line of the journal as a planner sees it: a candidate design and what came of it."""

    trial: str
    cycle: int
    lever: Lever
    environments: tuple[WeightedEnv, ...]
    reward: RewardProgram | None
    hyperparameters: Hyperparameters
    steps: int
    true_return: float | None = None
    success_rate: float | None = None
    reach: float = 0.0
    diagnosis: Diagnosis | None = None
    error: str = ""
    best: bool = False
    effect: float | None = None
    off_policy: OffPolicySettings | None = None
    """What an algorithm that learns from a replay buffer was trained with; left out elsewhere."""

    @model_serializer(mode="wrap")
    def _without_the_usual(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _without(handler(self), "off_policy", None)


class TaskProposals(Answer):
    tasks: tuple[Task, ...] = Field(min_length=1)


class ProposeTasks(Question):
    kind = "propose_tasks"
    answer_type = TaskProposals
    goal: Goal
    card: EnvCard
    history: tuple[Attempt, ...] = ()
    lessons: tuple[Lesson, ...] = ()
    skills: tuple[str, ...] = ()
    count: int = 1


class Decomposition(Answer):
    """Ordered skills, or the ``gap``: what is missing and should be learned next."""

    skills: tuple[str, ...] = ()
    gap: str | None = None


class SkillSummary(Record):
    name: str
    requires: tuple[str, ...] = ()
    gives: tuple[str, ...] = ()


class Decompose(Question):
    kind = "decompose"
    answer_type = Decomposition
    wanted: tuple[str, ...]
    have: tuple[str, ...] = ()
    skills: tuple[SkillSummary, ...] = ()


class EnvironmentMixtures(Answer):
    """Each is one training mixture: environments with weights, the target itself among them where wanted."""

    mixtures: tuple[tuple[WeightedEnv, ...], ...] = Field(min_length=1)
    reasons: tuple[str, ...] = ()


class DesignEnvironments(Question):
    kind = "design_environments"
    answer_type = EnvironmentMixtures
    card: EnvCard
    target: EnvSpec
    count: int
    history: tuple[Attempt, ...] = ()
    error: str = ""


class RewardPrograms(Answer):
    programs: tuple[RewardProgram, ...] = Field(min_length=1)


class WriteRewards(Question):
    """``repairs`` carries, for a failed program, its source and the exact error; then ``count`` is 1."""

    kind = "write_rewards"
    answer_type = RewardPrograms
    goal: Goal
    card: EnvCard
    count: int
    history: tuple[Attempt, ...] = ()
    lessons: tuple[Lesson, ...] = ()
    failed: RewardProgram | None = None
    error: str = ""


class HyperparameterChoices(Answer):
    """``choices``, or ``off_policy`` where the question has such settings; never both, and at least one."""

    choices: tuple[Hyperparameters, ...] = ()
    off_policy: tuple[OffPolicySettings, ...] = ()

    @model_validator(mode="after")
    def _one_kind(self) -> HyperparameterChoices:
        if bool(self.choices) == bool(self.off_policy):
            raise ValueError("an answer has choices of hyperparameters or of off-policy settings")
        return self

    @model_serializer(mode="wrap")
    def _without_the_usual(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _without(_without(handler(self), "off_policy", ()), "choices", ())


class ChooseHyperparameters(Question):
    """Where ``off_policy`` stands, the algorithm learns from a replay buffer: such settings are asked for."""

    kind = "choose_hyperparameters"
    answer_type = HyperparameterChoices
    card: EnvCard
    algorithm: str
    base: Hyperparameters
    count: int
    steps: int
    history: tuple[Attempt, ...] = ()
    off_policy: OffPolicySettings | None = None

    @model_serializer(mode="wrap")
    def _without_the_usual(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _without(handler(self), "off_policy", None)


class CurveReading(Answer):
    state: Literal["improving", "converged", "stuck", "collapsed", "too short"]
    keep_training: bool
    slope: float = 0.0
    low: float = 0.0
    high: float = 0.0


class ReadCurve(Question):
    kind = "read_curve"
    answer_type = CurveReading
    points: tuple[CurvePoint, ...]
    target: float | None = None


class RolloutSummary(Record):
    """One trajectory to be judged: in words, and as a ``strip`` of frames (a PNG) where a model may see it."""

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")
    id: str
    hidden_score: float
    words: str = ""
    strip: bytes = Field(default=b"", max_length=1_000_000)

    @model_serializer(mode="wrap")
    def _without_the_usual(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in handler(self).items() if key != "strip" or value}


class RolloutRanking(Answer):
    """Ids from best to worst."""

    order: tuple[str, ...]


class RankRollouts(Question):
    kind = "rank_rollouts"
    answer_type = RolloutRanking
    rollouts: tuple[RolloutSummary, ...]
    error_rate: float = Field(default=0.0, ge=0.0, le=1.0)


class Reflection(Answer):
    sentence: str | None = None
    keep_skill: bool = False
    skill_description: str = ""


class Reflect(Question):
    kind = "reflect"
    answer_type = Reflection
    goal: Goal
    card: EnvCard
    lever: Lever
    attempts: tuple[Attempt, ...]
    baseline: Attempt | None = None
    effect: float | None = None
    target: float | None = None
    repeated: bool = True
    """False for a lead so small that it had to be trained again, and was not: it may be luck, and was not taken."""

    @model_serializer(mode="wrap")
    def _without_the_usual(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = handler(self)
        if self.repeated:
            del written["repeated"]
        return written


class SuccessTest(Answer):
    source: str


class WriteSuccessTest(Question):
    """After a test that was refused, ``failed`` is its source and ``error`` what was wrong with it."""

    kind = "write_success_test"
    answer_type = SuccessTest
    goal: Goal
    card: EnvCard
    failed: str | None = None
    error: str = ""

    @model_serializer(mode="wrap")
    def _without_the_usual(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _without(_without(handler(self), "failed", None), "error", "")


class LeverChoice(Answer):
    lever: Lever
    reason: str


class ChooseLever(Question):
    kind = "choose_lever"
    answer_type = LeverChoice
    card: EnvCard
    available: tuple[Lever, ...] = Field(min_length=1)
    history: tuple[Attempt, ...] = ()


QUESTIONS: tuple[type[Question], ...] = (
    ProposeTasks,
    Decompose,
    DesignEnvironments,
    WriteRewards,
    ChooseHyperparameters,
    ReadCurve,
    RankRollouts,
    Reflect,
    WriteSuccessTest,
    ChooseLever,
)
