"""One ledger in four currencies, its limits, and what a forecast of them says."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from experimenter.errors import BudgetError
from experimenter.records import Budget, Record

if TYPE_CHECKING:
    from experimenter.config import Settings

__all__ = [
    "Forecast",
    "Ledger",
    "check",
    "exhausted",
    "remaining_env_steps",
    "reserve",
    "smallest_budget",
    "worker_count",
]

SMALLEST_DESIGN: Final = 256
_CURRENCIES: Final = {
    "env_steps": "learning steps",
    "seconds": "seconds of active time",
    "tokens": "tokens",
    "dollars": "dollars",
}


class Ledger(Record):
    """What was spent. ``env_steps`` are learning steps of search and confirmation; the other counts stand apart.

    ``unpriced_tokens`` are those of ``tokens`` whose price nobody knows: where there are any, ``dollars`` is less than
    what was spent. Left out of the JSON while there are none.
    """

    env_steps: int = 0
    eval_steps: int = 0
    card_steps: int = 0
    control_env_steps: int = 0
    wasted_env_steps: int = 0
    seconds: float = 0.0
    tokens: int = 0
    dollars: float = 0.0
    unpriced_tokens: int = 0

    @model_serializer(mode="wrap")
    def _without_the_usual(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = handler(self)
        if not self.unpriced_tokens:
            written.pop("unpriced_tokens", None)
        return written

    def __add__(self, other: Ledger) -> Ledger:
        names = [name for name in Ledger.model_fields if name != "v"]
        return Ledger(**{name: getattr(self, name) + getattr(other, name) for name in names})


class Forecast(Record):
    """What a run may cost, before its first step; every figure but the steps of learning is an estimate.

    ``controls`` gives the steps of each control by name, ``control_env_steps`` their sum. ``eval_steps`` and
    ``seconds`` are the likely figures, with ``_low`` and ``_high`` around them. Seconds are ``None`` where the
    environment's speed was not measured, ``dollars`` where a price is unknown; ``tokens`` are those of language
    models. ``words`` says how the seconds were estimated, and warns when a limit will end the run before its steps
    are used.
    """

    search_env_steps: int
    confirm_env_steps: int
    eval_steps: int
    eval_steps_low: int | None = None
    eval_steps_high: int | None = None
    card_steps: int
    control_env_steps: int
    controls: dict[str, int] = Field(default_factory=dict)
    seconds: float | None = None
    seconds_low: float | None = None
    seconds_high: float | None = None
    dollars: float | None = None
    tokens: int = 0
    words: str = ""


def exhausted(ledger: Ledger, budget: Budget) -> str | None:
    """Which currency ran out, in words, or ``None``."""
    for currency, words in _CURRENCIES.items():
        limit = getattr(budget, currency)
        if limit is not None and getattr(ledger, currency) >= limit:
            return f"the budget of {limit:,} {words} is spent"
    return None


def remaining_env_steps(ledger: Ledger, budget: Budget) -> int | None:
    """Learning steps that may still be spent, never negative; ``None`` where there is no limit."""
    return None if budget.env_steps is None else max(0, budget.env_steps - ledger.env_steps)


def reserve(env_steps: int) -> int:
    """The half of a budget that is kept for confirmation before the first trial."""
    return env_steps // 2


def smallest_budget(confirm_seeds: int, design_steps: int = SMALLEST_DESIGN) -> int:
    """Learning steps with which one design can be searched and then confirmed on ``confirm_seeds`` seeds."""
    return 2 * confirm_seeds * design_steps


def check(
    budget: Budget, confirm_seeds: int, *, design_steps: int = SMALLEST_DESIGN, dollars: float | None = 0.0
) -> None:
    """Raises BudgetError for a budget that cannot buy the smallest run, saying what is needed.

    ``design_steps`` is the shortest training that counts; ``dollars`` what the planner may cost, ``None`` when its
    price is unknown, which a limit in dollars cannot be kept with.
    """
    for currency, words in _CURRENCIES.items():
        limit = getattr(budget, currency)
        if limit is not None and limit <= 0:
            raise BudgetError(f"A budget of {limit:,} {words} buys nothing.", "Give a number above zero.")
    needed = smallest_budget(confirm_seeds, design_steps)
    if budget.env_steps is not None and budget.env_steps < needed:
        raise BudgetError(
            f"A budget of {budget.env_steps:,} learning steps cannot buy the smallest run.",
            f"It needs {needed:,}: half is reserved to confirm one design of {design_steps:,} steps on"
            f" {confirm_seeds} seeds. Raise --budget-steps or lower --confirm-seeds.",
        )
    if budget.dollars is not None and dollars is None:
        raise BudgetError(
            "A limit in dollars cannot be kept: the price of this model is unknown.",
            "Choose a model with a known price, or limit the run with --budget-tokens.",
        )


def worker_count(settings: Settings) -> int:
    """Worker processes of a run: as set, else the cores this process may use, at most 4."""
    if settings.workers:
        return settings.workers
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(4, cores)
