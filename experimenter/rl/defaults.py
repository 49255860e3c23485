"""The settings that a training gets when nobody chose any: by the kind of task, never by an environment's name.

The same settings are the ``native`` control's, so that a comparison against them is a fair one. They were tried on
CartPole, Acrobot, Pendulum, MountainCar and DoorKey, several seeds each.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from gymnasium.spaces import Box

from experimenter.envs.pipeline import Pipeline
from experimenter.envs.records import EnvCard
from experimenter.envs.spaces import leaves, space_from_json
from experimenter.records import Convolution, Hyperparameters, Network

__all__ = ["batched_hyperparameters", "default_hyperparameters", "default_network"]

# The shorter side of an image in pixels: below the first it is read as so many numbers.
TINY_IMAGE: Final = 8
SMALL_IMAGE: Final = 16
LARGE_IMAGE: Final = 36


def default_hyperparameters(card: EnvCard, *, batched: bool = False) -> Hyperparameters:
    """PPO's settings for the kind of task that the card describes.

    ``batched``: whether its environments are stepped in one batch, where many cost hardly more than a few.
    """
    pipeline = _pipeline(card)
    if pipeline.categorical:
        return _categorical_observations()
    if (side := _sees(pipeline)) is not None:
        return _image_observations(card, side)
    if card.action_kind == "continuous":
        return _continuous_actions()
    return batched_hyperparameters() if batched else _plain_observations()


def default_network(card: EnvCard, algorithm: str = "ppo") -> Network:
    """For PPO two layers of 64: small enough for a CPU, and enough for everything that was tried without images.

    Images go through convolutions first: for large ones those of Mnih et al. 2015, for small ones the single layer of
    MinAtar (Young and Tian 2019). Any other algorithm says itself what it gets.
    """
    if algorithm != "ppo":
        from experimenter.rl.algorithms import algorithm as plugin

        return plugin(algorithm).network(card)
    side = _sees(_pipeline(card))
    if side is None:
        return Network()
    if side < SMALL_IMAGE:
        return _convolutional((16, 3, 1), hidden=128)
    if side < LARGE_IMAGE:
        return _convolutional((16, 4, 2), (32, 3, 2), hidden=128)
    return _convolutional((32, 8, 4), (64, 4, 2), (64, 3, 1), hidden=256)


def _convolutional(*layers: tuple[int, int, int], hidden: int) -> Network:
    convolution = tuple(Convolution(filters=f, kernel=k, stride=s) for f, k, s in layers)
    return Network(hidden=(hidden,), activation="relu", convolution=convolution)


def _pipeline(card: EnvCard) -> Pipeline:
    return Pipeline.for_space(space_from_json(card.observation_space), card.spec.family)


def _sees(pipeline: Pipeline) -> int | None:
    """The shorter side of the image that the policy sees; ``None`` without one that is worth convolutions.

    Views whose cells are categories stay as they are: perceptrons learn well from them.
    """
    pictures = (image for image in pipeline.images if not image.one_hot)
    image = max(pictures, key=lambda image: image.size, default=None)
    if image is None:
        return None
    side = min(image.shape[:2])
    return side if side >= TINY_IMAGE else None


def _categorical_observations() -> Hyperparameters:
    """One-hot views are seldom repeated, so each rollout is learnt from longer, and rollouts come from many worlds.

    Rewards are scaled all the same: rare and small ones would otherwise drown in what the critic makes up at first.
    The inputs are zeros and ones already.
    """
    return Hyperparameters(num_envs=16, update_epochs=8, normalize_observations=False)


def _image_observations(card: EnvCard, side: int) -> Hyperparameters:
    """Convolutions are dear, so few epochs; large ones want a smaller rate. A pixel's own scale means nothing, so that
    only what is not between 0 and 1 already is normalised."""
    spaces = [leaf.space for leaf in leaves(space_from_json(card.observation_space))]
    wide = [space for space in spaces if isinstance(space, Box) and space.dtype not in (np.uint8, np.bool_)]
    return Hyperparameters(
        minibatch_size=128,
        learning_rate=1e-3 if side < LARGE_IMAGE else 3e-4,
        normalize_observations=any(space.low.min() < 0 or space.high.max() > 1 for space in wide),
    )


def _plain_observations() -> Hyperparameters:
    """Small minibatches, many epochs and a moderate rate: each rollout is learnt from thoroughly.

    On MountainCar four trainings of 104 k steps ended at −107 to −114 (200 fresh episodes each); minibatches of 256,
    four epochs and twice the rate gave −112 to −135 in three.
    """
    return Hyperparameters(minibatch_size=64, update_epochs=10, learning_rate=5e-4)


def batched_hyperparameters() -> Hyperparameters:
    """Short stretches in many environments, few large minibatches, and a rate to match: what takes least time where
    a step of many environments costs hardly more than one of a few.

    On CartPole eight trainings of 60 k steps all ended at 500 of 500, as with the settings for plain observations,
    which need more than twice the time.
    """
    return Hyperparameters(num_envs=64, num_steps=32, minibatch_size=512, update_epochs=4, learning_rate=2e-3)


def _continuous_actions() -> Hyperparameters:
    """Long stretches in few environments, learnt from thoroughly in small minibatches, as is usual for control.

    A Gaussian explores by itself: an entropy bonus would only keep it wide.
    """
    return Hyperparameters(num_envs=4, num_steps=512, minibatch_size=64, update_epochs=10, ent_coef=0.0)
