"""Where images stand among a pipeline's inputs, and how they are laid out, for networks with convolutions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["MAX_PIXELS", "ImagePart", "image_at"]

MAX_PIXELS: Final = 100_000
"""Most numbers of all images of one observation together: what a small convolutional network can read."""
_COLOURS: Final = 4


@dataclass(frozen=True, slots=True)
class ImagePart:
    """One image among the encoded inputs: columns ``offset`` to ``offset + size``, each number between 0 and 1.

    ``shape`` is always (height, width, channels). The columns are in the order in which the environment gave them:
    with ``channels_first`` they unfold as (channels, height, width), else as (height, width, channels).
    """

    name: str
    offset: int
    shape: tuple[int, int, int]
    channels_first: bool = False

    @property
    def size(self) -> int:
        height, width, channels = self.shape
        return height * width * channels


def image_at(name: str, offset: int, shape: tuple[int, ...]) -> ImagePart | None:
    """The image of a byte array of ``shape`` that begins at ``offset``; ``None`` for more than three dimensions.

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
