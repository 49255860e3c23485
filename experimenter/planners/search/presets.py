"""Published settings of PPO, ordered by kind of card: what a practitioner would try before searching.

The values follow the tuned tables of rl-baselines3-zoo (CartPole, Acrobot, MountainCar, Pendulum, LunarLander, Hopper,
MiniGrid) and CleanRL, rounded into this search space. They are named for what they are good at, and picked by what a
random policy met, never by an environment's name.
"""

from __future__ import annotations

from typing import Any, Final

from experimenter.envs.records import EnvCard
from experimenter.planners.search.reading import CardKind, card_kind
from experimenter.records import Hyperparameters

__all__ = ["presets"]

_PRESETS: Final[dict[str, dict[str, Any]]] = {
    "fast survival": dict(
        num_envs=8, num_steps=32, minibatch_size=256, update_epochs=20, learning_rate=1e-3, gamma=0.98,
        gae_lambda=0.8, ent_coef=0.0, anneal_learning_rate=True,
    ),
    "sparse cost": dict(
        num_envs=16, num_steps=256, minibatch_size=64, update_epochs=4, learning_rate=3e-4, gamma=0.99,
        gae_lambda=0.94, ent_coef=0.0, normalize_observations=True, normalize_rewards=True,
    ),
    "sparse cost, short rollouts": dict(
        num_envs=16, num_steps=32, minibatch_size=256, update_epochs=4, learning_rate=1e-3, gamma=0.99,
        gae_lambda=0.98, ent_coef=0.0, normalize_observations=True, normalize_rewards=True,
    ),
    "short horizon": dict(
        num_envs=4, num_steps=512, minibatch_size=64, update_epochs=10, learning_rate=1e-3, gamma=0.9,
        gae_lambda=0.95, ent_coef=0.0,
    ),
    "long horizon": dict(
        num_envs=16, num_steps=512, minibatch_size=256, update_epochs=4, learning_rate=1e-3, gamma=0.999,
        gae_lambda=0.98, ent_coef=0.01,
    ),
    "locomotion": dict(
        num_envs=4, num_steps=512, minibatch_size=64, update_epochs=10, learning_rate=3e-4, gamma=0.99,
        gae_lambda=0.95, ent_coef=0.0, normalize_observations=True, normalize_rewards=True,
    ),
    "grid world": dict(
        num_envs=16, num_steps=128, minibatch_size=256, update_epochs=4, learning_rate=1e-3, gamma=0.99,
        gae_lambda=0.95, ent_coef=0.01,
    ),
    "grid world, curious": dict(
        num_envs=8, num_steps=128, minibatch_size=64, update_epochs=10, learning_rate=2.5e-4, gamma=0.99,
        gae_lambda=0.95, ent_coef=0.02,
    ),
}  # fmt: skip

_ORDER: Final[dict[CardKind, tuple[str, ...]]] = {
    "survival": ("fast survival", "short horizon", "locomotion", "long horizon"),
    "flat cost": ("sparse cost, short rollouts", "sparse cost", "fast survival", "long horizon"),
    "sparse": ("sparse cost", "long horizon", "grid world", "sparse cost, short rollouts"),
    "sparse flags": ("grid world", "grid world, curious", "sparse cost", "long horizon"),
    "dense continuous": ("short horizon", "locomotion", "long horizon", "fast survival"),
    "dense": ("long horizon", "sparse cost", "fast survival", "locomotion"),
}


def presets(card: EnvCard, base: Hyperparameters) -> tuple[Hyperparameters, ...]:
    """Settings worth trying first on this kind of card; whatever a preset leaves open stays as in ``base``."""
    return tuple(base.model_copy(update=_PRESETS[name]) for name in _ORDER[card_kind(card)])
