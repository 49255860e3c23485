"""Budgets: what ran out, what is too small, and how many work at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experimenter.budget import (
    Ledger,
    check,
    exhausted,
    remaining_env_steps,
    reserve,
    smallest_budget,
    worker_count,
)
from experimenter.config import Settings
from experimenter.errors import BudgetError
from experimenter.records import Budget

COUNTS = st.integers(0, 10**9)
LEDGERS = st.builds(
    Ledger,
    env_steps=COUNTS,
    eval_steps=COUNTS,
    control_env_steps=COUNTS,
    wasted_env_steps=COUNTS,
    tokens=COUNTS,
)


@given(LEDGERS, LEDGERS, LEDGERS)
def test_ledgers_add_in_any_order(a: Ledger, b: Ledger, c: Ledger) -> None:
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)
    assert a + Ledger() == a


def test_what_ran_out_is_said() -> None:
    assert exhausted(Ledger(env_steps=10**9, seconds=10**9, tokens=5, dollars=5), Budget()) is None
    budget = Budget(env_steps=1000, seconds=60, tokens=10, dollars=0.5)
    assert exhausted(Ledger(env_steps=999, seconds=59.9, tokens=9, dollars=0.49), budget) is None
    assert exhausted(Ledger(env_steps=1000), budget) == "the budget of 1,000 learning steps is spent"
    assert "seconds" in str(exhausted(Ledger(seconds=60), budget))
    assert "tokens" in str(exhausted(Ledger(tokens=11), budget))
    assert "dollars" in str(exhausted(Ledger(dollars=0.5), budget))


def test_only_learning_steps_count_against_the_budget() -> None:
    spent = Ledger(eval_steps=10**6, control_env_steps=10**6, wasted_env_steps=10**6, card_steps=10**6)
    assert exhausted(spent, Budget(env_steps=1)) is None
    assert remaining_env_steps(spent, Budget(env_steps=1)) == 1


@given(COUNTS, COUNTS)
def test_what_remains_is_never_negative(limit: int, spent: int) -> None:
    remaining = remaining_env_steps(Ledger(env_steps=spent), Budget(env_steps=limit))
    assert remaining == max(0, limit - spent)
    assert (exhausted(Ledger(env_steps=spent), Budget(env_steps=limit)) is None) == (remaining > 0)
    assert remaining_env_steps(Ledger(env_steps=spent), Budget()) is None
    assert 0 <= limit - 2 * reserve(limit) <= 1


@pytest.mark.parametrize("currency", ["env_steps", "seconds", "tokens", "dollars"])
@pytest.mark.parametrize("amount", [0, -5])
def test_a_budget_of_nothing_is_refused(currency: str, amount: int) -> None:
    with pytest.raises(BudgetError, match="buys nothing"):
        check(Budget.model_validate({currency: amount}), 5)


@given(st.integers(1, 20), st.integers(1, 10**5))
def test_the_smallest_budget_is_enough_and_one_less_is_not(seeds: int, design_steps: int) -> None:
    needed = smallest_budget(seeds, design_steps)
    check(Budget(env_steps=needed), seeds, design_steps=design_steps)
    assert reserve(needed) >= seeds * design_steps
    with pytest.raises(BudgetError, match=f"It needs {needed:,}"):
        check(Budget(env_steps=needed - 1), seeds, design_steps=design_steps)


def test_dollars_need_a_price() -> None:
    check(Budget(dollars=1.0), 5)
    with pytest.raises(BudgetError, match="price of this model is unknown"):
        check(Budget(dollars=1.0), 5, dollars=None)
    check(Budget(tokens=1000), 5, dollars=None)


def test_workers_are_as_set_or_at_most_four() -> None:
    assert worker_count(Settings(workers=7)) == 7
    assert 1 <= worker_count(Settings()) <= 4
