"""Turns a policy into one file that other runtimes load, and writes it only when it acts as the policy does.

The normaliser is always inside. Where observations are one array of real numbers, the file reads them as they come;
categories, images, text and dictionaries are encoded first by the policy's pipeline, and the metadata says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from experimenter.envs.images import ImagePart
from experimenter.errors import ExperimenterError
from experimenter.identity import canonical_json
from experimenter.policies.actions import CategoricalHead, Said
from experimenter.policies.policy import Policy
from experimenter.policies.sde import EPSILON
from experimenter.policies.squashed import LOG_STD_MAX, LOG_STD_MIN
from experimenter.records import Skill
from experimenter.workspace.files import write_atomic

__all__ = ["OBSERVATIONS", "TOLERANCE", "Checked", "Form", "Graph", "Sight", "convert", "graph_of"]

Form = Literal["onnx", "torchscript"]
Floats = NDArray[np.float32]
Runner = Callable[[Floats], Mapping[str, NDArray[Any]]]
TOLERANCE: Final = 1e-5
OBSERVATIONS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Sight:
    """The convolutions that come first: where the image lies among the inputs, and for each layer its weight
    (filters, channels, kernel, kernel), bias (filters,) and stride."""

    image: ImagePart
    layers: tuple[tuple[Floats, Floats, int], ...]

    def beside(self, inputs: int) -> tuple[tuple[int, int], ...]:
        """The columns, from and to, that are no part of the image."""
        ranges = (0, self.image.offset), (self.image.offset + self.image.size, inputs)
        return tuple((start, end) for start, end in ranges if end > start)


@dataclass(frozen=True, slots=True)
class Graph:
    """What an exported file computes, as arrays: normalise, clip, convolutions where there are any, layers, head.

    ``layers`` are (weight (in, out), bias (out,)); the last one is the head. ``sizes`` and ``start`` are of
    categorical actions, ``middle``, ``half``, ``low``, ``high``, ``log_std`` of continuous ones. ``said`` is what the
    last layer's outputs are (``Policy.said``): the squashed ones are means and then logarithms of deviations. With
    "sde" ``log_std`` is (units of the last hidden layer, actions), and the deviations follow from that layer.
    """

    inputs: int
    mean: Floats | None
    scale: Floats | None
    clip: float
    layers: tuple[tuple[Floats, Floats], ...]
    activation: str
    sizes: tuple[int, ...]
    start: NDArray[np.int64]
    single: bool
    middle: Floats
    half: Floats
    low: Floats
    high: Floats
    log_std: Floats
    said: Said = "distribution"
    sight: Sight | None = None

    @property
    def categorical(self) -> bool:
        return bool(self.sizes)

    @property
    def gives(self) -> tuple[str, ...]:
        """Names of the file's outputs, in order."""
        if self.categorical:
            return "action", "q_values" if self.said == "values" else "logits"
        return "action", "mean", "log_std"


@dataclass(frozen=True, slots=True)
class Checked:
    """How far the file is from the policy: the largest difference over ``observations`` of them.

    ``ties`` counts observations on which two actions were equally good but for rounding, and the file took the other.
    """

    difference: float
    observations: int
    ties: int


def graph_of(policy: Policy) -> Graph:
    """The arrays of a policy's actor. Raises ExperimenterError for one that remembers."""
    from experimenter.policies.normaliser import CLIP

    if policy.shape.memory:
        raise ExperimenterError(
            "This policy remembers what it saw, and the files of other runtimes hold one step without a memory.",
            "Export the skill as a folder or .zip: this package plays it from there.",
        )
    if policy.shape.mask is not None:
        raise ExperimenterError(
            "This policy reads a mask of possible actions, and the files of other runtimes do not.",
            "Export the skill as a folder or .zip: this package plays it from there.",
        )

    params, head, normaliser = policy.params, policy.head, policy.normaliser
    hidden = [
        (_plain(params[f"hidden.{i}.weight"][0]), _plain(params[f"hidden.{i}.bias"][0, 0]))
        for i in range(len(policy.shape.hidden))
    ]
    categorical = isinstance(head, CategoricalHead)
    none = np.zeros(0, dtype=np.float32)
    return Graph(
        inputs=policy.pipeline.size,
        mean=None if normaliser is None else _plain(normaliser._mean),
        scale=None if normaliser is None else _plain(normaliser._scale),
        clip=CLIP,
        layers=(*hidden, (_plain(params["actor.weight"]), _plain(params["actor.bias"]))),
        activation=policy.shape.activation,
        sizes=head.sizes if isinstance(head, CategoricalHead) else (),
        start=head.start if isinstance(head, CategoricalHead) else np.zeros(0, dtype=np.int64),
        single=isinstance(head, CategoricalHead) and head.single,
        middle=none if categorical else _plain(getattr(head, "middle")),  # noqa: B009
        half=none if categorical else _plain(getattr(head, "half")),  # noqa: B009
        low=none if categorical else _plain(getattr(head, "low")),  # noqa: B009
        high=none if categorical else _plain(getattr(head, "high")),  # noqa: B009
        log_std=_plain(params["actor.log_std"]) if "actor.log_std" in params else none,
        said=policy.said,
        sight=_sight(policy),
    )


def _sight(policy: Policy) -> Sight | None:
    shape, params = policy.shape, policy.params
    if shape.image is None:
        return None
    layers = []
    for i, layer in enumerate(shape.convolution):
        weight = _plain(params[f"convolution.{i}.weight"].transpose(3, 2, 0, 1))
        layers.append((weight, _plain(params[f"convolution.{i}.bias"]), layer.stride))
    return Sight(shape.image, tuple(layers))


