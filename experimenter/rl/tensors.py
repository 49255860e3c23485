"""The networks as torch sees them: the same numbers as the flat vector's, as leaves that PyTorch differentiates by.

On the CPU nothing is copied: a leaf is a view of the flat vector, and its gradient one of a flat gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from types import ModuleType
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from experimenter.envs.images import ImagePart
from experimenter.errors import TrainingFault
from experimenter.policies.network import Shape

__all__ = ["Networks", "load_torch"]


def load_torch() -> ModuleType:
    """torch, on one thread: more make small networks slower. Raises TrainingFault where it is not installed."""
    try:
        import torch
    except ImportError as cause:
        raise TrainingFault(
            "this training differentiates by PyTorch, which is not installed",
            "Install it with: pip install 'rl-experimenter[torch]'.",
        ) from cause
    if torch.get_num_threads() != 1:
        torch.set_num_threads(1)
    return torch


class Networks:
    """Actor and critic over one flat vector. ``flat`` and ``gradient`` are its tensors on ``device``.

    A backward pass adds to ``gradient``, which is to be set to zero before. ``flat`` is the given vector itself on the
    CPU; elsewhere ``pull`` fetches it and ``push`` writes it back.
    """

    def __init__(self, shape: Shape, flat: NDArray[Any], device: str) -> None:
        self._torch = load_torch()
        self.shape, self.device = shape, device
        self._given = self._torch.from_numpy(flat)
        self.flat = self._given.to(device)
        self.gradient = self._torch.zeros_like(self.flat)
        self._leaves = {name: self._leaf(at, dims) for name, at, dims in _places(shape)}
        self.log_std = self._leaves.get("actor.log_std")
        self._activate = self._activation()

    def _leaf(self, at: int, dims: tuple[int, ...]) -> Any:
        """A part of the flat vector with its gradient in place, so that nothing is copied together afterwards."""
        end = at + int(np.prod(dims))
        leaf = self.flat[at:end].view(dims).detach().requires_grad_()
        leaf.grad = self.gradient[at:end].view(dims)
        return leaf

    def _activation(self) -> Callable[[Any], Any]:
        torch = self._torch
        if self.shape.activation == "relu":
            return cast(Callable[[Any], Any], torch.relu)
        return cast(Callable[[Any], Any], _quick_tanh(torch) if self.device == "cpu" else torch.tanh)

    def pull(self) -> None:
        """Fetches the flat vector, where it is not shared."""
        if self.flat is not self._given:
            self.flat.copy_(self._given)

    def push(self) -> None:
        """Writes the flat vector back, where it is not shared."""
        if self.flat is not self._given:
            self._given.copy_(self.flat)

    def both(self, x: Any) -> tuple[Any, Any]:
        """The actor's output (n, outputs; with ``sde`` its last hidden layer behind them) and the critic's values (n,)
        for inputs (n, inputs)."""
        return self._top(self.features(x))

    def _top(self, read: Any) -> tuple[Any, Any]:
        named, torch = self._leaves, self._torch
        h = read.expand(2, -1, -1)
        for i in range(len(self.shape.hidden)):
            z = torch.baddbmm(named[f"hidden.{i}.bias"], h, named[f"hidden.{i}.weight"])
            h = self._activate(z)
        actor, critic = h.unbind()
        out = torch.addmm(named["actor.bias"], actor, named["actor.weight"])
        # The noise is to follow the hidden layer, and not to shape it.
        out = torch.cat([out, actor.detach()], 1) if self.shape.sde else out
        return out, torch.addmm(named["critic.bias"], critic, named["critic.weight"]).squeeze(1)

    def features(self, x: Any) -> Any:
        """What both perceptrons read (n, features), each row with a memory of its own.

        See ``experimenter.policies.network.features``.
        """
        if not self.shape.memory:
            return self._seen(x)
        seen, before = x.split([self.shape.inputs - self.shape.memory, self.shape.memory], 1)
        return self._remembered(self._by_sight(self._seen(seen)), before.split(self.shape.features, 1))[0]

    def in_turn(self, x: Any, begun: Any) -> tuple[Any, Any]:
        """As ``both`` for whole sequences (T, n, inputs), in the order of (T·n).

        The memory is carried from step to step, and blank where ``begun`` (T, n, 1) is zero; only that before the first
        step is taken from the inputs.
        """
        steps, n, width = x.shape
        seen = self._seen(x[..., : width - self.shape.memory].reshape(steps * n, -1))
        # Cut apart once: the derivative of one step's slice would be as large as all of them.
        by_sight = [part.reshape(steps, n, -1).unbind() for part in self._by_sight(seen)]
        ended = (begun == 0).flatten(1).any(1).tolist()
        state: Sequence[Any] = x[0, :, width - self.shape.memory :].split(self.shape.features, 1)
        read = []
        for t in range(steps):
            before = [part * begun[t] for part in state] if ended[t] else state
            state = self._remembered([part[t] for part in by_sight], before)
            read.append(state[0])
        return self._top(self._torch.cat(read))

    def _by_sight(self, seen: Any) -> Sequence[Any]:
        """What an observation says to the gates: a GRU's two (n, 2·m) and what is new (n, m), or an LSTM's (n, 4·m)."""
        named, m = self._leaves, self.shape.features
        said = self._torch.addmm(named["memory.sight.bias"], seen, named["memory.sight.weight"])
        made: Sequence[Any] = said.split([2 * m, m], 1) if self.shape.cell == "gru" else [said]
        return made

    def _remembered(self, by_sight: Sequence[Any], before: Sequence[Any]) -> Sequence[Any]:
        """What is remembered, h (n, m) and an LSTM's cell (n, m); see ``experimenter.policies.recurrence``."""
        torch, named, m = self._torch, self._leaves, self.shape.features
        said = torch.addmm(named["memory.state.bias"], before[0], named["memory.state.weight"])
        if self.shape.cell == "lstm":
            both, fresh, output = (by_sight[0] + said).split([2 * m, m, m], 1)
            enter, keep = torch.sigmoid(both).split(m, 1)
            cell = torch.addcmul(keep * before[1], enter, torch.tanh(fresh))
            return torch.sigmoid(output) * torch.tanh(cell), cell
        (gates, fresh), (to_gates, to_fresh) = by_sight, said.split([2 * m, m], 1)
        reset, keep = torch.sigmoid(gates + to_gates).split(m, 1)
        return (torch.lerp(torch.tanh(torch.addcmul(fresh, reset, to_fresh)), before[0], keep),)

    def _seen(self, x: Any) -> Any:
        """The observation (n, seen), after the convolutions where there are any."""
        image = self.shape.image
        if image is None:
            return x
        h = _cut(image, x)
        for i, layer in enumerate(self.shape.convolution):
            weight = self._leaves[f"convolution.{i}.weight"].permute(3, 2, 0, 1)
            bias = self._leaves[f"convolution.{i}.bias"]
            h = self._activate(self._torch.conv2d(h, weight, bias, layer.stride))
        flat = h.permute(0, 2, 3, 1).reshape(len(x), -1)
        if image.size == x.shape[1]:
            return flat
        return self._torch.cat([flat, x[:, : image.offset], x[:, image.offset + image.size :]], 1)


