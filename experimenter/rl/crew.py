"""Who acts in a rollout: one policy, or the policies of several members side by side in one forward pass.

A member's numbers do not depend on who stands beside it: its block of the batched products is computed as its own
product would be, and its random draws are its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experimenter.policies.network import activate, actor_top, perceived
from experimenter.policies.normaliser import normalised
from experimenter.policies.policy import Policy

__all__ = ["Crew", "Solo"]

Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]


class Solo:
    """One policy in ``rows`` environments; ``memory`` (rows, memory) is what it remembers of each, changed in place."""

    def __init__(self, policy: Policy, rows: int, memory: Floats | None = None) -> None:
        self.rows, self.head = rows, policy.head
        self.inputs_size = policy.shape.inputs
        self._policy = policy
        self._memory = policy.blank(rows) if memory is None else memory
        self.remembers = policy.shape.memory > 0

    def inputs(self, obs: Any, rows: Flags | None = None) -> Floats:
        """What the network sees (n, inputs), of all rows, or of those that ``rows`` (rows,) marks."""
        x = self._policy.inputs(obs)
        if not self.remembers:
            return x
        return np.concatenate([x, self._memory if rows is None else self._memory[rows]], axis=1)

    def choose(self, inputs: Floats, noise: NDArray[Any]) -> NDArray[Any]:
        """Raw actions (n, width) for inputs (n, inputs) and drawn noise (n, width)."""
        policy = self._policy
        known = perceived(policy.params, policy.shape, inputs)
        if self.remembers:
            self._memory[:] = known
        out = actor_top(policy.params, policy.shape, known[:, : policy.shape.features])
        return policy.head.choose(out, policy.params.get("actor.log_std"), noise)

    def forget(self, rows: Flags) -> None:
        """The episodes of the rows that ``rows`` (rows,) marks are over."""
        self._memory[rows] = 0.0


class Crew:
    """Policies of one shape and one observation pipeline, each in ``each`` environments, one block after the other.

    Built anew for each rollout: it holds copies of the weights and statistics.
    """

    def __init__(self, policies: Sequence[Policy], each: int) -> None:
        first = policies[0]
        self.rows, self.head = len(policies) * each, first.head
        self.inputs_size = first.shape.inputs
        self._members, self._each, self._shape = len(policies), each, first.shape
        self._pipeline = first.pipeline
        self._weights = _stacked_actor(policies)
        self._log_std = _by_row([p.params.get("actor.log_std") for p in policies], each)
        self._mean = _by_row([None if p.normaliser is None else p.normaliser.mean for p in policies], each)
        self._scale = _by_row([None if p.normaliser is None else p.normaliser.scale for p in policies], each)

    def inputs(self, obs: Any, rows: Flags | None = None) -> Floats:
        """What each member's network sees (n, inputs), of all rows, or of those that ``rows`` (rows,) marks."""
        x: Floats = self._pipeline.encode(obs)
        if self._mean is None or self._scale is None:
            return x
        mean, scale = (self._mean, self._scale) if rows is None else (self._mean[rows], self._scale[rows])
        return normalised(x, mean, scale)

    def choose(self, inputs: Floats, noise: NDArray[Any]) -> NDArray[Any]:
        """Raw actions (n, width) for inputs (n, inputs) and drawn noise (n, width)."""
        h = inputs.reshape(self._members, self._each, -1)
        *hidden, (weight, bias) = self._weights
        for w, b in hidden:
            z = np.matmul(h, w)
            z += b
            h = activate(z, self._shape.activation)
        out = (np.matmul(h, weight) + bias).reshape(self.rows, -1)
        return self.head.choose(out, self._log_std, noise)


def _stacked_actor(policies: Sequence[Policy]) -> list[tuple[Any, Any]]:
    """Weights (M, in, out) and biases (M, 1, out) of the actor, layer by layer, the head last."""
    made = []
    for i in range(len(policies[0].shape.hidden)):
        weight, bias = f"hidden.{i}.weight", f"hidden.{i}.bias"
        stacked = (
            np.stack([p.params[weight][0] for p in policies]),
            np.stack([p.params[bias][0] for p in policies]),
        )
        made.append(stacked)
    weights = np.stack([p.params["actor.weight"] for p in policies])
    return [*made, (weights, np.stack([p.params["actor.bias"] for p in policies])[:, None, :])]


def _by_row(of_members: Sequence[Any], each: int) -> Any:
    """(M·each, k): each member's vector (k,), repeated for its rows; ``None`` where they have none."""
    return None if of_members[0] is None else np.repeat(np.stack(of_members), each, axis=0)
