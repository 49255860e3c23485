"""Settings of any algorithm by Optuna's TPE, rebuilt from the journal at every ask, after published presets.

Nothing is stored between asks: a study in memory is filled with the journal's outcomes, so that a resumed run asks
what the uninterrupted one would have asked. TPE: Bergstra and others (2011).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from experimenter.envs.records import EnvCard
from experimenter.planners.search.reading import flat_returns
from experimenter.questions import Attempt
from experimenter.records import Hyperparameters, OffPolicySettings

if TYPE_CHECKING:
    import numpy as np
    import optuna

__all__ = ["HISTORY", "Search", "Space"]

HISTORY: Final = 500
ASKS: Final = 200
FAR: Final = 1e9
S = TypeVar("S", Hyperparameters, OffPolicySettings)


@dataclass(frozen=True, slots=True)
class Space(Generic[S]):
    """Choices for each setting; the learning rate is searched on a log scale beside them, from ``slowest`` to
    ``fastest``. ``fitted`` makes of any settings some that make sense in so many steps."""

    choices: Mapping[str, tuple[Any, ...]]
    fitted: Callable[[S, int], S]
    slowest: float = 1e-5
    fastest: float = 1e-2

    def drawn(self, rng: np.random.Generator, base: S, steps: int) -> S:
        """Settings drawn uniformly from the space (the learning rate log-uniformly)."""
        import numpy as np

        values = {name: options[int(rng.integers(len(options)))] for name, options in self.choices.items()}
        rate = float(np.exp(rng.uniform(np.log(self.slowest), np.log(self.fastest))))
        return self.fitted(base.model_copy(update={**values, "learning_rate": _neat(rate)}), steps)


@dataclass(frozen=True, slots=True)
class Search(Generic[S]):
    """One ask: ``count`` settings around ``base`` for trainings of ``steps``, that ``history`` has not seen."""

    space: Space[S]
    card: EnvCard
    base: S
    published: Sequence[S]
    history: Sequence[tuple[S, Attempt]]
    count: int
    steps: int
    seed: int

    def choose(self) -> tuple[S, ...]:
        """Presets first, then TPE's."""
        seen, found = {self.base, *(settings for settings, _ in self.history)}, list[S]()
        for option in self._options():
            fit = self.space.fitted(option, self.steps)
            if fit not in seen:
                seen.add(fit)
                found.append(fit)
            if len(found) == self.count:
                break
        return tuple(found)

    def _options(self) -> Iterator[S]:
        """Presets (three of every four asks of a first round), then suggestions without end in sight."""
        yield from self.published[: max(1, (3 * self.count) // 4)]
        yield from self._suggested()

    def _suggested(self) -> Iterator[S]:
        study, space = self._study(), self._distributions()
        for _ in range(ASKS):
            trial = study.ask(space)
            params = {**trial.params, "learning_rate": _neat(trial.params["learning_rate"])}
            yield self.base.model_copy(update=params)

    def _study(self) -> optuna.Study:
        """A study in memory that knows the journal's outcomes; where true scores are level, by reach."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler = optuna.samplers.TPESampler(seed=self.seed % 2**32, n_startup_trials=4)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        space = self._distributions()
        for settings, value in self._outcomes()[-HISTORY:]:
            params = self._params(settings)
            study.add_trial(optuna.trial.create_trial(params=params, distributions=space, value=value))
        return study

    def _distributions(self) -> dict[str, optuna.distributions.BaseDistribution]:
        """The space around ``base``: every choice of the grid and its own, learning rates within a factor of five."""
        import optuna

        low, high = self._rates()
        named = {name: self._choices(name) for name in self.space.choices}
        return {
            **{
                name: optuna.distributions.CategoricalDistribution(options) for name, options in named.items()
            },
            "learning_rate": optuna.distributions.FloatDistribution(low, high, log=True),
        }

    def _rates(self) -> tuple[float, float]:
        slow, fast = self.space.slowest, self.space.fastest
        low, high = max(self.base.learning_rate / 5, slow), min(self.base.learning_rate * 5, fast)
        return min(low, high), max(low, high)

    def _choices(self, name: str) -> tuple[Any, ...]:
        own: Any = getattr(self.base, name)
        grid: tuple[Any, ...] = self.space.choices[name]
        return grid if own in grid else tuple(sorted((*grid, own), key=_order))

    def _params(self, settings: S) -> dict[str, Any]:
        """The nearest point of the space: what a setting outside of it teaches."""
        low, high = self._rates()
        near = {name: _nearest(self._choices(name), getattr(settings, name)) for name in self.space.choices}
        return {**near, "learning_rate": min(max(settings.learning_rate, low), high)}

    def _outcomes(self) -> list[tuple[S, float]]:
        """The best outcome of each setting, in the journal's order: many rewards under one setting count once."""
        ran = [(s, a) for s, a in self.history if a.true_return is not None and not a.error]
        level = flat_returns(self.card, tuple(attempt for _, attempt in ran))
        best: dict[S, float] = {}
        for settings, attempt in ran:
            value = attempt.reach if level else float(attempt.true_return or 0.0)
            best[settings] = max(best.get(settings, value), value)
        return list(best.items())


def _order(choice: Any) -> tuple[bool, float]:
    """Numbers by size, and words ("auto") before them."""
    return (False, 0.0) if isinstance(choice, str) else (True, float(choice))


def _nearest(choices: Sequence[Any], own: Any) -> Any:
    return min(choices, key=lambda choice: _distance(choice, own))


def _distance(one: Any, other: Any) -> float:
    if isinstance(one, str) or isinstance(other, str):
        return 0.0 if one == other else FAR
    return float(abs(one - other))


def _neat(rate: float) -> float:
    return float(f"{rate:.3g}")
