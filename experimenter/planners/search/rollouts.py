"""Ranks rollouts by the hidden judge with a set share of wrong answers: a stand-in for a person, never a judge."""

from __future__ import annotations

import numpy as np

from experimenter.questions import RankRollouts, RolloutRanking, RolloutSummary

__all__ = ["rank"]


def rank(question: RankRollouts) -> RolloutRanking:
    """From best to worst by pairwise comparisons, each of which is wrong with probability ``error_rate``.

    Insertion keeps the number of comparisons small; with two rollouts the answer is wrong exactly that often.
    """
    rng = np.random.default_rng(question.seed)
    order: list[RolloutSummary] = []
    for i in rng.permutation(len(question.rollouts)):
        rollout = question.rollouts[int(i)]
        place = len(order)
        while place > 0 and _prefers(rollout, order[place - 1], question.error_rate, rng):
            place -= 1
        order.insert(place, rollout)
    return RolloutRanking(order=tuple(rollout.id for rollout in order))


def _prefers(one: RolloutSummary, other: RolloutSummary, error_rate: float, rng: np.random.Generator) -> bool:
    truth = (one.hidden_score, other.id) > (other.hidden_score, one.id)
    return truth != (rng.random() < error_rate)
