"""How an off-policy algorithm acts while it collects: at random first, then as its network says."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experimenter.policies.actions import ActionHead, Array
from experimenter.policies.policy import Policy
from experimenter.policies.squashed import SquashedHead, ValueHead
from experimenter.records import OffPolicySettings

__all__ = ["acting", "epsilon", "noisy"]


class _Anywhere(SquashedHead):
    """Uniformly over the whole space, whatever the network says."""

    def noise(self, rng: np.random.Generator, *rows: int) -> Array:
        return rng.uniform(-1.0, 1.0, (*rows, self.width))

    def choose(self, out: Array, log_std: Array | None, noise: Array) -> NDArray[Any]:
        return noise.astype(np.float32)


class _Noisy(SquashedHead):
    """The actor's action and Gaussian noise, held inside: how a deterministic actor explores (Fujimoto et al. 2018)."""

    def __init__(self, head: ActionHead, deviation: float) -> None:
        assert isinstance(head, SquashedHead)
        super().__init__(head.low, head.high)
        self._deviation = deviation

    def choose(self, out: Array, log_std: Array | None, noise: Array) -> NDArray[Any]:
        drawn = self.greedy(out) + self._deviation * noise
        held: NDArray[Any] = np.clip(drawn, -1.0, 1.0).astype(np.float32)
        return held


def epsilon(settings: OffPolicySettings, progress: float) -> float:
    """The share of random actions after the part ``progress`` (0 … 1) of a training: falls linearly, then stays."""
    first, last = settings.exploration_initial_eps, settings.exploration_final_eps
    return first + (last - first) * min(1.0, progress / settings.exploration_fraction)


def acting(policy: Policy, at_random: bool, exploration: float) -> Policy:
    """``policy``, sharing its weights, with the head that it collects with."""
    made = copy.copy(policy)
    if isinstance(policy.head, ValueHead):
        made.head = head = copy.copy(policy.head)
        head.exploration = 1.0 if at_random else exploration
    elif isinstance(policy.head, SquashedHead) and at_random:
        made.head = _Anywhere(policy.head.low, policy.head.high)
    return made


def noisy(policy: Policy, deviation: float) -> Policy:
    """``policy``, sharing its weights, with Gaussian noise of that deviation added to its squashed actions."""
    made = copy.copy(policy)
    made.head = _Noisy(policy.head, deviation)
    return made
