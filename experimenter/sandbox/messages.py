"""How supervisor and contained worker talk: a length-prefixed JSON header, then raw arrays. Never pickle.

Both ends use it, and either may be lied to, so decoding trusts nothing: sizes are bounded before anything is
read, shapes and types are checked before an array is made, and every failure is ``Malformed``.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "MAX_HEADER",
    "PREFIX",
    "Malformed",
    "body_size",
    "decode",
    "encode",
    "header_of",
    "nest",
    "prefix_of",
]

PREFIX: Final = struct.Struct(">II")
MAX_HEADER: Final = 1 << 18
MAX_ARRAYS: Final = 512
MAX_DIMENSIONS: Final = 8
_ITEM_BYTES: Final = {
    "|b1": 1, "|u1": 1, "|i1": 1, "<u2": 2, "<i2": 2, "<f2": 2,
    "<u4": 4, "<i4": 4, "<f4": 4, "<u8": 8, "<i8": 8, "<f8": 8,
}  # fmt: skip


class Malformed(ValueError):
    """A message that breaks the protocol's rules or bounds."""


def encode(
    header: Mapping[str, Any], arrays: Mapping[tuple[str, ...], np.ndarray] | None = None
) -> list[bytes]:
    """The pieces of one message, to be written in order. Arrays are keyed by path, e.g. ``("obs", "image")``.

    Raises Malformed when the header is too long or an array's type is not plain numbers or flags.
    """
    import numpy as np

    described, bodies = [], []
    for path, array in (arrays or {}).items():
        plain = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")
        if plain.dtype.str not in _ITEM_BYTES:
            raise Malformed(f"an array of type {array.dtype} cannot be sent")
        described.append([list(path), plain.dtype.str, list(plain.shape)])
        bodies.append(plain.tobytes())
    text = json.dumps({**header, "arrays": described}, separators=(",", ":")).encode()
    if len(text) > MAX_HEADER:
        raise Malformed(f"a header of {len(text)} bytes is over {MAX_HEADER}")
    return [PREFIX.pack(len(text), sum(map(len, bodies))) + text, *bodies]


def encode_plain(header: Mapping[str, Any]) -> bytes:
    """A message without arrays, for a process that has not loaded numpy yet."""
    text = json.dumps({**header, "arrays": []}, separators=(",", ":")).encode()
    return PREFIX.pack(len(text), 0) + text


def prefix_of(prefix: bytes, max_body: int) -> tuple[int, int]:
    """Header and body length in bytes, both within bounds."""
    head, body = PREFIX.unpack(prefix)
    if head > MAX_HEADER or body > max_body:
        raise Malformed(f"a message of {head} + {body} bytes is over the bound")
    return head, body


def header_of(text: bytes) -> dict[str, Any]:
    """The JSON object of a message's header, with a well-formed list of arrays."""
    try:
        header = json.loads(text)
    except (ValueError, RecursionError):
        raise Malformed("the header is not JSON") from None
    if not isinstance(header, dict) or not isinstance(header.get("arrays"), list):
        raise Malformed("the header is not an object with a list of arrays")
    if len(header["arrays"]) > MAX_ARRAYS:
        raise Malformed("too many arrays")
    return header


def _described(entry: Any) -> tuple[tuple[str, ...], str, tuple[int, ...]]:
    if not (isinstance(entry, list) and len(entry) == 3):
        raise Malformed("an array is described by path, type and shape")
    path, kind, shape = entry
    if not (isinstance(path, list) and path and all(isinstance(part, str) for part in path)):
        raise Malformed("an array's path is a list of words")
    if not isinstance(kind, str) or kind not in _ITEM_BYTES:
        raise Malformed("an array's type is not one of the plain ones")
    if not (
        isinstance(shape, list)
        and len(shape) <= MAX_DIMENSIONS
        and all(type(n) is int and n >= 0 for n in shape)
    ):
        raise Malformed("an array's shape is a short list of sizes")
    return tuple(path), kind, tuple(shape)


def body_size(header: Mapping[str, Any]) -> int:
    """Bytes that the arrays described in ``header`` take."""
    return sum(math.prod(shape) * _ITEM_BYTES[kind] for _, kind, shape in map(_described, header["arrays"]))


def decode(header: Mapping[str, Any], body: bytes) -> dict[tuple[str, ...], np.ndarray]:
    """The arrays of one message by path: read-only views of ``body``, which must be ``bytes``.

    Raises Malformed when the description does not fit the bytes exactly or names a path twice.
    """
    import numpy as np

    if body_size(header) != len(body):
        raise Malformed("the arrays do not fill the message exactly")
    arrays: dict[tuple[str, ...], np.ndarray] = {}
    offset = 0
    for path, kind, shape in map(_described, header["arrays"]):
        if path in arrays:
            raise Malformed("an array is there twice")
        count = math.prod(shape)
        arrays[path] = np.frombuffer(body, dtype=kind, count=count, offset=offset).reshape(shape)
        offset += count * _ITEM_BYTES[kind]
    return arrays


def nest(arrays: Mapping[tuple[str, ...], Any]) -> dict[str, Any]:
    """Values by path as nested dictionaries: ``{("obs", "image"): x}`` becomes ``{"obs": {"image": x}}``."""
    tree: dict[str, Any] = {}
    for path, value in arrays.items():
        place = tree
        for part in path[:-1]:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise Malformed("a path leads through an array")
        if path[-1] in place:
            raise Malformed("a path is a group and an array")
        place[path[-1]] = value
    return tree