def convert(policy: Policy, skill: Skill, form: Form, destination: Path, seen: Any) -> Checked:
    """Writes ``destination`` after checking it on ``seen`` (a batch of raw observations) and on as much noise.

    Raises NotFound when the package for ``form`` is missing, and ExperimenterError, writing nothing, when the file
    would not act as the policy does.
    """
    graph = graph_of(policy)
    inputs = _inputs(policy, seen)
    told = _metadata(policy, skill, graph)
    if form == "onnx":
        from experimenter_skills.onnx_form import build, runner
    else:
        from experimenter_skills.torch_form import build, runner
    data = build(graph, told)
    found = _check(graph, policy, runner(data), inputs)
    write_atomic(destination, data)
    return found


def _plain(array: Any) -> Floats:
    return np.ascontiguousarray(array, dtype=np.float32)


def raw(policy: Policy) -> bool:
    """Whether the file reads observations as they come: one array of real numbers."""
    parts = policy.pipeline.parts
    return len(parts) == 1 and parts[0].rule == "real" and parts[0].name == ""


def _inputs(policy: Policy, seen: Any) -> Floats:
    """Encoded observations, half of them as met, half noise of the same spread: (``OBSERVATIONS``, inputs)."""
    met = policy.pipeline.encode(seen)[: OBSERVATIONS // 2]
    rng = np.random.default_rng(0)
    spread = np.maximum(met.std(axis=0), 0.1)
    noise = met.mean(axis=0) + 3.0 * spread * rng.standard_normal((OBSERVATIONS - len(met), met.shape[1]))
    return np.concatenate([met, noise.astype(np.float32)])


def _metadata(policy: Policy, skill: Skill, graph: Graph) -> dict[str, str]:
    reads = (
        "observations as the environment gives them, flattened"
        if raw(policy)
        else "encoded observations: run them through the policy's pipeline first"
    )
    return {
        "skill": skill.name,
        "environment": canonical_json(skill.environment),
        "policy_hash": skill.policy.hash,
        "reads": reads,
        "gives": ", ".join(graph.gives),
        "acts": policy.action_mode,
        "pipeline": canonical_json(policy.pipeline.to_json()),
        "observation_space": canonical_json(policy.observation_space_json),
        "action_space": canonical_json(policy.action_space_json),
    }


def _check(graph: Graph, policy: Policy, run: Runner, inputs: Floats) -> Checked:
    """Compares on every input; the policy computes as in the judge, in blocks of its own size."""
    from experimenter.policies.network import actor_output

    normal = inputs if policy.normaliser is None else policy.normaliser.apply(inputs)
    wanted = actor_output(policy.params, policy.shape, normal)
    told = run(inputs)
    names = {graph.gives[1]: wanted} if graph.categorical else _continuous(graph, policy, wanted)
    difference = max(_difference(told[name], expected) for name, expected in names.items())
    if not difference <= TOLERANCE:
        raise _unlike(f"its numbers differ by up to {difference:.3g}")
    return Checked(difference, len(inputs), _ties(graph, policy, wanted, told["action"]))


def _continuous(graph: Graph, policy: Policy, wanted: NDArray[Any]) -> dict[str, NDArray[Any]]:
    if graph.said == "squashed":
        mean, free = np.split(wanted, 2, axis=1)
        log_std = np.clip(free, LOG_STD_MIN, LOG_STD_MAX)
    elif graph.said == "sde":
        mean, hidden = np.split(wanted, [len(graph.middle)], axis=1)
        log_std = 0.5 * np.log(np.square(hidden) @ np.exp(2.0 * graph.log_std) + EPSILON)
    else:
        mean, log_std = wanted, np.broadcast_to(graph.log_std, wanted.shape)
    action = policy.head.execute(policy.head.greedy(wanted)).reshape(mean.shape)
    return {"action": action, "mean": mean, "log_std": log_std}


def _difference(told: NDArray[Any], expected: NDArray[Any]) -> float:
    if told.shape != expected.shape:
        raise _unlike(f"its output has the shape {told.shape} instead of {expected.shape}")
    return float(np.abs(told.astype(np.float64) - expected.astype(np.float64)).max())


def _ties(graph: Graph, policy: Policy, wanted: NDArray[Any], told: NDArray[Any]) -> int:
    """How many discrete choices differ where rounding decides. Raises where anything else does."""
    if not graph.categorical:
        return 0
    expected = policy.head.execute(policy.head.greedy(wanted))
    if told.shape != expected.shape:
        raise _unlike(f"its actions have the shape {told.shape} instead of {expected.shape}")
    columns = (told - expected).reshape(len(expected), -1) != 0
    edges = np.cumsum([0, *graph.sizes])
    for index, size in enumerate(graph.sizes):
        part = np.sort(wanted[columns[:, index], edges[index] : edges[index] + size], axis=1)
        if len(part) and size > 1 and float((part[:, -1] - part[:, -2]).max()) > 2 * TOLERANCE:
            raise _unlike("it chooses other actions")
    return int(columns.any(axis=1).sum())


def _unlike(why: str) -> ExperimenterError:
    return ExperimenterError(
        f"The exported file would not act as the policy does: {why}. Nothing was written.",
        "Export the skill as a folder or .zip instead; please report this with the package versions.",
    )
