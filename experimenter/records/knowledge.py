"""What outlives a run: lessons and skills, with the evidence that they rest on, and what memory makes of them."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from experimenter.identity import digest
from experimenter.records.base import Json, Lever, Record, TrueReturn
from experimenter.records.designs import Design, EnvSpec, PolicyRef, RewardProgram
from experimenter.records.evidence import Evaluation, Interval, JudgeSpec


class Lesson(Record):
    """A sentence learned from trials, with the evidence it rests on.

    ``interval`` is the true score over training seeds, ``design`` what reached it; both only where it was confirmed.
    """

    id: str
    sentence: str
    environment: str
    lever: Lever
    trials: tuple[str, ...]
    evidence: dict[str, float] = Field(default_factory=dict)
    origin: str = "search"
    spec: EnvSpec | None = None
    interval: Interval | None = None
    design: Design | None = None


class Testimony(Record):
    """What a later trial (``run/trial``) says about an earlier lesson: whether its ``effect`` agrees."""

    __test__: ClassVar[bool] = False  # its name begins as pytest's test classes do
    lesson: str
    trial: str
    agrees: bool
    effect: float


class Fingerprint(Record):
    """What an environment does, its parts kept apart so that a change can be named; see ``envs.fingerprint``.

    ``trace`` holds the numbers of a short probe, a row per step: observation (projected where it is long), reward and
    flags. It is empty where the environment is not ``deterministic``. ``hash`` leaves the versions out.
    """

    environment: str
    parameters: dict[str, Json] = Field(default_factory=dict)
    observation: Json = None
    action: Json = None
    limit: int | None = None
    deterministic: bool = True
    trace: tuple[tuple[float, ...], ...] = ()
    dynamics: str = ""
    versions: dict[str, str] = Field(default_factory=dict)

    @property
    def hash(self) -> str:
        told = [self.environment, self.parameters, self.observation, self.action, self.limit, self.dynamics]
        return digest(told)


class Skill(Record):
    """A certified policy, kept as a folder with a ``SKILL.md``.

    ``score`` and ``success`` are over the training seeds of the confirmed arm (the evidence for the *design*);
    ``episodes`` is the judge's evaluation of this one policy, which was chosen on validation episodes.
    ``environment_hash`` is ``envs.fingerprint``'s: what the environment does, and not only what it is called.
    ``design`` is the whole frozen lineage, from scratch; ``requires`` and ``gives`` are for planning over skills.
    ``random_score`` is what random actions score. Where ``recertified`` says something, the environment changed
    after the certificate: then ``score`` is one policy's, and ``success`` a proportion's interval over episodes.
    """

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
    design: Design | None = None
    success: Interval | None = None
    judge_spec: JudgeSpec | None = None
    episodes: Evaluation | None = None
    parents: tuple[str, ...] = ()
    preconditions: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    gives: tuple[str, ...] = ()
    versions: dict[str, str] = Field(default_factory=dict)
    fingerprint: Fingerprint | None = None
    random_score: TrueReturn | None = None
    recertified: str = ""


class Method(Record):
    """A method skill: when to use it, what it needs, and the hook (``package.module:Class``) that implements it."""

    name: str
    description: str
    kind: Literal["reward", "start", "wrapper", "diagnostic"]
    when: str
    needs: str = ""
    hook: str
    parameters: dict[str, Json] = Field(default_factory=dict)
    source: str = ""


class MemoryItem(Record):
    """One thing that memory can find. ``text`` is what its meaning is read from.

    ``spec`` is where it was learned (``None``: a method, which belongs to no environment). ``weight`` in (0, 1] says
    how well its evidence stands: for skills the lower bound of success, for lessons what testimonies left of them.
    """

    id: str
    kind: Literal["lesson", "skill", "method"]
    text: str
    spec: EnvSpec | None = None
    weight: float = Field(default=1.0, gt=0.0, le=1.0)


class MemoryQuery(Record):
    """What is looked for: words (a wish, a diagnosis, a person's question), and the environment where known."""

    words: str
    environment: EnvSpec | None = None


class Recalled(Record):
    """An item that memory found: ``score`` orders, ``meaning`` and ``nearness`` (0 to 1) and ``weight`` explain it."""

    item: MemoryItem
    score: float
    meaning: float
    nearness: float


class Recollection(Record):
    """What memory found for one cycle, best first of each kind."""

    lessons: tuple[Lesson, ...] = ()
    skills: tuple[Skill, ...] = ()
    methods: tuple[Method, ...] = ()
