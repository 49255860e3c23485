"""What flows between the stops of the loop: frozen records, each with a version (``contracts.md``).

True and shaped returns are different types here. ``TrueReturn`` is the environment's own undiscounted return,
and only the frozen judge makes one; ``ShapedReturn`` is what a reward program paid. Neither converts to the other.
"""

from __future__ import annotations

from typing import Any, Literal, NewType

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from experimenter.identity import digest, valid_name

TrueReturn = NewType("TrueReturn", float)
ShapedReturn = NewType("ShapedReturn", float)

Lever = Literal["native", "environment", "reward", "hyperparameters", "curriculum", "random"]
Json = Any


class Record(BaseModel):
    """Base of everything stored: frozen, closed, no NaN, versioned."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    v: Literal[1] = 1


class EnvSpec(Record):
    """A Gymnasium environment that can be rebuilt: ``id`` (also ``module:Id``) and constructor parameters."""

    id: str
    kwargs: dict[str, Json] = Field(default_factory=dict)
    family: str = "gymnasium"

    @property
    def hash(self) -> str:
        return digest(self)


class Budget(Record):
    """Limits in four currencies; ``None`` is no limit. Steps are learning steps of single sub-environments."""

    env_steps: int | None = Field(default=None)
    seconds: float | None = Field(default=None)
    tokens: int | None = Field(default=None)
    dollars: float | None = Field(default=None)


class Goal(Record):
    """What the person asked for."""

    wish: str
    environment: EnvSpec
    judge: str | None = None
    judge_visibility: Literal["open", "hidden"] = "open"
    target: float | None = None
    budget: Budget = Budget()
    seed: int = Field(default=0, ge=0, lt=2**63)


class RewardProgram(Record):
    """Python source of ``def reward(t)``; see ``docs/reward-programs.md`` for the exact contract."""

    name: str
    source: str = Field(max_length=20_000)
    origin: str = "search"
    parents: tuple[str, ...] = ()

    @property
    def hash(self) -> str:
        return digest(self.source)


class Hyperparameters(Record):
    """PPO's settings, by the field's own names. ``num_steps`` is per sub-environment and rollout."""

    num_envs: int = Field(default=8, ge=1, le=256)
    num_steps: int = Field(default=128, ge=1, le=4096)
    minibatch_size: int = Field(default=256, ge=8, le=65536)
    update_epochs: int = Field(default=4, ge=1, le=50)
    learning_rate: float = Field(default=1e-3, gt=0, le=0.1)
    anneal_learning_rate: bool = True
    gamma: float = Field(default=0.99, ge=0.0, le=1.0)
    gae_lambda: float = Field(default=0.95, ge=0.0, le=1.0)
    clip_coef: float = Field(default=0.2, gt=0, le=1.0)
    ent_coef: float = Field(default=0.01, ge=0.0, le=1.0)
    vf_coef: float = Field(default=0.5, ge=0.0, le=10.0)
    max_grad_norm: float = Field(default=0.5, gt=0.0)
    normalize_observations: bool = True
    normalize_rewards: bool = True

    @property
    def rollout(self) -> int:
        """Transitions in one rollout."""
        return self.num_envs * self.num_steps


class Network(Record):
    """A multi-layer perceptron for the policy and another of the same shape for the value."""

    hidden: tuple[int, ...] = (64, 64)
    activation: Literal["tanh", "relu"] = "tanh"


class PolicyRef(Record):
    """A stored policy: ``path`` is relative to the workspace, ``hash`` is verified at every load.

    ``lineage_steps`` counts every learning step behind it, across runs.
    """

    path: str
    hash: str
    lineage_steps: int = Field(ge=0)


class WeightedEnv(Record):
    environment: EnvSpec
    weight: float = Field(default=1.0, gt=0)


class Phase(Record):
    """One stretch of training: a mixture of environments under one reward (``None`` is the native one)."""

    environments: tuple[WeightedEnv, ...] = Field(min_length=1)
    reward: RewardProgram | None = None
    hyperparameters: Hyperparameters = Hyperparameters()
    steps: int = Field(gt=0)


class Design(Record):
    """Everything a training needs. Its ``hash`` leaves out the name and the seeds."""

    name: str
    phases: tuple[Phase, ...] = Field(min_length=1)
    start: PolicyRef | None = None
    algorithm: str = "ppo"
    network: Network = Network()
    seeds: tuple[int, ...] = ()
    origin: str = "search"
    parent: str | None = None

    @field_validator("name")
    @classmethod
    def _valid_name(cls, name: str) -> str:
        if not valid_name(name):
            raise ValueError("a design's name is [a-z][a-z0-9_]{0,39}")
        return name

    @property
    def hash(self) -> str:
        return digest([self.phases, self.start, self.algorithm, self.network])

    @property
    def steps(self) -> int:
        return sum(phase.steps for phase in self.phases)

    @property
    def lineage_steps(self) -> int:
        return self.start.lineage_steps if self.start else 0

    def with_steps(self, total: int) -> Design:
        """The same design with its phases stretched or shrunk, in proportion, to ``total`` steps (> 0)."""
        old, left, phases = self.steps, total, []
        for phase in self.phases[:-1]:
            share = max(1, round(total * phase.steps / old))
            phases.append(phase.model_copy(update={"steps": share}))
            left -= share
        last = self.phases[-1].model_copy(update={"steps": max(1, left)})
        return self.model_copy(update={"phases": (*phases, last)})


class Task(Record):
    """What to learn next."""

    name: str
    sentence: str
    environment: EnvSpec
    success: str = "the environment's own"
    reason: str = ""
    lever: Lever = "native"

    @field_validator("name")
    @classmethod
    def _valid_name(cls, name: str) -> str:
        if not valid_name(name):
            raise ValueError("a task's name is [a-z][a-z0-9_]{0,39}")
        return name


class CurvePoint(Record):
    """One chunk's end. ``true_return`` is the judge's mean over validation episodes; the rest is from training."""

    steps: int
    true_return: TrueReturn | None = None
    success_rate: float | None = None
    shaped_return: ShapedReturn | None = None
    reach: float = 0.0
    entropy: float = 0.0
    approx_kl: float = 0.0
    explained_variance: float = 0.0
    components: dict[str, float] = Field(default_factory=dict)


class ComponentTrace(Record):
    """A reward component over training: statistics per transition at up to 10 points, and its share of |reward|."""

    name: str
    minimum: tuple[float, ...]
    mean: tuple[float, ...]
    maximum: tuple[float, ...]
    share: float
    correlation: float | None = None


class Fault(Record):
    """One named fault, with the figure that showed it."""

    name: Literal[
        "dead component",
        "constant component",
        "dominated component",
        "flooding",
        "plateau",
        "collapse",
        "reward hacking",
        "sparse beyond reach",
        "dormant units",
        "training failed",
        "not checked",
    ]
    detail: str
    component: str | None = None
    value: float | None = None


class Training(Record):
    """What came out of training one design with one seed, up to ``steps``."""

    step: str
    design: str
    seed: int
    status: Literal["finished", "failed", "stopped"]
    steps: int
    env_steps: int
    eval_steps: int = 0
    wasted_env_steps: int = 0
    seconds: float = 0.0
    policy: PolicyRef | None = None
    action_mode: Literal["greedy", "sample"] = "greedy"
    curve: tuple[CurvePoint, ...] = ()
    components: tuple[ComponentTrace, ...] = ()
    dormant_share: float = 0.0
    reach: float = 0.0
    containment: str = "none needed"
    error: str = ""


class JudgeSpec(Record):
    """Which success measure applies and who declared it. The true score is always the undiscounted native return.

    ``kind``: ``none``; ``family`` asks the environment's family; ``info`` reads the boolean ``key`` (true at any
    step of the episode); ``return_at_least`` and ``length_at_least`` compare with ``threshold``.
    """

    kind: Literal["none", "family", "info", "return_at_least", "length_at_least"] = "none"
    key: str = ""
    threshold: float = 0.0
    declared_by: Literal["goal", "family", "info", "nobody"] = "nobody"
    words: str = "no success measure: the true score is the undiscounted native return"


class Evaluation(Record):
    """The frozen judge's figures for one policy: a true return per held-out seed (one episode each)."""

    policy: str
    judge: str
    seeds: tuple[int, ...]
    scores: tuple[TrueReturn, ...]
    mean: TrueReturn
    success_rate: float | None = None
    subtasks: dict[str, tuple[float, ...]] = Field(default_factory=dict)
    lengths: tuple[int, ...] = ()
    eval_steps: int = 0
    action_mode: Literal["greedy", "sample"] = "greedy"

    @model_validator(mode="after")
    def _one_score_per_seed(self) -> Evaluation:
        if len(self.scores) != len(self.seeds):
            raise ValueError("an evaluation holds one score per seed")
        return self


