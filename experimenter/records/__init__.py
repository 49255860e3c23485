"""What flows between the stops of the loop: frozen records, each with a version (``contracts.md``)."""

from __future__ import annotations

from experimenter.records.base import (
    Json,
    Lever,
    Record,
    ShapedReturn,
    TrueReturn,
)
from experimenter.records.designs import (
    Budget,
    Design,
    EnvSpec,
    Goal,
    Hyperparameters,
    Network,
    Phase,
    PolicyRef,
    RewardProgram,
    Task,
    WeightedEnv,
)
from experimenter.records.evidence import (
    Arm,
    Candidate,
    Comparison,
    ComponentTrace,
    CurvePoint,
    Diagnosis,
    Evaluation,
    Fault,
    Interval,
    JudgeSpec,
    Training,
    Trial,
)
from experimenter.records.knowledge import (
    Lesson,
    Skill,
)

__all__ = [
    "Arm",
    "Budget",
    "Candidate",
    "Comparison",
    "ComponentTrace",
    "CurvePoint",
    "Design",
    "Diagnosis",
    "EnvSpec",
    "Evaluation",
    "Fault",
    "Goal",
    "Hyperparameters",
    "Interval",
    "Json",
    "JudgeSpec",
    "Lesson",
    "Lever",
    "Network",
    "Phase",
    "PolicyRef",
    "Record",
    "RewardProgram",
    "ShapedReturn",
    "Skill",
    "Task",
    "Training",
    "Trial",
    "TrueReturn",
    "WeightedEnv",
]
