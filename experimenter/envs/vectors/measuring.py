"""How fast each kind of vector environment steps here and now: short slices in alternation, the best of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from experimenter.envs.vectors.contract import Vector
from experimenter.envs.vectors.likeness import random_play

__all__ = ["SECONDS", "measure"]

SECONDS: Final = 0.3
SLICES: Final = 3
DRAWN: Final = 64


def measure(
    vectors: Mapping[str, Vector], seconds: float = SECONDS, alive: Callable[[], None] = lambda: None
) -> dict[str, float]:
    """Steps of single environments per second under random actions, by kind; each gets about ``seconds``."""
    rng = np.random.default_rng(0)
    actions = {
        kind: [random_play(v.action_space)(rng, v.num_envs) for _ in range(DRAWN)]
        for kind, v in vectors.items()
    }
    for vector in vectors.values():
        vector.reset(range(vector.num_envs))
    found: dict[str, list[float]] = {kind: [] for kind in vectors}
    for _ in range(SLICES):
        for kind, vector in vectors.items():
            found[kind].append(_rate(vector, actions[kind], seconds / SLICES, alive))
    return {kind: max(rates) for kind, rates in found.items()}


def _rate(vector: Vector, actions: list[np.ndarray], seconds: float, alive: Callable[[], None]) -> float:
    """At least one step is taken, however slow."""
    steps, began = 0, time.perf_counter()
    while steps == 0 or time.perf_counter() - began < seconds:
        vector.step(actions[steps % len(actions)])
        steps += 1
        alive()
    return steps * vector.num_envs / (time.perf_counter() - began)
