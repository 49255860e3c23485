"""What a plug-in must provide: one Protocol per entry-point group ``experimenter.<group>``.

Every plug-in declares ``contract = 1``. Contract tests for third parties are in ``experimenter.testing``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from experimenter.contracts.environments import Family, Hastens
from experimenter.contracts.knowledge import (
    Embedder,
    Memory,
    NewVector,
    SkillLibrary,
    StoredVector,
    VectorBlock,
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
from experimenter.contracts.work import Algorithm, Executor, Face, Job, JobResult, Tracker

if TYPE_CHECKING:
    from experimenter.contracts.planning import Ask, Consultant, Consulted, Curriculum, Planner, RunView

CONTRACT = 1
_PLANNING: Final = frozenset({"Ask", "Consultant", "Consulted", "Curriculum", "Planner", "RunView"})

__all__ = [
    "CONTRACT",
    "Algorithm",
    "Ask",
    "Consultant",
    "Consulted",
    "Curriculum",
    "DiagnosticMethod",
    "Embedder",
    "EpisodeTrace",
    "Executor",
    "Face",
    "Family",
    "Hastens",
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
    "VectorBlock",
    "VectorMark",
    "VectorStore",
    "WrapperMethod",
]


def __getattr__(name: str) -> Any:
    """What only those need who plan: its questions would be a tenth of the time in which a worker starts."""
    if name not in _PLANNING:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from experimenter.contracts import planning

    return getattr(planning, name)
