"""The statistics: checked against plain definitions, and against thousands of comparisons whose truth is known."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experimenter.errors import UsageError
from experimenter.judge import statistics
from experimenter.judge.statistics import compare, interval, iqm, permutation_p

SIMULATIONS = 2_000
scores = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=12)


def plain_iqm(values):
    ordered, drop = sorted(values), len(values) // 4
    kept = ordered[drop : len(ordered) - drop]
    return sum(kept) / len(kept)


def plain_p(first, second):
    pooled, n = [*first, *second], len(first)
    observed = abs(plain_iqm(first) - plain_iqm(second))
    extreme = splits = 0
    for chosen in combinations(range(len(pooled)), n):
        one = [pooled[i] for i in chosen]
        other = [pooled[i] for i in range(len(pooled)) if i not in chosen]
        extreme += abs(plain_iqm(one) - plain_iqm(other)) >= observed - 1e-9
        splits += 1
    return extreme / splits


@given(scores)
def test_iqm_is_the_mean_without_a_quarter_at_each_end(values):
    assert iqm(values) == pytest.approx(plain_iqm(values), rel=1e-9, abs=1e-6)


@pytest.mark.parametrize(("count", "kept"), [(1, 1), (3, 3), (4, 2), (5, 3), (7, 5), (8, 4), (20, 10)])
def test_iqm_drops_floor_of_a_quarter(count, kept):
    values = np.zeros(count)
    values[count // 4] = kept
    values[: count // 4] = -1e9
    values[count - count // 4 :] = 1e9
    assert iqm(list(np.random.default_rng(0).permutation(values))) == pytest.approx(1.0)


@pytest.mark.parametrize("bad", [[], [1.0, float("nan")], [float("inf")]])
def test_scores_must_be_there_and_finite(bad):
    with pytest.raises(UsageError):
        iqm(bad)
    with pytest.raises(UsageError):
        compare("native", [1.0] * 5, bad, 0)


@settings(max_examples=50, deadline=None)
@given(scores, st.integers(0, 2**63 - 1))
def test_interval_is_ordered_within_the_scores_and_repeatable(values, seed):
    result = interval(values, seed)
    slack = 1e-6 + 1e-9 * max(abs(v) for v in values)
    assert min(values) - slack <= result.low <= result.high <= max(values) + slack
    assert result == interval(list(reversed(values)), seed)
    assert result.seeds == len(values)


def test_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(5)
    found = [interval(list(rng.normal(0, 1, 20)), seed=3) for _ in range(500)]
    covered = sum(i.low <= 0 <= i.high for i in found) / len(found)
    assert 0.88 <= covered <= 0.99


def test_interval_matches_a_plain_bootstrap():
    values = [3.0, 10.0, 11.0, 12.0, 40.0]
    rng = np.random.default_rng(0)
    plain = np.percentile([plain_iqm(rng.choice(values, 5)) for _ in range(4_000)], [2.5, 97.5])
    result = interval(values, seed=1)
    assert [result.low, result.high] == pytest.approx(plain, abs=1.5)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 10_000))
def test_permutation_p_matches_the_definition(first, second, seed):
    rng = np.random.default_rng(seed)
    ones, others = rng.integers(0, 4, first).tolist(), rng.integers(0, 4, second).tolist()
    assert permutation_p(ones, others, 0) == pytest.approx(plain_p(ones, others))


def test_permutation_p_is_symmetric_and_blind_to_scale():
    ones, others = [1.0, 2.0, 5.0, 6.0, 9.0], [3.0, 4.0, 10.0, 12.0, 14.0]
    p = permutation_p(ones, others, 0)
    assert p == permutation_p(others, ones, 0)
    assert p == permutation_p([1e9 * x for x in ones], [1e9 * x for x in others], 0)
    assert p == permutation_p([1e-9 * x for x in ones], [1e-9 * x for x in others], 0)


def test_sums_that_differ_only_by_rounding_are_ties():
    ones, others = [0.1, 0.2, 0.3, 0.4, 0.7], [0.7, 0.4, 0.3, 0.2, 0.1]
    assert permutation_p(ones, others, 0) == 1.0
    assert permutation_p([-110.0] * 5, [-110.0] * 5, 0) == 1.0


def test_ten_thousand_draws_agree_with_every_split():
    rng = np.random.default_rng(2)
    ones, others = rng.normal(0, 1, 8), rng.normal(0.9, 1, 8)
    exact = permutation_p(ones, others, 0)
    pooled = np.concatenate([np.sort(ones), np.sort(others)])
    first, second = statistics._drawn_splits(8, 8, 7)
    ascending = np.sort(pooled)
    drawn = np.abs(ascending[first].mean(axis=1) - ascending[second].mean(axis=1))
    share = np.mean(drawn >= abs(iqm(ones) - iqm(others)) - 1e-9)
    assert share == pytest.approx(exact, abs=0.02)
    assert 0 < permutation_p(list(range(9)), list(range(100, 109)), 0) <= 0.001


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_fewer_than_five_seeds_never_make_a_claim(count):
    result = compare("native", [1000.0 + i for i in range(count)], [float(i) for i in range(8)], 0)
    assert (result.label, result.why) == ("indistinguishable", "too few seeds")
    assert result.difference > 900


def test_a_clear_difference_is_found_in_both_directions():
    high, low = [100.0, 101.0, 102.0, 103.0, 104.0], [1.0, 2.0, 3.0, 4.0, 5.0]
    up, down = compare("native", high, low, 0), compare("native", low, high, 0)
    assert (up.label, down.label) == ("helped", "hurt")
    assert up.difference == pytest.approx(99.0) == -down.difference
    assert up.low <= 99.0 <= up.high
    assert up.control == "native" and up.p <= 0.05 and up.low > 0 and down.high < 0


def equals(kind, rng, count):
    if kind == "normal":
        return rng.normal(50, 10, count)
    if kind == "bimodal":
        return np.where(rng.random(count) < 0.5, 0.0, 100.0) + rng.normal(0, 2, count)
    return np.minimum(rng.normal(495, 20, count), 500.0)


@pytest.mark.parametrize("kind", ["normal", "bimodal", "ceiling"])
@pytest.mark.parametrize("count", [5, 8])
def test_equals_are_called_different_at_most_six_times_in_a_hundred(kind, count):
    rng = np.random.default_rng(11)
    labels = [
        compare("native", equals(kind, rng, count), equals(kind, rng, count), 0).label
        for _ in range(SIMULATIONS)
    ]
    assert sum(label != "indistinguishable" for label in labels) <= 0.06 * SIMULATIONS


@pytest.mark.parametrize(("count", "power"), [(5, 0.85), (8, 0.95)])
def test_a_difference_of_three_deviations_is_seldom_missed(count, power):
    rng = np.random.default_rng(12)
    labels = [
        compare("native", rng.normal(3, 1, count), rng.normal(0, 1, count), 0).label for _ in range(400)
    ]
    assert labels.count("helped") / len(labels) >= power
    assert "hurt" not in labels


def test_above_eight_seeds_the_level_still_holds():
    rng = np.random.default_rng(13)
    labels = [compare("native", rng.normal(0, 1, 12), rng.normal(0, 1, 12), 0).label for _ in range(600)]
    assert sum(label != "indistinguishable" for label in labels) <= 0.075 * len(labels)
