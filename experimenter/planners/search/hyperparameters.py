"""What PPO's settings are searched in, and how they fit into a number of steps; ``tuning.py`` says how."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from experimenter.planners.search.presets import presets
from experimenter.planners.search.tuning import HISTORY, Search, Space
from experimenter.questions import ChooseHyperparameters
from experimenter.records import Hyperparameters

if TYPE_CHECKING:
    import numpy as np

__all__ = ["HISTORY", "SPACE", "choose", "drawn", "fitted"]

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


def choose(question: ChooseHyperparameters) -> tuple[Hyperparameters, ...]:
    """``question.count`` settings that the journal has not seen: presets first, then TPE's."""
    return Search(
        space=_SEARCHED,
        card=question.card,
        base=question.base,
        published=presets(question.card, question.base),
        history=[(attempt.hyperparameters, attempt) for attempt in question.history],
        count=question.count,
        steps=question.steps,
        seed=question.seed,
    ).choose()


def drawn(rng: np.random.Generator, base: Hyperparameters, steps: int) -> Hyperparameters:
    """Settings drawn uniformly from the space (the learning rate log-uniformly)."""
    return _SEARCHED.drawn(rng, base, steps)


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


_SEARCHED: Final = Space(SPACE, fitted)
