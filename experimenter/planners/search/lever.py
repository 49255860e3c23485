"""Chooses the next lever: a bandit over past effects (UCB1, Auer and others 2002) with a prior from the card."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Final

from experimenter.envs.records import EnvCard
from experimenter.planners.search.reading import flat, noise
from experimenter.questions import Attempt, ChooseLever, LeverChoice
from experimenter.records import Lever

__all__ = ["choose_lever"]

CURIOSITY: Final = 0.5
NEVER_FIRST: Final = ("native", "random")


def choose_lever(question: ChooseLever) -> LeverChoice:
    """The available lever with the best outlook; ``environment`` only where the card has parameters."""
    history, card = question.history, question.card
    gains = _gains(card, history)
    available = [lever for lever in question.available if lever not in NEVER_FIRST]
    usable = [lever for lever in available if lever != "environment" or card.parameters]
    prior = _prior(card, history)
    total = sum(len(g) for g in gains.values())

    def outlook(lever: Lever) -> float:
        met = gains.get(lever, [])
        mean = (prior.get(lever, 0.3) + sum(met)) / (1 + len(met))
        return mean + CURIOSITY * math.sqrt(math.log(1 + total) / (1 + len(met)))

    lever = max(usable or available or list(question.available), key=outlook)
    return LeverChoice(lever=lever, reason=_reason(lever, gains, card, history))


def learned(card: EnvCard, history: tuple[Attempt, ...]) -> bool:
    """Whether some training did clearly better than a random policy."""
    best = max((a.true_return for a in history if a.true_return is not None), default=-math.inf)
    return best > card.random.return_mean + max(2 * card.random.return_std, 2 * noise(card))


def _prior(card: EnvCard, history: tuple[Attempt, ...]) -> dict[Lever, float]:
    """Where nothing was learned from a flat or sparse reward, the reward; else the hyperparameters."""
    faults = [f.name for a in history if a.best and a.diagnosis for f in a.diagnosis.faults]
    blind = flat(card) and not learned(card, history)
    prior: dict[Lever, float] = {
        "reward": 0.9 if blind else 0.55,
        "hyperparameters": 0.4 if blind else 0.7,
        "environment": 0.5 if blind else 0.4,
        "curriculum": 0.3,
    }
    if "sparse beyond reach" in faults:
        prior["reward"] += 0.2
    if {"collapse", "dormant units"} & set(faults):
        prior["hyperparameters"] += 0.2
    return prior


def _gains(card: EnvCard, history: tuple[Attempt, ...]) -> dict[Lever, list[float]]:
    """Per lever, one figure in [0, 1] for each of its trials: how much of the native return's size it gained."""
    effects: dict[tuple[Lever, str], float] = {}
    for attempt in history:
        key = (attempt.lever, attempt.trial)
        effect = 0.0 if attempt.effect is None else attempt.effect
        effects[key] = max(effects.get(key, 0.0), effect)
    gains: dict[Lever, list[float]] = defaultdict(list)
    for (lever, _), effect in effects.items():
        if lever not in NEVER_FIRST:
            gains[lever].append(0.0 if effect <= noise(card) else min(1.0, 0.5 + effect / (8 * noise(card))))
    return gains


def _reason(
    lever: Lever, gains: dict[Lever, list[float]], card: EnvCard, history: tuple[Attempt, ...]
) -> str:
    met = gains.get(lever, [])
    if met:
        helped = sum(gain > 0 for gain in met)
        return f"{lever}: {helped} of {len(met)} trials moved the true score, the best outlook of what is available."
    if flat(card) and not learned(card, history):
        return f"{lever}: untried, and a random policy meets hardly any difference in reward."
    return f"{lever}: untried here."
