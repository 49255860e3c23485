"""The settings that a training gets when nobody chose any: by the kind of task, never by an environment's name.

The same settings are the ``native`` control's, so that a comparison against them is a fair one. They were tried on
CartPole, Acrobot, Pendulum, MountainCar and DoorKey, several seeds each.
"""

from __future__ import annotations

from experimenter.envs.pipeline import Pipeline
from experimenter.envs.records import EnvCard
from experimenter.envs.spaces import space_from_json
from experimenter.records import Hyperparameters, Network

__all__ = ["default_hyperparameters", "default_network"]


def default_hyperparameters(card: EnvCard) -> Hyperparameters:
    """PPO's settings for the kind of task that the card describes."""
    if _categorical(card):
        return _categorical_observations()
    if card.action_kind == "continuous":
        return _continuous_actions()
    return _plain_observations()


def default_network(card: EnvCard) -> Network:
    """Two layers of 64: small enough for a CPU, and enough for everything that was tried."""
    return Network()


def _categorical(card: EnvCard) -> bool:
    return Pipeline.for_space(space_from_json(card.observation_space), card.spec.family).categorical


def _categorical_observations() -> Hyperparameters:
    """One-hot views are seldom repeated, so each rollout is learnt from longer, and rollouts come from many worlds.

    Rewards are scaled all the same: rare and small ones would otherwise drown in what the critic makes up at first.
    The inputs are zeros and ones already.
    """
    return Hyperparameters(num_envs=16, update_epochs=8, normalize_observations=False)


def _plain_observations() -> Hyperparameters:
    """Small minibatches, many epochs and a moderate rate: each rollout is learnt from thoroughly.

    On MountainCar four trainings of 104 k steps ended at −107 to −114 (200 fresh episodes each); minibatches of 256,
    four epochs and twice the rate gave −112 to −135 in three.
    """
    return Hyperparameters(minibatch_size=64, update_epochs=10, learning_rate=5e-4)


def _continuous_actions() -> Hyperparameters:
    """Long stretches in few environments, learnt from thoroughly in small minibatches, as is usual for control.

    A Gaussian explores by itself: an entropy bonus would only keep it wide.
    """
    return Hyperparameters(num_envs=4, num_steps=512, minibatch_size=64, update_epochs=10, ent_coef=0.0)
