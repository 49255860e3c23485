"""The one observation pipeline: from a batch of raw observations to the float32 matrix that a network reads.

Training and the judge both use it, and it is rebuilt from JSON, so that a stored policy sees exactly what it learned
on. Categories become one-hot, real numbers stay as they are, text that differs between episodes becomes its words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import gymnasium
import numpy as np
from gymnasium import spaces

from experimenter.envs.images import MAX_PIXELS, ImagePart, images_of
from experimenter.envs.spaces import Leaf, leaves, left_out
from experimenter.envs.words import Words
from experimenter.errors import EnvironmentFault
from experimenter.records import Json

__all__ = ["MAX_INPUTS", "MINIGRID_CATEGORIES", "Observations", "Pipeline", "minigrid_image"]

Observations = np.ndarray | Mapping[str, np.ndarray]
MAX_INPUTS: Final = 20_000
MINIGRID_CATEGORIES: Final = (11, 6, 3)
"""Object, colour and door state of one cell of a MiniGrid view (``minigrid.core.constants``)."""

_Rule = Literal["real", "scale255", "onehot", "minigrid", "tokens"]
_PLAIN, _WITH_TEXT = 1, 2
"""Versions of a pipeline's JSON: what holds no text is written as it always was."""


@dataclass(frozen=True, slots=True)
class _Part:
    """How one leaf is encoded: ``count`` raw numbers become ``size`` inputs.

    With a one-hot rule, raw number j has a block of ``categories[j]`` inputs (the list repeats) and switches on the
    one at its value minus ``start[j]``; values outside are clipped to the ends. With the rule ``tokens``, ``text`` is
    what turned a text into the ``shape[0]`` zeros and ones, which are the inputs.
    """

    name: str
    rule: _Rule
    shape: tuple[int, ...]
    categories: tuple[int, ...] = ()
    start: tuple[int, ...] = ()
    text: Words | None = None

    @property
    def size(self) -> int:
        count = int(np.prod(self.shape, dtype=int))
        if self.rule == "minigrid":
            return count // len(self.categories) * sum(self.categories)
        return sum(self.categories) if self.rule == "onehot" else count

    def to_json(self) -> Json:
        plain = {
            "name": self.name,
            "rule": self.rule,
            "shape": list(self.shape),
            "categories": list(self.categories),
            "start": list(self.start),
        }
        return plain if self.text is None else {**plain, "text": self.text.to_json()}

    @classmethod
    def from_json(cls, json: Json) -> _Part:
        text = Words.from_json(json["text"]) if "text" in json else None
        shape, categories, start = (tuple(json[key]) for key in ("shape", "categories", "start"))
        return cls(json["name"], json["rule"], shape, categories, start, text)


def minigrid_image(space: gymnasium.Space[Any]) -> str | None:
    """The key of a MiniGrid view in a Dict space, recognised by its shape and its compass, or ``None``."""
    if not isinstance(space, spaces.Dict) or not {"image", "direction"} <= set(space.spaces):
        return None
    image, compass = space["image"], space["direction"]
    if not isinstance(image, spaces.Box) or not isinstance(compass, spaces.Discrete):
        return None
    width, height, channels = image.shape if len(image.shape) == 3 else (0, 0, 0)
    view = image.dtype == np.uint8 and width == height and width % 2 == 1 and channels == 3
    return "image" if view and compass.n == 4 else None


def _part(leaf: Leaf, grid: bool) -> _Part:
    space = leaf.space
    if leaf.text is not None:
        return _Part(leaf.name, "tokens", leaf.shape, text=leaf.text)
    if isinstance(space, spaces.Discrete):
        return _Part(leaf.name, "onehot", (), (int(space.n),), (int(space.start),))
    if isinstance(space, spaces.MultiDiscrete):
        sizes, starts = space.nvec.reshape(-1).tolist(), space.start.reshape(-1).tolist()
        return _Part(leaf.name, "onehot", leaf.shape, tuple(sizes), tuple(starts))
    if grid:
        return _Part(leaf.name, "minigrid", leaf.shape, MINIGRID_CATEGORIES)
    image = isinstance(space, spaces.Box) and space.dtype == np.uint8 and len(leaf.shape) >= 2
    return _Part(leaf.name, "scale255" if image else "real", leaf.shape)


