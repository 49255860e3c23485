"""Items and questions that the memory's tests share: random, and the same in every process."""

from __future__ import annotations

import random

from experimenter.records import EnvSpec, MemoryItem, MemoryQuery

_WORDS = """
    pole cart hill car speed fuel lander door key room lava ice gait robot torque bonus seed reward entropy grid
    ball wall goal step height wind wheel track level gap hand puck drone battery price stock light queue fruit
"""
WORDS = _WORDS.split()
ENVIRONMENTS = ["CartPole-v1", "CartPole-v0", "MiniGrid-DoorKey-5x5-v0", "MiniGrid-DoorKey-6x6-v0", "Ant-v5"]


def an_item(name, text, environment=None, weight=1.0):
    spec = EnvSpec(id=environment) if environment else None
    return MemoryItem(id=f"lesson:{name}", kind="lesson", text=text, spec=spec, weight=weight)


def ids(found):
    return [one.item.id.partition(":")[2] for one in found]


def asking(words, environment=None):
    return MemoryQuery(words=words, environment=EnvSpec(id=environment) if environment else None)


def random_items(count, seed=0):
    rng = random.Random(seed)
    return tuple(
        an_item(
            i,
            " ".join(rng.choices(WORDS, k=rng.randint(1, 9))),
            rng.choice([None, *ENVIRONMENTS]),
            rng.choice([0.2, 0.5, rng.random() * 0.99 + 0.01]),
        )
        for i in range(count)
    )


def random_questions(count, seed=1):
    rng = random.Random(seed)
    return [
        asking(" ".join(rng.choices(WORDS, k=rng.randint(0, 5))), rng.choice([None, *ENVIRONMENTS]))
        for _ in range(count)
    ]


def answers(memory, items, store, questions):
    return [memory.recall(query, items, store, 10) for query in questions]
