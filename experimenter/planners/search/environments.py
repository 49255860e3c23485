"""Training mixtures: configurations at the edge of the agent's ability, always beside the target itself.

A configuration on which everything fails or everything succeeds teaches nothing, so parents are those with some
success, or that moved the score (learning progress). After EnvGen (arXiv 2403.12014) and Prioritized Level Replay.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from experimenter.envs.records import EnvCard, Parameter
from experimenter.identity import digest
from experimenter.planners.search.vocabulary import pick
from experimenter.questions import Attempt, DesignEnvironments, EnvironmentMixtures, Refusal
from experimenter.records import EnvSpec, Json, WeightedEnv

__all__ = ["design_environments", "drawn_configuration", "mutated_configuration"]

TRIES: Final = 200
TARGET_SHARE: Final = 0.5


def design_environments(question: DesignEnvironments) -> EnvironmentMixtures | Refusal:
    """``question.count`` untried mixtures, half target and half one or two variants; refuses where nothing varies."""
    if not any(options(p) for p in question.card.parameters):
        return Refusal(
            reason=f"{question.target.id} has no parameters to vary: change the reward or the hyperparameters instead."
        )
    rng = np.random.default_rng([question.seed, len(question.history)])
    mixtures = tuple(
        mixture for mixture, _ in zip(_untried(question, rng), range(question.count), strict=False)
    )
    if not mixtures:
        return Refusal(reason="every configuration of this environment was tried.")
    return EnvironmentMixtures(
        mixtures=mixtures, reasons=tuple(_reason(m, question.target) for m in mixtures)
    )


def mutated_configuration(spec: EnvSpec, card: EnvCard, rng: np.random.Generator) -> EnvSpec:
    """One or two parameters moved to a neighbouring value."""
    movable = [p for p in card.parameters if options(p)]
    count = min(len(movable), int(rng.integers(1, 3)))
    chosen = [movable[int(i)] for i in rng.permutation(len(movable))[:count]]
    moved = {p.name: _moved(p, spec.kwargs.get(p.name, p.default), rng) for p in chosen}
    return spec.model_copy(update={"kwargs": {**spec.kwargs, **moved}})


def drawn_configuration(spec: EnvSpec, card: EnvCard, rng: np.random.Generator) -> EnvSpec:
    """Every parameter drawn uniformly from its schema."""
    values = {p.name: pick(rng, options(p)) for p in card.parameters if options(p)}
    return spec.model_copy(update={"kwargs": {**spec.kwargs, **values}})


def options(parameter: Parameter) -> tuple[Json, ...]:
    """Values to choose from: choices, both truths, or eleven steps over the range (around the default if open)."""
    if parameter.type == "bool":
        return (False, True)
    if parameter.type in ("choice", "str"):
        return parameter.choices
    bounds = _bounds(parameter)
    if bounds is None:
        return ()
    values = np.linspace(*bounds, 11)
    if parameter.type == "int":
        return tuple(dict.fromkeys(round(float(v)) for v in values))
    return tuple(dict.fromkeys(float(f"{v:.4g}") for v in values))


def _bounds(parameter: Parameter) -> tuple[float, float] | None:
    if parameter.low is not None and parameter.high is not None:
        return (parameter.low, parameter.high) if parameter.high > parameter.low else None
    if (
        isinstance(parameter.default, bool)
        or not isinstance(parameter.default, int | float)
        or not parameter.default
    ):
        return None
    half, twice = sorted((parameter.default / 2, parameter.default * 2))
    low = half if parameter.low is None else max(half, parameter.low)
    high = twice if parameter.high is None else min(twice, parameter.high)
    return (low, high) if high > low else None


def _moved(parameter: Parameter, value: Json, rng: np.random.Generator) -> Json:
    """A neighbour of ``value`` for numbers (one to three steps off), any other value for the rest."""
    values = options(parameter)
    others = tuple(v for v in values if v != value)
    if parameter.type not in ("int", "float") or not isinstance(value, int | float):
        return pick(rng, others)
    ordered = sorted(others, key=lambda other: abs(other - value))
    return pick(rng, ordered[: min(6, len(ordered))])


def _untried(question: DesignEnvironments, rng: np.random.Generator) -> Iterator[tuple[WeightedEnv, ...]]:
    seen = {_key(attempt.environments) for attempt in question.history}
    parents = _parents(question.history, question.target)
    for _ in range(TRIES):
        parent = parents[min(int(rng.geometric(0.4)) - 1, len(parents) - 1)]
        variants = [mutated_configuration(parent, question.card, rng) for _ in range(int(rng.integers(1, 3)))]
        mixture = mixed(question.target, variants)
        if len(mixture) > 1 and _key(mixture) not in seen:
            seen.add(_key(mixture))
            yield mixture


def mixed(target: EnvSpec, variants: list[EnvSpec]) -> tuple[WeightedEnv, ...]:
    """The target with half the weight, the distinct variants with the other half."""
    distinct = {v.hash: v for v in variants if v.hash != target.hash}
    share = (1 - TARGET_SHARE) / max(1, len(distinct))
    others = tuple(WeightedEnv(environment=v, weight=share) for v in distinct.values())
    return (WeightedEnv(environment=target, weight=TARGET_SHARE if others else 1.0), *others)


def _parents(history: tuple[Attempt, ...], target: EnvSpec) -> list[EnvSpec]:
    """Configurations by promise: learning progress, then nearness to half success; the target always among them."""
    ranked = sorted(
        (a for a in history if a.lever == "environment" and not a.error), key=_promise, reverse=True
    )
    found = {w.environment.hash: w.environment for a in ranked for w in a.environments}
    found.setdefault(target.hash, target)
    return list(found.values())


def _promise(attempt: Attempt) -> tuple[float, float, float]:
    rate = attempt.success_rate
    edge = 0.0 if rate is None else 1 - abs(2 * rate - 1)
    score = -np.inf if attempt.true_return is None else attempt.true_return
    return (max(attempt.effect or 0.0, 0.0), edge, score)


def _key(mixture: tuple[WeightedEnv, ...]) -> str:
    return digest(sorted(f"{w.environment.hash}:{w.weight:.3f}" for w in mixture))


def _reason(mixture: tuple[WeightedEnv, ...], target: EnvSpec) -> str:
    changes = [
        ", ".join(f"{k}={v}" for k, v in w.environment.kwargs.items() if target.kwargs.get(k) != v)
        for w in mixture
        if w.environment.hash != target.hash
    ]
    return f"half the target, half with {' and '.join(changes)}"