class Pipeline:
    """Encodes batches of observations as ``SyncVector`` returns them: an array (n, …) or a dict of arrays (n, …).

    ``size`` inputs; ``left_out`` names what no policy reads; ``categorical`` says that all inputs are zeros and ones;
    ``notes`` are sentences for a person about choices that may surprise.
    """

    def __init__(
        self, parts: tuple[_Part, ...], left_out: tuple[str, ...], binary: tuple[str, ...] = ()
    ) -> None:
        self.parts = parts
        self.left_out = left_out
        self._binary = binary
        self._sizes = tuple(part.size for part in parts)
        self.size = sum(self._sizes)
        self._encoders = tuple(_encoder(part) for part in parts)

    @classmethod
    def for_space(cls, space: gymnasium.Space[Any], hint: str = "") -> Pipeline:
        """The pipeline of an observation space; ``hint="minigrid"`` reads any byte image (w, h, 3) as categories.

        Raises EnvironmentFault for spaces without numbers, with more than 20,000 inputs beside images, or with
        images of more than 100,000 numbers.
        """
        found = leaves(space)
        key = minigrid_image(space)
        parts = tuple(_part(leaf, leaf.name == key or _hinted(leaf, hint)) for leaf in found)
        binary = tuple(leaf.name for leaf in found if _binary(leaf))
        pipeline = cls(parts, left_out(space), binary)
        pipeline._check_size()
        return pipeline

    def _check_size(self) -> None:
        pixels = sum(image.size for image in self.images if not image.one_hot)
        plain = self.size - pixels
        for count, most, what in ((pixels, MAX_PIXELS, "of images"), (plain, MAX_INPUTS, "beside images")):
            if count > most:
                inputs = f"{count:,} inputs{f' {what}' if pixels else ''}"
                raise EnvironmentFault(
                    f"One observation has {inputs}; the networks here read at most {most:,}.",
                    "Use a version of the environment with state observations, or wrap it to shrink its images.",
                )

    @property
    def categorical(self) -> bool:
        zeros_and_ones = ("onehot", "minigrid", "tokens")
        return all(part.rule in zeros_and_ones or part.name in self._binary for part in self.parts)

    @property
    def images(self) -> tuple[ImagePart, ...]:
        """The parts that are images, and where they begin among the inputs; in the order of the inputs."""
        return images_of(self.parts)

    @property
    def notes(self) -> tuple[str, ...]:
        why = "says the same in every episode or holds no numbers, and no policy reads it"
        said = [f"{name!r} {why}." for name in self.left_out]
        for part in self.parts:
            if part.rule == "scale255":
                shape = " × ".join(map(str, part.shape))
                said.append(
                    f"{_called(part)} is an image of {shape} bytes, read as {part.size:,} inputs: bytes divided by 255."
                )
            elif part.rule == "minigrid":
                said.append(
                    f"{_called(part)} is read as categories: object, colour and state of each cell, one-hot."
                )
            elif part.text is not None:
                told = part.text.reading.described
                said.append(f"{_called(part)} is text, read as {part.size:,} inputs: {told}.")
        return tuple(said)

    def encode(self, obs: Observations) -> np.ndarray:
        """float32 (n, size), a fresh array. Text stands in ``obs`` as it was read, or as an array (n,) of strings."""
        if isinstance(obs, Mapping):
            arrays = [np.asarray(obs[part.name]) for part in self.parts]
        else:
            arrays = [np.asarray(obs)]
        n = len(arrays[0])
        if len(self.parts) == 1 and self.parts[0].rule == "real":
            return arrays[0].reshape(n, -1).astype(np.float32)
        out = np.zeros((n, self.size), dtype=np.float32)
        column = 0
        for size, encoder, array in zip(self._sizes, self._encoders, arrays, strict=True):
            encoder(array.reshape(n, -1), out, column)
            column += size
        return out

    def to_json(self) -> Json:
        return {
            "v": _WITH_TEXT if any(part.text is not None for part in self.parts) else _PLAIN,
            "parts": [part.to_json() for part in self.parts],
            "left_out": list(self.left_out),
            "binary": list(self._binary),
        }

    @classmethod
    def from_json(cls, json: Json) -> Pipeline:
        """The inverse of ``to_json``. Raises ValueError for a version that this release does not know."""
        if json["v"] not in (_PLAIN, _WITH_TEXT):
            raise ValueError(f"a pipeline of version {json['v']} is of a newer release")
        parts = tuple(_Part.from_json(part) for part in json["parts"])
        return cls(parts, tuple(json["left_out"]), tuple(json["binary"]))


def _binary(leaf: Leaf) -> bool:
    return isinstance(leaf.space, spaces.MultiBinary) and leaf.text is None


def _hinted(leaf: Leaf, hint: str) -> bool:
    image = isinstance(leaf.space, spaces.Box) and leaf.space.dtype == np.uint8
    return hint == "minigrid" and image and len(leaf.shape) == 3 and leaf.shape[2] == 3


def _called(part: _Part) -> str:
    return repr(part.name) if part.name else "The observation"


class _encoder:  # noqa: N801
    """Writes one part's inputs into columns of the output."""

    def __init__(self, part: _Part) -> None:
        self._rule, self._text = part.rule, part.text
        if part.rule in ("onehot", "minigrid"):
            self._prepare(part)

    def _prepare(self, part: _Part) -> None:
        """One flat index per raw number: ``origin[j] + clip(value - start[j], 0, categories[j] - 1)``."""
        count = max(1, int(np.prod(part.shape, dtype=int)))
        sizes = np.resize(np.array(part.categories, dtype=np.int64), count)
        self._last = sizes - 1
        self._origin = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        self._start = np.resize(np.array(part.start or (0,), dtype=np.int64), count)
        self._small = self._last.astype(np.uint8) if sizes.max() <= 256 and not self._start.any() else None
        self._base = np.zeros((0, count), dtype=np.int64)

    def __call__(self, flat: np.ndarray, out: np.ndarray, column: int) -> None:
        if self._text is not None and flat.dtype.kind in "UO":
            flat = self._text.rows(flat[:, 0])
        n, count = flat.shape
        if self._rule in ("real", "tokens"):
            out[:, column : column + count] = flat
        elif self._rule == "scale255":
            np.divide(flat, np.float32(255), out=out[:, column : column + count])
        else:
            index = self._categories(flat) + self._rows(n, out.shape[1], column)
            out.reshape(-1)[index.reshape(-1)] = 1.0

    def _categories(self, flat: np.ndarray) -> np.ndarray:
        """Values counted from zero and clipped to the last category; bytes stay bytes, for speed."""
        if self._small is not None and flat.dtype == np.uint8:
            small: np.ndarray = np.minimum(flat, self._small)
            return small
        counted: np.ndarray = np.clip(flat - self._start, 0, self._last)
        return counted

    def _rows(self, n: int, width: int, column: int) -> np.ndarray:
        """Flat index of each number's first category, kept for the next batch of the same size."""
        if len(self._base) != n:
            self._base = self._origin + column + (np.arange(n) * width)[:, None]
        return self._base
