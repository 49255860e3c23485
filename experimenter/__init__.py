"""The public names, and nothing else: importing this package does no work and loads no heavy library.

from experimenter import Experimenter

result = Experimenter("MountainCar-v0").run("reach the flag")
print(result.sentence)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from experimenter.api import AsyncExperimenter, Experimenter
    from experimenter.errors import ExperimenterError
    from experimenter.events import Event
    from experimenter.records import Budget, Comparison, EnvSpec, Goal, Interval
    from experimenter.results import Best, ControlResult, RunResult

__version__ = "0.1.0"

__all__ = [
    "AsyncExperimenter",
    "Best",
    "Budget",
    "Comparison",
    "ControlResult",
    "EnvSpec",
    "Event",
    "Experimenter",
    "ExperimenterError",
    "Goal",
    "Interval",
    "RunResult",
    "__version__",
]

_HOMES = {
    "AsyncExperimenter": "api",
    "Best": "results",
    "Budget": "records",
    "Comparison": "records",
    "ControlResult": "results",
    "EnvSpec": "records",
    "Event": "events",
    "Experimenter": "api",
    "ExperimenterError": "errors",
    "Goal": "records",
    "Interval": "records",
    "RunResult": "results",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
