"""What was found: trainings, the judge's evaluations, diagnoses, trials, and the figures of a verdict."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from experimenter.records.base import Json, Lever, Record, ShapedReturn, TrueReturn
from experimenter.records.designs import Design, PolicyRef, Task


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
        "method finding",
    ]
    detail: str
    component: str | None = None
    value: float | None = None


class Rival(Record):
    """What a training of the search is up against: ``name`` in words (``"the champion of t3"``) and its true score."""

    name: str
    score: TrueReturn


class Stop(Record):
    """Why a training of the search was ended early, in one word and in one sentence with its figures."""

    reason: Literal["plateau", "collapse", "forecast"]
    sentence: str


class Training(Record):
    """What came out of training one design with one seed, up to ``steps``.

    ``stopped`` says which rule ended it before its time; a training that none did is written as it always was.
    """

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
    stopped: Stop | None = None

    @model_serializer(mode="wrap")
    def _without_no_stop(self, handler: SerializerFunctionWrapHandler) -> dict[str, Json]:
        written: dict[str, Json] = handler(self)
        if self.stopped is None:
            written.pop("stopped", None)
        return written


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
    how often the run's budget had been raised. ``success_rates`` holds one rate per training seed, in the order of
    ``scores``; ``evaluations`` the judge's steps behind them, one for each training that has a policy.
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
    success_rates: tuple[float, ...] = ()
    evaluations: tuple[str, ...] = ()
