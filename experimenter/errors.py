"""Every error this package raises on purpose, so that a face can turn any of them into one line and an exit code.

ExperimenterError                exit 1   something failed, and the message says what to do next
├── UsageError                   exit 2   the person's input is wrong
│   ├── ConfigError                       a setting is unknown or out of range
│   ├── NotFound                          no such run, trial, skill or plug-in (with "did you mean")
│   └── BudgetError                       a budget that cannot buy the smallest run
├── EnvironmentFault             exit 3   the environment raises, hangs, returns NaN or leaves its space
├── ContainmentError             exit 4   generated code cannot be contained here
├── WorkspaceError               exit 5   the workspace is unwritable, full, damaged or newer than we are
│   └── RunLocked                         another process holds the run
├── ProgramRejected              exit 1   a reward program failed a gate (normally repaired, never shown)
├── TrainingFault                exit 1   a training ended without a policy
├── PlannerRefused               exit 1   the planner does not answer this question
├── planners.llm: ModelFault     exit 1   a language model is away, refuses, or answers nonsense
├── planners.llm: ReplyRejected  exit 1   a reply is not an answer; its words go back to the model
└── Stopped                      exit 130 asked to stop; what was finished is kept
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "BudgetError",
    "ConfigError",
    "ContainmentError",
    "EnvironmentFault",
    "ExperimenterError",
    "NotFound",
    "PlannerRefused",
    "ProgramRejected",
    "RunLocked",
    "Stopped",
    "TrainingFault",
    "UsageError",
    "WorkspaceError",
    "did_you_mean",
]


class ExperimenterError(Exception):
    """Root of the tree. ``hint`` says what to do next; ``exit_code`` is what a command ends with."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()

    def __reduce__(self) -> tuple[type[ExperimenterError], tuple[str, str]]:
        return type(self), (self.message, self.hint)


class UsageError(ExperimenterError):
    exit_code = 2


class ConfigError(UsageError):
    pass


class NotFound(UsageError):
    pass


class BudgetError(UsageError):
    pass


class EnvironmentFault(ExperimenterError):
    exit_code = 3


class ContainmentError(ExperimenterError):
    exit_code = 4


class WorkspaceError(ExperimenterError):
    exit_code = 5


class RunLocked(WorkspaceError):
    pass


class ProgramRejected(ExperimenterError):
    """A reward program failed a gate; ``layer`` names it (``static``, ``contract``, ``preflight``, ``limits``)."""

    def __init__(self, message: str, hint: str = "", layer: str = "static") -> None:
        super().__init__(message, hint)
        self.layer = layer

    def __reduce__(self) -> tuple[type[ProgramRejected], tuple[str, str, str]]:  # type: ignore[override]
        return type(self), (self.message, self.hint, self.layer)


class TrainingFault(ExperimenterError):
    pass


class PlannerRefused(ExperimenterError):
    pass


class Stopped(ExperimenterError):
    exit_code = 130


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A sentence naming up to three close words, or an empty string."""
    close = difflib.get_close_matches(word, list(known), n=3, cutoff=0.6)
    return f"Did you mean {' or '.join(close)}?" if close else ""
