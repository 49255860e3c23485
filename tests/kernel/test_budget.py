"""Budgets: what ran out, what is too small, and a forecast that adds up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experimenter.budget import (
    Ledger,
    check,
    exhausted,
    forecast,
    remaining_env_steps,
    reserve,
    smallest_budget,
    worker_count,
)
from experimenter.config import Settings
from experimenter.envs.records import EnvCard, RandomRollouts
from experimenter.errors import BudgetError
from experimenter.records import Budget, EnvSpec

COUNTS = st.integers(0, 10**9)
LEDGERS = st.builds(
    Ledger,
    env_steps=COUNTS,
    eval_steps=COUNTS,
    control_env_steps=COUNTS,
    wasted_env_steps=COUNTS,
    tokens=COUNTS,
)


def card(rate: float = 10_000.0, longest: int | None = 100) -> EnvCard:
    rollouts = RandomRollouts(
        episodes=10,
        steps=500,
        reward_min=0,
        reward_mean=1,
        reward_max=1,
        reward_distinct=2,
        nonzero_share=1,
        return_mean=20,
        return_std=1,
        length_mean=20,
        length_max=60,
        terminated_share=1,
        steps_per_second=rate,
    )
    return EnvCard(
        spec=EnvSpec(id="Any-v0"),
        observation_space={},
        action_space={},
        action_kind="discrete",
        features=(),
        random=rollouts,
        max_episode_steps=longest,
        card_steps=500,
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


def test_a_forecast_adds_up() -> None:
    settings = Settings(confirm_seeds=5, designs=4, workers=2, chunk_steps=5_000, eval_episodes=20)
    found = forecast(Budget(env_steps=100_000), settings, card(), 10_000, ("native", "random"))
    assert (found.search_env_steps, found.confirm_env_steps) == (50_000, 50_000)
    assert found.controls == {"native": 100_000, "random": 100_000}
    assert (found.control_env_steps, found.card_steps) == (200_000, 500)
    # 5 searched designs and 5 seeds in each of three arms; 60 chunks, each scored in two modes on 10 episodes.
    assert found.eval_steps == 100 * (20 * 20 + 60 * 20)
    learning = 300_000 * (1 / 10_000 + 1 / 30_000) / 2
    assert found.seconds is not None
    assert learning < found.seconds < learning + found.eval_steps * (1 / 10_000 + 1 / 100_000)
    assert found.dollars == 0.0
    assert "2 workers" in found.words


def test_a_forecast_grows_with_what_makes_a_run_longer() -> None:
    def seconds(rate: float = 10_000.0, workers: int = 1, controls: tuple[str, ...] = ()) -> float:
        settings = Settings(workers=workers)
        return forecast(Budget(env_steps=500_000), settings, card(rate), 50_000, controls).seconds or 0.0

    assert seconds(rate=1_000.0) > seconds()
    assert seconds(controls=("native",)) > seconds()
    assert seconds(workers=4) < seconds()


def test_a_forecast_without_a_measured_speed_or_price_says_so() -> None:
    found = forecast(Budget(env_steps=500_000), Settings(), card(rate=0.0), 50_000, (), dollars=None)
    assert (found.seconds, found.dollars) == (None, None)
    assert "not measured" in found.words


def test_a_forecast_warns_when_time_is_shorter_than_steps() -> None:
    budget = Budget(env_steps=500_000, seconds=1.0)
    assert "will probably end the run" in forecast(budget, Settings(), card(), 50_000, ()).words


def test_a_forecast_without_a_limit_on_steps_confirms_one_design() -> None:
    found = forecast(Budget(seconds=60), Settings(confirm_seeds=4), card(longest=None), 1_000, ())
    assert (found.search_env_steps, found.confirm_env_steps) == (4_000, 4_000)


def test_a_forecast_refuses_what_check_refuses() -> None:
    with pytest.raises(BudgetError, match="smallest run"):
        forecast(Budget(env_steps=9_999), Settings(confirm_seeds=5), card(), 1_000, ())


def test_workers_are_as_set_or_at_most_four() -> None:
    assert worker_count(Settings(workers=7)) == 7
    assert 1 <= worker_count(Settings()) <= 4
