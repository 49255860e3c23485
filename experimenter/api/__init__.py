"""The Python face: the same runs, memory, skills, reports and judge as the command line's, typed.

``Experimenter`` blocks; ``AsyncExperimenter`` has the same methods to be awaited, and is loaded when it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from experimenter.api.lab import Experimenter
from experimenter.api.memory import LabMemory
from experimenter.api.policy import LabPolicy
from experimenter.api.skills import Exported, LabSkills

if TYPE_CHECKING:
    from experimenter.api.later import AsyncExperimenter

__all__ = ["AsyncExperimenter", "Experimenter", "Exported", "LabMemory", "LabPolicy", "LabSkills"]


def __getattr__(name: str) -> Any:
    if name != "AsyncExperimenter":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from experimenter.api.later import AsyncExperimenter

    return AsyncExperimenter
