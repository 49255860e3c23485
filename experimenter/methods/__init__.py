"""Method skills: techniques that a design uses by name, shipped ones and strangers' found in the same way."""

from __future__ import annotations

from experimenter.methods.installed import KINDS, method, methods
from experimenter.methods.uses import (
    Use,
    apply_reward_method,
    check_methods,
    method_faults,
    parameters_of,
    uses,
    written,
)

__all__ = [
    "KINDS",
    "Use",
    "apply_reward_method",
    "check_methods",
    "method",
    "method_faults",
    "methods",
    "parameters_of",
    "uses",
    "written",
]