class Diagnosis(Record):
    """Named faults, found by fixed code."""

    faults: tuple[Fault, ...] = ()
    curve: Literal["improving", "converged", "stuck", "collapsed", "too short"] = "too short"
    words: str = ""


class Candidate(Record):
    """One design of a trial with what became of it. ``rung`` is the last rung of halving that it reached.

    ``replicates`` are the judge's evaluations of the same design trained again with other seeds.
    """

    design: Design
    training: Training | None = None
    evaluation: Evaluation | None = None
    replicates: tuple[Evaluation, ...] = ()
    diagnosis: Diagnosis | None = None
    rung: int = 0
    discarded: str = ""
    repairs: int = 0

    @property
    def true_score(self) -> TrueReturn | None:
        """The mean over its training seeds; ``None`` where the judge never saw it."""
        if self.evaluation is None:
            return None
        means = [self.evaluation.mean, *(item.mean for item in self.replicates)]
        return TrueReturn(sum(means) / len(means))


class Trial(Record):
    """The journal's unit: one task, its candidates, which one stood out, and what it taught.

    ``effect`` is the best candidate's true score less that of the ``baseline`` trial's, on the same training seeds
    where both were replicated; ``accepted`` says whether it took the baseline's place.
    """

    id: str
    cycle: int
    task: Task
    lever: Lever
    candidates: tuple[Candidate, ...]
    best: int | None = None
    baseline: str | None = None
    effect: float | None = None
    accepted: bool = False
    verdict: str = ""

    @property
    def winner(self) -> Candidate | None:
        return None if self.best is None else self.candidates[self.best]


