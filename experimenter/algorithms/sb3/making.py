"""Makes a model of Stable-Baselines3 for a policy of ours: its spaces are what our networks read and say."""

from __future__ import annotations

from typing import Any

import numpy as np

from experimenter.algorithms.sb3.randomness import drawn_from
from experimenter.policies.actions import ActionHead, CategoricalHead
from experimenter.policies.policy import Policy
from experimenter.rl.tensors import load_torch

__all__ = ["Told", "made", "network_arguments"]


class Told:
    """What a model logs while it trains, by name, in place of its logger."""

    def __init__(self) -> None:
        self._said: dict[str, list[float]] = {}

    def record(self, key: str, value: Any, exclude: Any = None) -> None:
        """Called by the model."""
        self._said.setdefault(key.removeprefix("train/"), []).append(float(value))

    def clear(self) -> None:
        self._said.clear()

    def __getitem__(self, key: str) -> float:
        """The mean of what was said of ``key``; 0 where it was not mentioned."""
        return float(np.mean(self._said[key])) if key in self._said else 0.0


def network_arguments(policy: Policy) -> dict[str, Any]:
    """The policy's hidden layers and activation as the library wants to be told them."""
    torch, network = load_torch(), policy.network
    kind = torch.nn.ReLU if network.activation == "relu" else torch.nn.Tanh
    return {"net_arch": list(network.hidden), "activation_fn": kind}


def made(kind: Any, ours: Policy, rng: np.random.Generator, told: Told, **arguments: Any) -> Any:
    """A fresh model of class ``kind`` without an environment: it will be given what ours have seen.

    Its observations are what the policy sees, encoded and normalised; its actions are what the head calls raw.
    """
    from gymnasium import spaces

    arguments = {"policy": "MlpPolicy", "env": None, "device": "cpu", **arguments, "_init_setup_model": False}
    with drawn_from(rng):
        model = kind(**arguments)
        model.observation_space = spaces.Box(-np.inf, np.inf, (ours.pipeline.size,), np.float32)
        model.action_space = _actions(ours.head)
        model.n_envs = 1
        model._setup_model()
    model.set_logger(told)
    return model


def _actions(head: ActionHead) -> Any:
    from gymnasium import spaces

    if isinstance(head, CategoricalHead):
        return spaces.Discrete(head.sizes[0]) if head.single else spaces.MultiDiscrete(np.array(head.sizes))
    return spaces.Box(-1.0, 1.0, (head.width,), np.float32)
