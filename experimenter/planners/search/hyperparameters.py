"""Hyperparameters by Optuna's TPE, rebuilt from the journal at every ask, after published presets.

Nothing is stored between asks: a study in memory is filled with the journal's outcomes, so that a resumed run asks
what the uninterrupted one would have asked. TPE: Bergstra and others (2011).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from experimenter.envs.records import EnvCard
from experimenter.planners.search.presets import presets
from experimenter.planners.search.reading import flat_returns
from experimenter.questions import Attempt, ChooseHyperparameters
from experimenter.records import Hyperparameters

if TYPE_CHECKING:
    import numpy as np
    import optuna

__all__ = ["HISTORY", "SPACE", "choose", "drawn", "fitted"]

HISTORY: Final = 500
ASKS: Final = 200
UPDATES: Final = 8
SPACE: Final[dict[str, tuple[Any, ...]]] = {
    "num_envs": (4, 8, 16),
    "num_steps": (32, 64, 128, 256, 512),
    "minibatch_size": (64, 128, 256, 512),
    "update_epochs": (3, 4, 6, 10, 15, 20),
    "gamma": (0.9, 0.95, 0.98, 0.99, 0.995, 0.999),
    "gae_lambda": (0.8, 0.9, 0.94, 0.95, 0.98),
    "ent_coef": (0.0, 0.001, 0.003, 0.01, 0.02),
    "clip_coef": (0.1, 0.2, 0.3),
    "max_grad_norm": (0.5, 1.0, 2.0),
    "normalize_rewards": (False, True),
}
"""Choices per setting; the learning rate is searched on a log scale beside them."""
SLOWEST, FASTEST = 1e-5, 1e-2


def choose(question: ChooseHyperparameters) -> tuple[Hyperparameters, ...]:
    """``question.count`` settings that the journal has not seen: presets first, then TPE's."""
    seen = {question.base, *(attempt.hyperparameters for attempt in question.history)}
    found: list[Hyperparameters] = []
    for option in _options(question):
        fit = fitted(option, question.steps)
        if fit not in seen:
            seen.add(fit)
            found.append(fit)
        if len(found) == question.count:
            break
    return tuple(found)


def drawn(rng: np.random.Generator, base: Hyperparameters, steps: int) -> Hyperparameters:
    """Settings drawn uniformly from the space (the learning rate log-uniformly)."""
    import numpy as np

    values = {name: options[int(rng.integers(len(options)))] for name, options in SPACE.items()}
    rate = float(np.exp(rng.uniform(np.log(SLOWEST), np.log(FASTEST))))
    return fitted(base.model_copy(update={**values, "learning_rate": _neat(rate)}), steps)


def fitted(choice: Hyperparameters, steps: int) -> Hyperparameters:
    """The same settings with at least eight updates in ``steps``, and minibatches no larger than a rollout."""
    num_steps = choice.num_steps
    while num_steps > 16 and choice.num_envs * num_steps * UPDATES > steps:
        num_steps //= 2
    rollout = choice.num_envs * num_steps
    minibatch = min(choice.minibatch_size, rollout)
    while rollout % minibatch:
        minibatch -= 1
    return choice.model_copy(update={"num_steps": num_steps, "minibatch_size": max(8, minibatch)})


def _options(question: ChooseHyperparameters) -> Iterator[Hyperparameters]:
    """Presets (three of every four asks of a first round), then suggestions without end in sight."""
    published = presets(question.card, question.base)
    yield from published[: max(1, (3 * question.count) // 4)]
    yield from _suggested(question)


def _suggested(question: ChooseHyperparameters) -> Iterator[Hyperparameters]:
    study = _study(question)
    space = _distributions(question.base)
    for _ in range(ASKS):
        trial = study.ask(space)
        params = {**trial.params, "learning_rate": _neat(trial.params["learning_rate"])}
        yield question.base.model_copy(update=params)


def _study(question: ChooseHyperparameters) -> optuna.Study:
    """A study in memory that knows the journal's outcomes; where true scores are level, by reach."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.TPESampler(seed=question.seed % 2**32, n_startup_trials=4)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    space = _distributions(question.base)
    for settings, value in _outcomes(question.card, question.history)[-HISTORY:]:
        params = _params(settings, question.base)
        study.add_trial(optuna.trial.create_trial(params=params, distributions=space, value=value))
    return study


def _distributions(base: Hyperparameters) -> dict[str, optuna.distributions.BaseDistribution]:
    """The space around ``base``: every choice of the grid and its own, the learning rate within a factor of five."""
    import optuna

    low, high = _rates(base)
    return {
        **{name: optuna.distributions.CategoricalDistribution(_choices(name, base)) for name in SPACE},
        "learning_rate": optuna.distributions.FloatDistribution(low, high, log=True),
    }


def _rates(base: Hyperparameters) -> tuple[float, float]:
    low, high = max(base.learning_rate / 5, SLOWEST), min(base.learning_rate * 5, FASTEST)
    return min(low, high), max(low, high)


def _choices(name: str, base: Hyperparameters) -> tuple[Any, ...]:
    own = getattr(base, name)
    return SPACE[name] if own in SPACE[name] else tuple(sorted((*SPACE[name], own)))


def _params(settings: Hyperparameters, base: Hyperparameters) -> dict[str, Any]:
    """The nearest point of the space: what a setting outside of it teaches."""
    low, high = _rates(base)
    near = {}
    for name in SPACE:
        own = getattr(settings, name)
        near[name] = min(_choices(name, base), key=lambda choice, own=own: abs(choice - own))  # type: ignore[misc]
    return {**near, "learning_rate": min(max(settings.learning_rate, low), high)}


def _outcomes(card: EnvCard, history: tuple[Attempt, ...]) -> list[tuple[Hyperparameters, float]]:
    """The best outcome of each setting, in the journal's order: many rewards under one setting count once."""
    ran = [a for a in history if a.true_return is not None and not a.error]
    level = flat_returns(card, tuple(ran))
    best: dict[Hyperparameters, float] = {}
    for attempt in ran:
        value = attempt.reach if level else float(attempt.true_return or 0.0)
        key = attempt.hyperparameters
        best[key] = max(best.get(key, value), value)
    return list(best.items())


def _neat(rate: float) -> float:
    return float(f"{rate:.3g}")
