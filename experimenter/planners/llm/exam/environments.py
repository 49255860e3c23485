"""The environments of the examination, and what is asked about each: valid configurations, and rewards that run."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from experimenter.envs.records import EnvCard
from experimenter.planners.llm.settings import parameters_of
from experimenter.questions import (
    Answer,
    ChooseHyperparameters,
    DesignEnvironments,
    EnvironmentMixtures,
    HyperparameterChoices,
    Question,
    WriteRewards,
)
from experimenter.records import Goal, Hyperparameters, OffPolicySettings

__all__ = ["Place", "configurations", "is_valid", "places", "rewards"]

_STEPS: Final = 100_000


@dataclass(frozen=True, slots=True)
class Place:
    """An environment and the wishes for which rewards are written there."""

    env_id: str
    wishes: tuple[str, str]


_CLASSIC: Final = (
    Place(
        "CartPole-v1",
        ("Keep the pole upright for as long as possible.", "Keep the pole up with the cart near the middle."),
    ),
    Place(
        "MountainCar-v0",
        (
            "Drive the car up to the flag on the right.",
            "Swing the car ever higher until it leaves the valley.",
        ),
    ),
    Place(
        "Acrobot-v1",
        (
            "Swing the end of the lower link above the line.",
            "Raise the tip as high as you can, without haste.",
        ),
    ),
    Place(
        "Pendulum-v1",
        (
            "Swing the pendulum up and hold it upright.",
            "Hold the pendulum upright with as little torque as possible.",
        ),
    ),
)
_ROOM: Final = Place(
    "MiniGrid-DoorKey-6x6-v0",
    ("Fetch the key, open the door and reach the goal.", "Open the door with the key as early as possible."),
)
_WITHOUT_MINIGRID: Final = Place(
    "MountainCarContinuous-v0",
    ("Drive the car up to the flag on the right.", "Reach the flag with as little effort as possible."),
)


def places() -> tuple[Place, ...]:
    """Five environments; the fifth is MiniGrid's, or another classic where MiniGrid is not installed."""
    there = importlib.util.find_spec("minigrid") is not None
    return (*_CLASSIC, _ROOM if there else _WITHOUT_MINIGRID)


def configurations(cards: Mapping[str, EnvCard]) -> tuple[Question, ...]:
    """Hyperparameters for every environment and for two other algorithms; mixtures wherever there are parameters."""
    base = Hyperparameters()
    asked: list[Question] = [
        ChooseHyperparameters(card=card, algorithm="ppo", base=base, count=3, steps=_STEPS)
        for card in cards.values()
    ]
    for env_id, algorithm, settings in (
        ("MountainCar-v0", "dqn", OffPolicySettings.dqn()),
        ("Pendulum-v1", "sac", OffPolicySettings()),
    ):
        card = cards[env_id]
        asked.append(
            ChooseHyperparameters(
                card=card, algorithm=algorithm, base=base, count=2, steps=_STEPS, off_policy=settings
            )
        )
    for card in cards.values():
        counts = (1, 3) if len(parameters_of(card)) > 1 else (1,) if parameters_of(card) else ()
        asked += [DesignEnvironments(card=card, target=card.spec, count=count) for count in counts]
    return tuple(asked)


def is_valid(answer: Answer) -> bool:
    """Whether an answer is a configuration: whatever is none was refused before."""
    return isinstance(answer, HyperparameterChoices | EnvironmentMixtures)


def rewards(cards: Mapping[str, EnvCard]) -> tuple[WriteRewards, ...]:
    """One program for each wish: two in every environment."""
    return tuple(
        WriteRewards(goal=Goal(wish=wish, environment=card.spec), card=card, count=1)
        for place in places()
        if (card := cards.get(place.env_id)) is not None
        for wish in place.wishes
    )
