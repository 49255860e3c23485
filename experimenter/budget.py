"""One ledger in four currencies, its limits, and the forecast before a run starts."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from pydantic import Field

from experimenter.envs.records import EnvCard
from experimenter.errors import BudgetError
from experimenter.records import Budget, Record

if TYPE_CHECKING:
    from experimenter.config import Settings

__all__ = [
    "Forecast",
    "Ledger",
    "check",
    "exhausted",
    "forecast",
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
# What one learning step costs beside the environment's own step, and one judged step likewise: measured with the
# shipped engine on one core, 64-64 networks (benchmarks). Rough on purpose; the environment mostly dominates.
_LEARN_SECONDS: Final = 1 / 30_000
_JUDGE_SECONDS: Final = 1 / 100_000
_START_SECONDS: Final = 1.5
_VALIDATION_EPISODES: Final = 10
# On validation seeds a policy is scored acting greedily and by sampling.
_MODES: Final = 2


class Ledger(Record):
    """What was spent. ``env_steps`` are learning steps of search and confirmation; the other counts stand apart."""

    env_steps: int = 0
    eval_steps: int = 0
    card_steps: int = 0
    control_env_steps: int = 0
    wasted_env_steps: int = 0
    seconds: float = 0.0
    tokens: int = 0
    dollars: float = 0.0

    def __add__(self, other: Ledger) -> Ledger:
        mine, theirs = self.model_dump(exclude={"v"}), other.model_dump(exclude={"v"})
        return Ledger(**{name: mine[name] + theirs[name] for name in mine})


class Forecast(Record):
    """What a run may cost, before its first step; every figure but the steps of learning is an estimate.

    ``controls`` gives the steps of each control by name, ``control_env_steps`` their sum. ``seconds`` is ``None``
    where the environment's speed was not measured, ``dollars`` where a price is unknown. ``words`` says how the
    seconds were estimated, and warns when a limit will end the run before its steps are used.
    """

    search_env_steps: int
    confirm_env_steps: int
    eval_steps: int
    card_steps: int
    control_env_steps: int
    controls: dict[str, int] = Field(default_factory=dict)
    seconds: float | None = None
    dollars: float | None = None
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


def forecast(
    budget: Budget,
    settings: Settings,
    card: EnvCard,
    design_steps: int,
    controls: Sequence[str],
    *,
    dollars: float | None = 0.0,
) -> Forecast:
    """What a run of whole designs of ``design_steps`` steps, with ``controls``, may cost when nothing ends early.

    Without a limit on steps, the budget is the one whose reserve confirms exactly one design. ``dollars`` is what
    the planner may cost (``None``: unknown price). Raises BudgetError as ``check`` does.
    """
    check(budget, settings.confirm_seeds, design_steps=design_steps, dollars=dollars)
    total = budget.env_steps or smallest_budget(settings.confirm_seeds, design_steps)
    confirm = reserve(total)
    arms = dict.fromkeys(controls, total)
    judged = _eval_steps(total, confirm, settings, card, design_steps, len(arms))
    seconds = _seconds(total - confirm, confirm + sum(arms.values()), judged, settings, card)
    return Forecast(
        search_env_steps=total - confirm,
        confirm_env_steps=confirm,
        eval_steps=judged,
        card_steps=card.card_steps or settings.card_steps,
        control_env_steps=sum(arms.values()),
        controls=arms,
        seconds=seconds,
        dollars=dollars,
        words=_words(seconds, budget, settings, card),
    )


def _eval_steps(
    total: int, confirm: int, settings: Settings, card: EnvCard, design_steps: int, controls: int
) -> int:
    """Judged steps: each training at every chunk on validation seeds, and at its end on held-out ones."""
    length = card.max_episode_steps or max(card.random.length_max, math.ceil(card.random.length_mean), 1)
    trainings = math.ceil((total - confirm) / design_steps) + settings.confirm_seeds * (1 + controls)
    chunks = math.ceil(total * (1 + controls) / min(settings.chunk_steps, design_steps))
    return length * (trainings * settings.eval_episodes + chunks * _VALIDATION_EPISODES * _MODES)


def _seconds(search: int, rest: int, judged: int, settings: Settings, card: EnvCard) -> float | None:
    """Steps by their measured price, over the processes that work at once in each stage."""
    rate = card.random.steps_per_second
    if rate <= 0:
        return None
    workers = worker_count(settings)
    learn, judge = 1 / rate + _LEARN_SECONDS, 1 / rate + _JUDGE_SECONDS
    search_side = min(workers, settings.designs)
    rest_side = min(workers, settings.confirm_seeds)
    share = search / (search + rest)
    judging = judged * judge * (share / search_side + (1 - share) / rest_side)
    return _START_SECONDS * workers + search * learn / search_side + rest * learn / rest_side + judging


def _words(seconds: float | None, budget: Budget, settings: Settings, card: EnvCard) -> str:
    if seconds is None:
        return "the environment's speed was not measured, so its time cannot be told"
    words = (
        f"from {card.random.steps_per_second:,.0f} random steps/s of one environment,"
        f" {1 / _LEARN_SECONDS:,.0f} learning steps/s of the engine, and {worker_count(settings)} workers"
    )
    if budget.seconds is not None and seconds > budget.seconds:
        words += f"; the limit of {budget.seconds:,.0f} s will probably end the run before its steps are used"
    return words
