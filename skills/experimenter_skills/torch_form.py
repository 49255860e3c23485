"""A policy as a TorchScript module, which C++ and Python load without this package."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experimenter.errors import NotFound
from experimenter.identity import canonical_json
from experimenter.policies.sde import EPSILON
from experimenter.policies.squashed import LOG_STD_MAX, LOG_STD_MIN
from experimenter_skills.exporting import Graph, Runner, Sight

__all__ = ["build", "runner"]

METADATA = "metadata.json"


def _torch() -> Any:
    try:
        import torch
    except ImportError as cause:
        raise NotFound(
            "Exporting to TorchScript needs the package torch, which is not installed.",
            "Install it with: pip install 'rl-experimenter[torch]', or export to ONNX.",
        ) from cause
    return torch


def build(graph: Graph, metadata: Mapping[str, str]) -> bytes:
    """The saved module, with the metadata as an extra file. Raises NotFound without torch."""
    torch = _torch()
    module = _module(torch, graph)
    out = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        # torch announces that it will drop TorchScript some day; whoever asks for it by name knows.
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(module, torch.zeros(2, graph.inputs), check_trace=False)
        torch.jit.save(traced, out, _extra_files={METADATA: canonical_json(dict(metadata))})
    return out.getvalue()


def _seen(torch: Any, module: Any, graph: Graph, sight: Sight, row: Any) -> Any:
    """The image of rows (n, inputs) through its layers, then everything else beside what comes out."""
    (height, width, channels), image = sight.image.shape, sight.image
    at = row[:, image.offset : image.offset + image.size]
    if image.channels_first:
        at = at.reshape(-1, channels, height, width)
    else:
        at = at.reshape(-1, height, width, channels).permute(0, 3, 1, 2)
    for index, (_, _, stride) in enumerate(sight.layers):
        filters, shift = getattr(module, f"of_filters_{index}"), getattr(module, f"of_shift_{index}")
        at = torch.conv2d(at, filters, shift, stride)
        at = torch.tanh(at) if graph.activation == "tanh" else torch.relu(at)
    beside = [row[:, start:end] for start, end in sight.beside(graph.inputs)]
    return torch.cat([at.permute(0, 2, 3, 1).flatten(1), *beside], dim=1)


def _tensors(graph: Graph) -> dict[str, NDArray[Any] | None]:
    """Everything that the module holds, by name."""
    names = ("mean", "scale", "middle", "half", "low", "high", "log_std", "start")
    tensors: dict[str, NDArray[Any] | None] = {name: getattr(graph, name) for name in names}
    for index, (filters, shift, _) in enumerate(graph.sight.layers if graph.sight else ()):
        tensors |= {f"filters_{index}": filters, f"shift_{index}": shift}
    for index, (weight, bias) in enumerate(graph.layers):
        tensors |= {f"weight_{index}": weight, f"bias_{index}": bias}
    return tensors


def _top(torch: Any, module: Any, graph: Graph, observation: Any) -> Any:
    """What the last layer reads (n, width) of observations (n, inputs)."""
    at = observation
    if graph.mean is not None:
        at = ((at - module.of_mean) * module.of_scale).clamp(-graph.clip, graph.clip)
    at = at if graph.sight is None else _seen(torch, module, graph, graph.sight, at)
    for index in range(len(graph.layers) - 1):
        at = at @ getattr(module, f"of_weight_{index}") + getattr(module, f"of_bias_{index}")
        at = torch.tanh(at) if graph.activation == "tanh" else torch.relu(at)
    return at


def _module(torch: Any, graph: Graph) -> Any:
    class Actor(torch.nn.Module):  # type: ignore[misc, name-defined, unused-ignore]
        """From observations (n, inputs) to a tuple: the greedy action, then the distribution's parameters."""

        def __init__(self) -> None:
            super().__init__()
            for name, array in _tensors(graph).items():
                if array is not None:
                    # A module has attributes of its own, such as half().
                    self.register_buffer(f"of_{name}", torch.from_numpy(array.copy()))

        def forward(self, observation: Any) -> Any:
            at, last = _top(torch, self, graph, observation), len(graph.layers) - 1
            out = at @ getattr(self, f"of_weight_{last}") + getattr(self, f"of_bias_{last}")
            if graph.said == "squashed":
                return self.squashed(out)
            if graph.said == "sde":
                return self.held(at, out)
            return self.chosen(out) if graph.categorical else self.moved(out)

        def held(self, at: Any, mean: Any) -> Any:
            variance = at.square() @ torch.exp(2.0 * self.of_log_std) + EPSILON
            return self.inside(mean), mean, 0.5 * torch.log(variance)

        def squashed(self, out: Any) -> Any:
            mean, free = torch.split(out, len(graph.middle), dim=1)
            log_std = free.clamp(LOG_STD_MIN, LOG_STD_MAX)
            return self.inside(torch.tanh(mean)), mean, log_std

        def chosen(self, logits: Any) -> Any:
            parts = torch.split(logits, list(graph.sizes), dim=1)
            action = torch.stack([part.argmax(dim=1) for part in parts], dim=1) + self.of_start
            return (action[:, 0] if graph.single else action), logits

        def moved(self, mean: Any) -> Any:
            return self.inside(mean), mean, self.of_log_std.expand_as(mean)

        def inside(self, raw: Any) -> Any:
            stretched = self.of_middle + self.of_half * raw
            return torch.minimum(torch.maximum(stretched, self.of_low), self.of_high)

    return Actor().eval()


def runner(data: bytes) -> Runner:
    """Loads the saved module again and runs it."""
    torch = _torch()
    extra = {METADATA: ""}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded = torch.jit.load(io.BytesIO(data), _extra_files=extra)
    names = json.loads(extra[METADATA])["gives"].split(", ")

    def run(inputs: NDArray[np.float32]) -> Mapping[str, NDArray[Any]]:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            told = [tensor.numpy() for tensor in loaded(torch.from_numpy(np.ascontiguousarray(inputs)))]
        return dict(zip(names, told, strict=True))

    return run
