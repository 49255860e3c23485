"""How long a step takes on this machine: the environment's part is measured by the card, the engine's is known.

The constants were measured with the shipped engine on one core of a server of 2024: five environments, minibatches of
64 to 1,024, networks of 64 and 256 units. A machine may well be twice as fast or slow; the forecast says a range.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from experimenter.envs.records import EnvCard
from experimenter.records import Hyperparameters

__all__ = ["Pace", "pace_of", "update_seconds"]

# One pass of one sample through both networks and back: a fixed part, and one for each weight.
_SAMPLE: Final = 1.4e-6
_SAMPLE_WEIGHT: Final = 8.0e-11
# One step of the optimiser, whatever the size of its minibatch.
_MINIBATCH: Final = 1.2e-4
_MINIBATCH_WEIGHT: Final = 1.8e-9
# Acting for a step of the judge, on top of the environment's own time.
_ACT: Final = 1.5e-5


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds of one process for one learning step, and for one step of the judge."""

    learn: float
    judge: float


def pace_of(card: EnvCard, algorithm: str = "ppo") -> Pace | None:
    """The pace of the shipped defaults in this environment; ``None`` where its speed was not measured, and for other
    algorithms than PPO, whose updates were not."""
    rate = card.random.steps_per_second
    if rate <= 0 or algorithm != "ppo":
        return None
    from experimenter.rl.defaults import default_hyperparameters

    learn = 1 / rate + update_seconds(default_hyperparameters(card), _weights(card))
    return Pace(learn=learn, judge=1 / rate + _ACT)


def update_seconds(hyper: Hyperparameters, weights: int) -> float:
    """What learning from one step takes: ``update_epochs`` passes, and its share of so many minibatches."""
    passing = _SAMPLE + weights * _SAMPLE_WEIGHT
    sharing = (_MINIBATCH + weights * _MINIBATCH_WEIGHT) / hyper.minibatch_size
    return hyper.update_epochs * (passing + sharing)


def _weights(card: EnvCard) -> int:
    """Multiplications of one row in the default networks; how many actions there are hardly matters."""
    from experimenter.envs.images import find_image
    from experimenter.envs.pipeline import Pipeline
    from experimenter.envs.spaces import space_from_json
    from experimenter.policies.network import Shape
    from experimenter.rl.defaults import default_network

    pipeline = Pipeline.for_space(space_from_json(card.observation_space), card.spec.family)
    network = default_network(card)
    image = find_image(pipeline.parts) if network.convolution else None
    shape = Shape(pipeline.size, network.hidden, 1, False, image=image, convolution=network.convolution)
    return shape.products
