"""What a plug-in must provide: one Protocol per entry-point group ``experimenter.<group>``.

Every plug-in declares ``contract = 1``. Contract tests for third parties are in ``experimenter.testing``.
"""

from __future__ import annotations

from experimenter.contracts.environments import Family
from experimenter.contracts.knowledge import (
    Embedder,
    Memory,
    NewVector,
    SkillLibrary,
    StoredVector,
    VectorMark,
    VectorStore,
)
from experimenter.contracts.methods import (
    DiagnosticMethod,
    EpisodeTrace,
    Method,
    RewardMethod,
    Snapshot,
    StartMethod,
    StartStates,
    WrapperMethod,
)
from experimenter.contracts.planning import Ask, Curriculum, Planner, RunView
from experimenter.contracts.work import Algorithm, Executor, Face, Job, JobResult, Tracker

CONTRACT = 1

__all__ = [
    "CONTRACT",
    "Algorithm",
    "Ask",
    "Curriculum",
    "DiagnosticMethod",
    "Embedder",
    "EpisodeTrace",
    "Executor",
    "Face",
    "Family",
    "Job",
    "JobResult",
    "Memory",
    "Method",
    "NewVector",
    "Planner",
    "RewardMethod",
    "RunView",
    "SkillLibrary",
    "Snapshot",
    "StartMethod",
    "StartStates",
    "StoredVector",
    "Tracker",
    "VectorMark",
    "VectorStore",
    "WrapperMethod",
]
