"""Convolutions in numpy: a policy that sees images acts and is judged without torch, as every other policy does.

The network reads one flat row for each observation; here the part of it that is an image is found again, goes through
the convolutional layers, and what comes out is joined with the row's other numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from experimenter.envs.images import ImagePart
from experimenter.errors import TrainingFault
from experimenter.records import Convolution

__all__ = ["convolved", "sizes"]

Array = NDArray[np.floating[Any]]
# Rows computed at once: the windows of more would leave the processor's cache.
BLOCK: Final = 64


def cut(image: ImagePart, x: Array) -> Array:
    """The images (n, height, width, channels) of rows (n, inputs)."""
    height, width, channels = image.shape
    columns = x[:, image.offset : image.offset + image.size]
    if image.channels_first:
        columns = columns.reshape(len(x), channels, height, width).transpose(0, 2, 3, 1)
        return np.ascontiguousarray(columns)
    return np.ascontiguousarray(columns).reshape(len(x), height, width, channels)


def rest(image: ImagePart, x: Array) -> Array:
    """Everything but the image in rows (n, inputs): (n, inputs − size)."""
    return np.concatenate([x[:, : image.offset], x[:, image.offset + image.size :]], axis=1)


def sizes(image: ImagePart, layers: Sequence[Convolution]) -> list[tuple[int, int, int]]:
    """Height, width and channels before each layer and after the last. Raises TrainingFault where a layer's kernel
    is larger than what it reads."""
    made = [image.shape]
    for layer in layers:
        height, width, _ = made[-1]
        if min(height, width) < layer.kernel:
            raise TrainingFault(
                f"a convolution of {layer.kernel} × {layer.kernel} does not fit into what it reads, {height} × {width}",
                "Give the network fewer convolutional layers, or smaller kernels and strides.",
            )
        after = [(side - layer.kernel) // layer.stride + 1 for side in (height, width)]
        made.append((after[0], after[1], layer.filters))
    return made


def convolved(
    params: Mapping[str, Array], image: ImagePart, layers: Sequence[Convolution], activation: str, x: Array
) -> Array:
    """What the layers after the convolutions read, for rows (n, inputs): the last layer's output, flattened, then
    the rest of the row."""
    made = [
        _block(params, image, layers, activation, x[i : i + BLOCK]) for i in range(0, max(1, len(x)), BLOCK)
    ]
    return made[0] if len(made) == 1 else np.concatenate(made)


def _block(
    params: Mapping[str, Array], image: ImagePart, layers: Sequence[Convolution], activation: str, x: Array
) -> Array:
    h = cut(image, x)
    for i, layer in enumerate(layers):
        weight = params[f"convolution.{i}.weight"]
        windows = _windows(h, layer)
        z = windows.reshape(-1, weight[..., 0].size) @ weight.reshape(-1, layer.filters)
        z += params[f"convolution.{i}.bias"]
        np.tanh(z, out=z) if activation == "tanh" else np.maximum(z, 0.0, out=z)
        h = z.reshape(*windows.shape[:3], layer.filters)
    flat = h.reshape(len(x), int(np.prod(h.shape[1:])))
    return flat if image.size == x.shape[1] else np.concatenate([flat, rest(image, x)], axis=1)


def _windows(h: Array, layer: Convolution) -> Array:
    """(n, rows, columns, kernel, kernel, channels), a view: what each output reads of (n, height, width, channels)."""
    n, height, width, channels = h.shape
    k, s = layer.kernel, layer.stride
    by_image, by_row, by_column, by_channel = h.strides
    return as_strided(
        h,
        (n, (height - k) // s + 1, (width - k) // s + 1, k, k, channels),
        (by_image, by_row * s, by_column * s, by_row, by_column, by_channel),
        writeable=False,
    )