def _places(shape: Shape) -> Iterator[tuple[str, int, tuple[int, ...]]]:
    """Name, beginning and dimensions of each array in the flat vector."""
    at = 0
    for name, dims in shape.shapes().items():
        yield name, at, dims
        at += int(np.prod(dims))


@cache
def _quick_tanh(torch: ModuleType) -> Any:
    """tanh by numpy, which takes an eighth of torch's time for it, with torch's own derivative."""

    class Tanh(torch.autograd.Function):  # type: ignore[misc, name-defined]
        @staticmethod
        def forward(ctx: Any, z: Any) -> Any:
            h = torch.from_numpy(np.tanh(z.detach().numpy()))
            ctx.save_for_backward(h)
            return h

        @staticmethod
        def backward(ctx: Any, by_h: Any) -> Any:
            return torch.ops.aten.tanh_backward(by_h, ctx.saved_tensors[0])

    return Tanh.apply


def _cut(image: ImagePart, x: Any) -> Any:
    """The images (n, channels, height, width) of rows (n, inputs), as torch has them; a view."""
    height, width, channels = image.shape
    columns = x[:, image.offset : image.offset + image.size]
    if image.channels_first:
        return columns.reshape(len(x), channels, height, width)
    return columns.reshape(len(x), height, width, channels).permute(0, 3, 1, 2)
