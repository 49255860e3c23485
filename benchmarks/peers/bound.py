"""The arithmetic bound of PPO: its matrix products in numpy and nothing else, for the same network and batches.

For each rollout: the actor's products for every step of acting (all members in one batched product), both networks'
for the values of the rollout, and those of the forward and backward pass of every minibatch of every epoch.
"""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from peers.common import Answer, Meeting, Task, answer, peak_mb, since_start

__all__ = ["Products", "play"]

Array = NDArray[np.float32]


def play(task: Task, meet: Meeting) -> Answer:
    inputs, outputs = _sizes(task)
    products = Products(inputs, task.hidden, outputs)
    settings, members = task.settings, task.members
    rollout = settings["num_envs"] * settings["num_steps"]
    _rollout(products, settings, members)
    meet()
    began, steps = time.perf_counter(), 0
    while steps < task.steps * members:
        _rollout(products, settings, members)
        steps += rollout * members
    return Answer(steps, time.perf_counter() - began, since_start(task), peak_mb())


def _sizes(task: Task) -> tuple[int, int]:
    import gymnasium

    env = gymnasium.make(task.env)
    actions: Any = env.action_space
    outputs = (
        int(actions.n) if isinstance(actions, gymnasium.spaces.Discrete) else int(np.prod(actions.shape))
    )
    return int(np.prod(env.observation_space.shape or ())), outputs


def _rollout(products: Products, settings: dict[str, Any], members: int) -> None:
    products.act(settings["num_envs"], settings["num_steps"], members)
    rollout = settings["num_envs"] * settings["num_steps"]
    minibatches = max(1, round(rollout / settings["minibatch_size"]))
    for _ in range(members):
        products.forward(rollout, 1)
        products.learn(rollout // minibatches, minibatches * settings["update_epochs"])


class Products:
    """Of two perceptrons of one shape, actor and critic; every result goes into an array that is there already."""

    def __init__(self, inputs: int, hidden: tuple[int, ...], outputs: int) -> None:
        trunk = [inputs, *hidden]
        self.nets = [[_full(a, b) for a, b in pairwise(s)] for s in ([*trunk, outputs], [*trunk, 1])]

    def act(self, rows: int, times: int, members: int) -> None:
        stacks = [np.repeat(weight[None], members, axis=0) for weight in self.nets[0]]
        x = _full(members, rows, stacks[0].shape[1])
        outs = [_full(members, rows, weight.shape[2]) for weight in stacks]
        for _ in range(times):
            h = x
            for weight, out in zip(stacks, outs, strict=True):
                h = np.matmul(h, weight, out=out)

    def forward(self, rows: int, times: int) -> None:
        for net in self.nets:
            layers = self._layers(net, rows)
            for _ in range(times):
                _forward(net, layers)

    def learn(self, rows: int, times: int) -> None:
        """Forward, the gradient by every weight, and the gradient by every layer's input but the first's."""
        for net in self.nets:
            layers = self._layers(net, rows)
            gradients = [np.empty_like(weight) for weight in net]
            below = [np.empty_like(layer) for layer in layers]
            for _ in range(times):
                _forward(net, layers)
                _backward(net, layers, gradients, below)

    def _layers(self, net: list[Array], rows: int) -> list[Array]:
        return [_full(rows, net[0].shape[0]), *(_full(rows, weight.shape[1]) for weight in net)]


def _full(*shape: int) -> Array:
    return np.full(shape, 0.01, dtype=np.float32)


def _forward(net: list[Array], layers: list[Array]) -> None:
    for i, weight in enumerate(net):
        np.matmul(layers[i], weight, out=layers[i + 1])


def _backward(net: list[Array], layers: list[Array], gradients: list[Array], below: list[Array]) -> None:
    for i in range(len(net) - 1, -1, -1):
        np.matmul(layers[i].T, layers[i + 1], out=gradients[i])
        if i:
            np.matmul(layers[i + 1], net[i].T, out=below[i])


if __name__ == "__main__":
    answer(play)
