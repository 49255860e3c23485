"""Pairs of trajectories in words of which one is plainly better: each went further than the next on a known ladder.

Pairs only, so that the answers are independent of each other and guessing is right on half of them. Half of the better
ones are listed first, and half of them are called ``a``: whoever always takes the first, or ``a``, is right on half.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from experimenter.questions import Answer, RankRollouts, RolloutRanking, RolloutSummary

__all__ = ["CHANCE", "LADDERS", "Pair", "is_right", "pairs"]

CHANCE: Final = 0.5

LADDERS: Final[dict[str, tuple[str, ...]]] = {
    "Task: keep the pole on the cart upright for as long as possible, at most 500 steps.": (
        "The pole stood for all 500 steps; the cart stayed within 0.3 of the middle.",
        "The pole fell to the right after 410 steps, while the cart drifted slowly.",
        "The pole fell to the left after 96 steps, with ever larger swings before.",
        "The pole fell to the left after 31 steps; the agent had pushed left 28 times.",
        "The pole fell to the right after 9 steps; the agent had pushed left at each of them.",
    ),
    "Task: drive the weak car out of the valley to the flag at position 0.5, in as few of 200 steps as possible.": (
        "The car swung back and forth twice and reached the flag after 104 steps.",
        "The car swung back and forth many times and reached the flag after 187 steps.",
        "The car never reached the flag; it swung higher and higher, and its highest position was 0.31.",
        "The car never reached the flag; it swung a little, and its highest position was -0.22.",
        "The car never left the bottom of the valley; its position stayed between -0.6 and -0.5.",
    ),
    "Task: fetch the key, open the locked door with it, and walk to the goal behind it, within 360 steps.": (
        "Picked up the key at step 14, opened the door at step 29 and stood on the goal at step 41.",
        "Picked up the key at step 120, opened the door at step 230 and stood on the goal at step 352.",
        "Picked up the key at step 15 and opened the door at step 33, then walked about behind it to the end.",
        "Picked up the key at step 22 and carried it about to the end; the door stayed locked.",
        "Walked about for 360 steps and never touched the key.",
    ),
    "Task: land the spacecraft softly between the two flags, standing on both legs.": (
        "Came down between the flags at 0.1 m/s and stood on both legs with its engines off.",
        "Came down between the flags at 0.4 m/s, bounced once, and stood on both legs in the end.",
        "Stood on both legs in the end, but far to the left of the flags.",
        "Hit the ground to the left of the flags at 3 m/s and broke.",
        "Turned over in the air, hit the ground head first at 9 m/s, and broke.",
    ),
    "Task: swing the pendulum up and hold it upright with little torque, for 200 steps.": (
        "Upright within 5 degrees from step 38 to the end, with hardly any torque.",
        "Upright within 5 degrees from step 120 to the end; before, it swung back and forth.",
        "Swung through the upright position four times and never held it.",
        "Swung up to the horizontal again and again, and never higher.",
        "Hung straight down for all 200 steps.",
    ),
}
"""For each task, trajectories from best to worst: each did more of what the task asks for than those below it."""

_STEPS_DOWN: Final = ((0, 1), (2, 3), (1, 2), (0, 4))
"""Which rungs of each ladder meet: neighbours three times, its ends once."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two trajectories, and the id of the better one."""

    question: RankRollouts
    better: str


def pairs() -> tuple[Pair, ...]:
    """Twenty pairs, the same always."""
    met = [(task, rungs, one) for task, rungs in LADDERS.items() for one in _STEPS_DOWN]
    return tuple(_pair(number, task, rungs, *one) for number, (task, rungs, one) in enumerate(met))


def is_right(pair: Pair, answer: Answer) -> bool:
    """Whether an answer puts the better trajectory first; a refusal does not."""
    return isinstance(answer, RolloutRanking) and answer.order[:1] == (pair.better,)


def _pair(number: int, task: str, rungs: tuple[str, ...], better: int, worse: int) -> Pair:
    """The better one is ``a`` in every other pair, and listed first in every other two."""
    names = ("a", "b") if number % 2 == 0 else ("b", "a")
    told = {
        name: RolloutSummary(id=name, hidden_score=-float(rung), words=f"{task} {rungs[rung]}")
        for name, rung in zip(names, (better, worse), strict=True)
    }
    rollouts = (told["a"], told["b"])
    first = names[0] if number // 2 % 2 == 0 else names[1]
    return Pair(RankRollouts(rollouts=rollouts, seed=_seed_that_lists(first, number)), names[0])


def _seed_that_lists(first: str, number: int) -> int:
    """A seed with which the prompt lists this one of ``a`` and ``b`` first: its order is drawn from the seed."""
    seed = number * 1000
    while random.Random(seed).sample(("a", "b"), 2)[0] != first:
        seed += 1
    return seed
