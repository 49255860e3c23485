"""What SAC's and DQN's settings are searched in: published ones first, as with PPO; ``tuning.py`` says how.

The published ones follow the tuned tables of rl-baselines3-zoo (Pendulum, MountainCarContinuous, BipedalWalker, Hopper;
CartPole, Acrobot, LunarLander, MountainCar), with their updates gathered into stretches of at least 16 steps. They are
named for what they are good at, and picked by what a random policy met, never by an environment's name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from experimenter.planners.search.reading import CardKind, card_kind
from experimenter.planners.search.tuning import Search, Space
from experimenter.questions import ChooseHyperparameters
from experimenter.records import OffPolicySettings

if TYPE_CHECKING:
    import numpy as np

__all__ = ["ALGORITHMS", "choose", "drawn", "fitted"]

ALGORITHMS: Final = ("sac", "dqn")
STRETCHES: Final = 16
_SAC: Final[dict[str, tuple[Any, ...]]] = {
    "train_freq": (16, 32, 64, 128),
    "batch_size": (64, 128, 256, 512),
    "learning_starts": (256, 1_000, 5_000),
    "gamma": (0.9, 0.95, 0.98, 0.99, 0.995, 0.999),
    "tau": (0.005, 0.01, 0.02),
    "ent_coef": ("auto", 0.01, 0.1),
}
_DQN: Final[dict[str, tuple[Any, ...]]] = {
    "train_freq": (16, 64, 256),
    "gradient_steps": (8, 16, 64, 128),
    "batch_size": (32, 64, 128, 256),
    "learning_starts": (256, 1_000, 5_000),
    "gamma": (0.9, 0.95, 0.98, 0.99, 0.995, 0.999),
    "target_update_interval": (32, 128, 512),
    "exploration_fraction": (0.1, 0.16, 0.3, 0.5),
    "exploration_final_eps": (0.01, 0.04, 0.1),
}
_PRESETS: Final[dict[str, dict[str, dict[str, Any]]]] = {
    "sac": {
        "quick": dict(learning_rate=1e-3, train_freq=32, gamma=0.99, tau=0.005),
        "long stretches": dict(learning_rate=7.3e-4, train_freq=64, gamma=0.98, tau=0.02),
        "far goal": dict(learning_rate=3e-4, train_freq=32, batch_size=512, gamma=0.999, tau=0.01, ent_coef=0.1),
        "locomotion": dict(learning_rate=3e-4, train_freq=64, gamma=0.99, tau=0.005, learning_starts=5_000),
    },
    "dqn": {
        "survival": dict(learning_rate=2.3e-3, train_freq=256, gradient_steps=128, batch_size=64),
        "steady": dict(
            learning_rate=6.3e-4, train_freq=16, gradient_steps=16, batch_size=128, target_update_interval=128,
        ),
        "sparse cost": dict(
            learning_rate=4e-3, train_freq=16, gradient_steps=8, batch_size=128, gamma=0.98, target_update_interval=512,
            exploration_fraction=0.2, exploration_final_eps=0.07,
        ),
        "curious": dict(learning_rate=5e-4, train_freq=64, gradient_steps=64, exploration_fraction=0.5),
    },
}  # fmt: skip
_FIRST: Final[dict[str, dict[CardKind, str]]] = {
    "sac": {
        "survival": "locomotion", "flat cost": "far goal", "sparse": "far goal", "sparse flags": "far goal",
        "dense continuous": "quick", "dense": "long stretches",
    },
    "dqn": {
        "survival": "survival", "flat cost": "sparse cost", "sparse": "curious", "sparse flags": "curious",
        "dense continuous": "steady", "dense": "steady",
    },
}  # fmt: skip


def choose(question: ChooseHyperparameters) -> tuple[OffPolicySettings, ...]:
    """``question.count`` settings that the journal has not seen: presets first, then TPE's."""
    base = question.off_policy
    assert base is not None, "asked of an algorithm that learns from a replay buffer"
    return Search(
        space=_SPACES[question.algorithm],
        card=question.card,
        base=base,
        published=_published(question, base),
        history=[(a.off_policy, a) for a in question.history if a.off_policy is not None],
        count=question.count,
        steps=question.steps,
        seed=question.seed,
    ).choose()


def drawn(rng: np.random.Generator, algorithm: str, base: OffPolicySettings, steps: int) -> OffPolicySettings:
    """Settings of ``sac`` or ``dqn`` drawn uniformly from the space (the learning rate log-uniformly)."""
    return _SPACES[algorithm].drawn(rng, base, steps)


def fitted(choice: OffPolicySettings, steps: int) -> OffPolicySettings:
    """The same settings with at least sixteen stretches in ``steps``, and no more than a quarter of them at random;
    updates that are counted keep their share of the steps."""
    stretch, updates = choice.train_freq, choice.gradient_steps
    while stretch > 16 and choice.num_envs * stretch * STRETCHES > steps:
        stretch, updates = stretch // 2, updates if updates == -1 else max(1, updates // 2)
    starts = min(choice.learning_starts, steps // 4)
    return choice.model_copy(
        update={"train_freq": stretch, "gradient_steps": updates, "learning_starts": starts}
    )


def _published(question: ChooseHyperparameters, base: OffPolicySettings) -> tuple[OffPolicySettings, ...]:
    """What suits this kind of card first, then the others; whatever a preset leaves open stays as in ``base``."""
    named, first = _PRESETS[question.algorithm], _FIRST[question.algorithm][card_kind(question.card)]
    order = (first, *(name for name in named if name != first))
    return tuple(base.model_copy(update=named[name]) for name in order)


_SPACES: Final = {"sac": Space(_SAC, fitted, fastest=3e-3), "dqn": Space(_DQN, fitted)}
