"""How a budget is laid out: rungs, their cost, and how many candidates can be afforded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from experimenter.loop.plan import affordable, cost, make_plan, rungs

BUDGETS = st.integers(min_value=5_000, max_value=20_000_000)
SEEDS = st.integers(min_value=1, max_value=20)
DESIGNS = st.integers(min_value=1, max_value=32)


@given(BUDGETS, SEEDS, DESIGNS)
def test_half_the_budget_is_kept_for_confirmation(steps, seeds, designs):
    plan = make_plan(steps, seeds, designs, 16_384)
    assert plan.reserve == steps // 2
    assert plan.search_limit + plan.reserve == steps
    assert plan.design_steps * seeds <= max(plan.reserve, 256 * seeds)


@given(BUDGETS, SEEDS, DESIGNS)
def test_rungs_climb_and_thin_out(steps, seeds, designs):
    plan = make_plan(steps, seeds, designs, 16_384)
    ladder = rungs(designs, plan.design_steps, plan.chunk_steps)
    assert ladder[-1].until == plan.design_steps
    untils = [rung.until for rung in ladder]
    assert untils == sorted(set(untils))
    keeps = [rung.keep for rung in ladder]
    assert keeps == sorted(keeps, reverse=True)
    assert all(until % plan.chunk_steps == 0 for until in untils[:-1])


@given(BUDGETS, SEEDS, DESIGNS, BUDGETS)
def test_what_is_affordable_fits_and_one_more_does_not(steps, seeds, designs, left):
    plan = make_plan(steps, seeds, designs, 16_384)
    count = affordable(left, plan)
    if count:
        assert cost(count, plan.design_steps, plan.chunk_steps) + plan.check_allowance(count) <= left
    if count < plan.designs:
        more = range(count + 1, plan.designs + 1)
        over = [cost(n, plan.design_steps, plan.chunk_steps) + plan.check_allowance(n) for n in more]
        assert all(price > left for price in over)


def test_eight_candidates_cost_two_and_a_half_designs():
    assert cost(8, 80_000, 10_000) == 200_000


def test_one_candidate_is_looked_at_halfway():
    assert [rung.until for rung in rungs(1, 80_000, 10_000)] == [40_000, 80_000]


@given(st.integers(min_value=2_560, max_value=3_000_000))
def test_a_whole_search_and_its_confirmation_fit_into_the_budget(steps):
    plan, spent = make_plan(steps, 5, 8, 16_384), 0
    while count := affordable(plan.search_limit - spent, plan):
        spent += cost(count, plan.design_steps, plan.chunk_steps) + plan.check_allowance(count)
    assert 0 < spent <= plan.search_limit
