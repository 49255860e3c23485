"""A policy as an ONNX graph, written node by node: no torch is needed, and nothing in it is traced."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from experimenter.errors import NotFound
from experimenter.policies.sde import EPSILON
from experimenter.policies.squashed import LOG_STD_MAX, LOG_STD_MIN
from experimenter_skills.exporting import Graph, Runner, Sight

__all__ = ["build", "runner"]

OPSET: Final = 17
IR_VERSION: Final = 9


def _onnx() -> Any:
    try:
        import onnx
    except ImportError as cause:
        raise NotFound(
            "Exporting to ONNX needs the package onnx, which is not installed.",
            "Install it with: pip install 'rl-experimenter[onnx]'.",
        ) from cause
    return onnx


class _Writer:
    """Collects nodes and constants; every method returns the name of what it made."""

    def __init__(self) -> None:
        onnx = _onnx()
        self.helper, self.numpy_helper = onnx.helper, onnx.numpy_helper
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, value: NDArray[Any]) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(self.numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, kind: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        output = name or f"n{len(self.nodes)}"
        self.nodes.append(self.helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def with_constant(self, kind: str, value: str, array: NDArray[Any], name: str = "") -> str:
        return self.node(kind, value, self.constant(array), name=name)


def build(graph: Graph, metadata: Mapping[str, str]) -> bytes:
    """The serialized model. Raises NotFound without the package onnx."""
    onnx = _onnx()
    writer, kinds = _Writer(), onnx.TensorProto
    hidden = _hidden(writer, graph)
    out = _output(writer, graph, hidden)
    if graph.said == "sde":
        outputs = _state_dependent(writer, graph, out, hidden)
    else:
        head = _categorical if graph.categorical else _squashed if graph.said == "squashed" else _gaussian
        outputs = head(writer, graph, out)
    seen = onnx.helper.make_tensor_value_info("observation", kinds.FLOAT, ["batch", graph.inputs])
    told = [
        onnx.helper.make_tensor_value_info(name, kinds.INT64 if integer else kinds.FLOAT, shape)
        for name, integer, shape in outputs
    ]
    made = onnx.helper.make_graph(writer.nodes, "policy", [seen], told, writer.constants)
    model = onnx.helper.make_model(
        made,
        producer_name="rl-experimenter",
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    onnx.helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def _hidden(writer: _Writer, graph: Graph) -> str:
    """What the last layer reads."""
    at = "observation"
    if graph.mean is not None and graph.scale is not None:
        at = writer.with_constant("Mul", writer.with_constant("Sub", at, graph.mean), graph.scale)
        limits = (writer.constant(np.array(limit, np.float32)) for limit in (-graph.clip, graph.clip))
        at = writer.node("Clip", at, *limits)
    kind = "Tanh" if graph.activation == "tanh" else "Relu"
    if graph.sight is not None:
        at = _convolutions(writer, graph.sight, graph.inputs, kind, at)
    for weight, bias in graph.layers[:-1]:
        at = writer.node(kind, writer.with_constant("Add", writer.with_constant("MatMul", at, weight), bias))
    return at


def _output(writer: _Writer, graph: Graph, at: str) -> str:
    weight, bias = graph.layers[-1]
    name = "" if graph.said == "squashed" else graph.gives[1]
    return writer.with_constant("Add", writer.with_constant("MatMul", at, weight), bias, name=name)


def _convolutions(writer: _Writer, sight: Sight, inputs: int, kind: str, read: str) -> str:
    """The image through its layers, then everything else beside what comes out."""
    image, axes = sight.image, writer.constant(np.array([1], np.int64))

    def columns(start: int, end: int) -> str:
        ends = (writer.constant(np.array([at], np.int64)) for at in (start, end))
        return writer.node("Slice", read, *ends, axes)

    height, width, channels = image.shape
    dims = (channels, height, width) if image.channels_first else image.shape
    at = columns(image.offset, image.offset + image.size)
    at = writer.with_constant("Reshape", at, np.array([-1, *dims], np.int64))
    if not image.channels_first:
        at = writer.node("Transpose", at, perm=[0, 3, 1, 2])
    for weight, bias, stride in sight.layers:
        arrays = writer.constant(weight), writer.constant(bias)
        kernel = list(weight.shape[2:])
        at = writer.node(
            kind, writer.node("Conv", at, *arrays, kernel_shape=kernel, strides=[stride, stride])
        )
    flat = writer.node("Flatten", writer.node("Transpose", at, perm=[0, 2, 3, 1]), axis=1)
    beside = [columns(*found) for found in sight.beside(inputs)]
    return writer.node("Concat", flat, *beside, axis=1) if beside else flat


Outputs = list[tuple[str, bool, list[str | int]]]


def _categorical(writer: _Writer, graph: Graph, logits: str) -> Outputs:
    edges = np.cumsum([0, *graph.sizes]).astype(np.int64)
    axes = writer.constant(np.array([1], np.int64))
    chosen = []
    for low, high in pairwise(edges):
        ends = writer.constant(np.array([low])), writer.constant(np.array([high]))
        chosen.append(writer.node("ArgMax", writer.node("Slice", logits, *ends, axes), axis=1, keepdims=1))
    joined = writer.node("Concat", *chosen, axis=1)
    if graph.single:
        writer.node("Squeeze", writer.with_constant("Add", joined, graph.start), axes, name="action")
        return [("action", True, ["batch"]), (logits, False, ["batch", int(edges[-1])])]
    writer.with_constant("Add", joined, graph.start, name="action")
    return [("action", True, ["batch", len(graph.sizes)]), (logits, False, ["batch", int(edges[-1])])]


def _squashed(writer: _Writer, graph: Graph, out: str) -> Outputs:
    d, axes = len(graph.middle), writer.constant(np.array([1], np.int64))
    edges = [writer.constant(np.array([at], np.int64)) for at in (0, d, 2 * d)]
    mean = writer.node("Slice", out, edges[0], edges[1], axes, name="mean")
    free = writer.node("Slice", out, edges[1], edges[2], axes)
    limits = (writer.constant(np.array(limit, np.float32)) for limit in (LOG_STD_MIN, LOG_STD_MAX))
    writer.node("Clip", free, *limits, name="log_std")
    _moved(writer, graph, writer.node("Tanh", mean))
    return [(name, False, ["batch", d]) for name in graph.gives]


def _moved(writer: _Writer, graph: Graph, raw: str) -> None:
    """The action: stretched over the space and held inside it."""
    scaled = writer.with_constant("Add", writer.with_constant("Mul", raw, graph.half), graph.middle)
    writer.with_constant("Min", writer.with_constant("Max", scaled, graph.low), graph.high, name="action")


def _gaussian(writer: _Writer, graph: Graph, mean: str) -> Outputs:
    _moved(writer, graph, mean)
    zero = writer.with_constant("Mul", mean, np.zeros_like(graph.log_std))
    writer.with_constant("Add", zero, graph.log_std, name="log_std")
    shape: list[str | int] = ["batch", len(graph.log_std)]
    return [(name, False, shape) for name in ("action", "mean", "log_std")]


def _state_dependent(writer: _Writer, graph: Graph, mean: str, hidden: str) -> Outputs:
    _moved(writer, graph, mean)
    variance = writer.with_constant("MatMul", writer.node("Mul", hidden, hidden), np.exp(2.0 * graph.log_std))
    variance = writer.with_constant("Add", variance, np.array(EPSILON, np.float32))
    writer.with_constant("Mul", writer.node("Log", variance), np.array(0.5, np.float32), name="log_std")
    return [(name, False, ["batch", len(graph.middle)]) for name in graph.gives]


def runner(data: bytes) -> Runner:
    """Runs the model in onnxruntime where that is installed, else in onnx's own reference."""
    try:
        import onnxruntime
    except ImportError:
        from onnx.reference import ReferenceEvaluator

        session: Any = ReferenceEvaluator(_onnx().load_model_from_string(data))
        names = list(session.output_names)
    else:
        session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]

    def run(inputs: NDArray[np.float32]) -> Mapping[str, NDArray[Any]]:
        return dict(zip(names, session.run(names, {"observation": inputs}), strict=True))

    return run