class Lesson(Record):
    """A sentence learned from trials, with the evidence it rests on."""

    id: str
    sentence: str
    environment: str
    lever: Lever
    trials: tuple[str, ...]
    evidence: dict[str, float] = Field(default_factory=dict)
    origin: str = "search"


class Skill(Record):
    """A certified policy, kept as a folder with a ``SKILL.md``."""

    name: str
    description: str
    environment: EnvSpec
    environment_hash: str
    policy: PolicyRef
    judge: str
    score: Interval
    success_rate: float | None = None
    reward: RewardProgram | None = None
    run: str = ""
    trial: str = ""


class Interval(Record):
    """An interquartile mean over training seeds with its 95 % bootstrap interval."""

    iqm: float
    low: float
    high: float
    seeds: int


class Comparison(Record):
    """One verdict: the winner against a named control."""

    control: str
    label: Literal["helped", "hurt", "indistinguishable"]
    difference: float
    low: float
    high: float
    p: float
    why: str = ""


class Arm(Record):
    """An arm of the final comparison: per-seed scores of policies confirmed on fresh seeds, and what it cost.

    The ``failed`` trainings among them ended without a policy and score what random actions score. ``epoch`` counts
    how often the run's budget had been raised.
    """

    name: str
    trainings: tuple[str, ...]
    scores: tuple[TrueReturn, ...]
    interval: Interval
    success_rate: float | None = None
    env_steps: int = 0
    eval_steps: int = 0
    failed: int = 0
    epoch: int = 0


Skill.model_rebuild()
