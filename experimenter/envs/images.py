"""What counts as an image in an observation, where it stands among a pipeline's inputs, and how it is laid out.

One idea of it for all: for what a pipeline admits, for the network that is proposed, and for convolutions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

__all__ = ["MAX_PIXELS", "ImagePart", "Part", "find_image", "image_at", "images_of"]

MAX_PIXELS: Final = 100_000
"""Most numbers of all images of one observation together: what a small convolutional network can read."""
_COLOURS: Final = 4


@dataclass(frozen=True, slots=True)
class ImagePart:
    """One image among the encoded inputs: columns ``offset`` to ``offset + size``.

    ``shape`` is always (height, width, channels). The columns are in the order in which the environment gave them:
    with ``channels_first`` they unfold as (channels, height, width), else as (height, width, channels).
    ``one_hot``: a place holds no brightness but a cell's categories, each channel one of them.
    """

    name: str
    offset: int
    shape: tuple[int, int, int]
    channels_first: bool = False
    one_hot: bool = False

    @property
    def size(self) -> int:
        height, width, channels = self.shape
        return height * width * channels


class Part(Protocol):
    """What is asked of a pipeline's part: its rule, the shape of its raw numbers, and how many inputs it gives."""

    @property
    def name(self) -> str: ...
    @property
    def rule(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def size(self) -> int: ...


def images_of(parts: Iterable[Part]) -> tuple[ImagePart, ...]:
    """The images among an observation's parts, in their order: bytes of two or three dimensions, other numbers of
    three, and MiniGrid views, whose channels are the categories of a cell."""
    found, offset = list[ImagePart](), 0
    for part in parts:
        if (image := _image(part, offset)) is not None:
            found.append(image)
        offset += part.size
    return tuple(found)


def find_image(parts: Iterable[Part]) -> ImagePart | None:
    """The largest image, which is what convolutions read; ``None`` where there is none."""
    return max(images_of(parts), key=lambda image: image.size, default=None)


def _image(part: Part, offset: int) -> ImagePart | None:
    if part.rule == "minigrid":
        width, height = part.shape[:2]
        return ImagePart(part.name, offset, (width, height, part.size // (width * height)), one_hot=True)
    if part.rule == "scale255" or (part.rule == "real" and len(part.shape) == 3):
        return image_at(part.name, offset, part.shape)
    return None


def image_at(name: str, offset: int, shape: tuple[int, ...]) -> ImagePart | None:
    """The image of an array of ``shape`` that begins at ``offset``; ``None`` for more than three dimensions.

    Two dimensions are a grey image. Of three, the last holds the channels where it is at most four long, else the
    first where that is; of stacks of frames, where neither is, the shorter one.
    """
    if len(shape) == 2:
        return ImagePart(name, offset, (shape[0], shape[1], 1))
    if len(shape) != 3:
        return None
    first, middle, last = shape
    if last > _COLOURS and first < last:
        return ImagePart(name, offset, (middle, last, first), channels_first=True)
    return ImagePart(name, offset, (first, middle, last))
