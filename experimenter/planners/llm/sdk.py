"""The official libraries, imported at the first call and not before; one that is missing is a typed fault."""

from __future__ import annotations

import importlib
from typing import Any

from experimenter.planners.llm.faults import ModelFault

__all__ = ["library"]


def library(name: str, extra: str, part: str = "") -> Any:
    """The module, or ModelFault (``unavailable``) with the command that installs it.

    ``part`` is a submodule that the library itself loads late (0.3 s), within the deadline of the first call.
    """
    try:
        module = importlib.import_module(name)
        if part:
            importlib.import_module(f"{name}.{part}")
        return module
    except ImportError:
        hint = f"Install it: pip install 'rl-experimenter[{extra}]'."
    raise ModelFault(f"The package {name} is not installed.", hint)
