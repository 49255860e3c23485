"""What can go wrong between us and a model, as one typed error whose words say what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from experimenter.errors import ExperimenterError
from experimenter.planners.llm.model import PassedOver

__all__ = ["LASTING", "RETRIED", "FaultKind", "ModelFault"]

FaultKind = Literal[
    "rate_limited",
    "over_quota",
    "unavailable",
    "timeout",
    "too_large",
    "malformed",
    "refused",
    "unknown_model",
    "bad_key",
    "no_key",
    "bad_request",
    "connection",
]

LASTING: Final[frozenset[FaultKind]] = frozenset({"unknown_model", "bad_key", "no_key"})
"""Faults that the next question would meet again, until a person has put them right."""

RETRIED: Final[frozenset[FaultKind]] = frozenset({"rate_limited", "unavailable", "connection"})
"""Faults that often pass by themselves, and that cost nothing to try again."""

_HINTS: Final[dict[FaultKind, str]] = {
    "rate_limited": "Wait a little, ask with fewer designs at a time, or name a fallback model.",
    "over_quota": "Top up the account, or name another model as a fallback.",
    "unavailable": "Try again later, or name a fallback model.",
    "timeout": "Give it more time, choose a faster model, or name a fallback model.",
    "too_large": "Choose a model with a longer context, or shorten the notes of the goal.",
    "malformed": "Check that the base URL is that of the model's API, or choose another model.",
    "refused": "Word the goal differently, or name another model as a fallback.",
    "unknown_model": "See what there is with: experimenter models list.",
    "bad_key": "Check the key, or choose a model that needs none.",
    "no_key": "Set it, or choose a planner that needs no key: --planner search.",
    "bad_request": "Check the model's name and the base URL, or choose another model.",
    "connection": "Check the network and the base URL, or name a fallback model.",
}


class ModelFault(ExperimenterError):
    """A call of a model that came to nothing. Never holds a key, neither in its words nor in its traceback.

    ``retry_after`` is how many seconds the service asked to wait, where it said so. ``passed_over`` are the models
    of a fallback list that were tried before, with what they charged.
    """

    def __init__(
        self,
        message: str,
        hint: str = "",
        kind: FaultKind = "unavailable",
        retry_after: float | None = None,
        passed_over: Sequence[PassedOver] = (),
    ) -> None:
        super().__init__(message, hint or _HINTS[kind])
        self.kind: FaultKind = kind
        self.retry_after = retry_after
        self.passed_over = tuple(passed_over)

    def __reduce__(self) -> tuple[type[ModelFault], tuple[object, ...]]:  # type: ignore[override]
        return type(self), (self.message, self.hint, self.kind, self.retry_after, self.passed_over)
