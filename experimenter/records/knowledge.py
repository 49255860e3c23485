"""What outlives a run: lessons and skills, with the evidence that they rest on."""

from __future__ import annotations

from pydantic import Field

from experimenter.records.base import Lever, Record
from experimenter.records.designs import EnvSpec, PolicyRef, RewardProgram
from experimenter.records.evidence import Interval


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
