"""Films one episode of a stored policy: the judge's own episode for that seed, drawn, thinned and shrunk.

A film holds at most ``max_frames`` pictures whatever the episode's length, so that its memory is bounded: whenever
there are too many, every second one is dropped and from then on only half as many are kept.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from experimenter.judge.evaluate import Mode, Moment, play_episode
from experimenter.records import EnvSpec, JudgeSpec

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Film", "film", "gif_bytes"]

Frames = NDArray[np.uint8]
Progress = Callable[[dict[str, Any]], None]
SLOWEST, FASTEST = 8.0, 50.0
GIF_LIMIT: Final = 2_000_000
_LAST_FRAME_MS: Final = 1_000
_SIZES: Final = ((256, 1), (128, 1), (64, 1), (64, 2), (32, 2), (32, 3), (16, 4), (16, 6), (8, 8))
"""Colours of a GIF and how many times it is thinned and shrunk, in the order in which they are tried."""


@dataclass(frozen=True, slots=True)
class Film:
    """``frames`` are uint8 (T, H, W, 3), with a caption each, to be shown ``fps`` per second.

    ``native_return`` and ``success`` (``None``: no measure) are the judge's for this episode, which took ``length``
    steps. ``speed`` says how many times faster than the environment's own clock it is shown.
    """

    frames: Frames
    fps: float
    native_return: float
    success: bool | None
    captions: tuple[str, ...]
    length: int = 0
    speed: float = 1.0


def film(
    policy_folder: Path | str,
    hash: str,
    spec: EnvSpec,
    seed: int,
    mode: Mode | None,
    *,
    max_frames: int = 200,
    size: int = 320,
    judge: JudgeSpec | None = None,
    progress: Progress | None = None,
) -> Film:
    """One episode of the policy with that ``hash``, acting by ``mode`` (``None``: its own), as the judge plays it.

    At most ``max_frames`` (>= 2) frames whose longer side is at most ``size`` pixels. Without ``judge``, success is
    what the environment's family declares. Runs the environment in this process: call it in a worker.
    Raises WorkspaceError for a damaged policy, EnvironmentFault when the environment fails or draws no pictures.
    """
    from experimenter.envs.judging import judge_for
    from experimenter.envs.rendering import draw, frame_rate, make_rendered
    from experimenter.policies.policy import load_policy

    policy = load_policy(Path(policy_folder), hash)
    reel = _Reel(max(2, max_frames), max(16, size))
    rate = 0.0

    def seen(moment: Moment) -> None:
        nonlocal rate
        rate = rate or frame_rate(moment.env)
        if reel.wants(moment.step) or moment.last:
            reel.add(_caption(moment), draw(moment.env, spec))
        if progress is not None:
            progress({"steps": moment.step})

    declared = judge_for(None, spec) if judge is None else judge
    episode = play_episode(policy, spec, seed, declared, mode, seen, make_rendered)
    fps = min(FASTEST, max(SLOWEST, rate / reel.stride))
    return Film(
        frames=np.stack(reel.frames),
        fps=fps,
        native_return=episode.score,
        success=episode.success,
        captions=tuple(reel.captions),
        length=episode.length,
        speed=fps * reel.stride / rate,
    )


def _caption(moment: Moment) -> str:
    return f"step {moment.step:,} · return {moment.score:.4g}"


class _Reel:
    """Keeps every ``stride``-th picture and the last one, shrunk; at most ``limit`` of them."""

    def __init__(self, limit: int, size: int) -> None:
        self.frames: list[Frames] = []
        self.captions: list[str] = []
        self.stride = 1
        self._limit, self._size = limit, size
        self._shape: tuple[int, int] | None = None

    def wants(self, step: int) -> bool:
        """Whether this step's picture is kept; makes room for it, and one more for the last, where there is none."""
        if step % self.stride == 0 and len(self.frames) >= self._limit - 1:
            self.stride *= 2
            del self.frames[1::2], self.captions[1::2]
        return step % self.stride == 0

    def add(self, caption: str, picture: Frames) -> None:
        if self._shape is None:
            self._shape = _fitted(picture.shape[0], picture.shape[1], self._size)
        self.frames.append(shrink(picture, self._shape))
        self.captions.append(caption)


def _fitted(height: int, width: int, size: int) -> tuple[int, int]:
    share = min(1.0, size / max(height, width))
    return max(1, round(height * share)), max(1, round(width * share))


def shrink(picture: Frames, shape: tuple[int, int]) -> Frames:
    """The picture in another (height, width), each new point the mean of what it covers."""
    if picture.shape[:2] == shape:
        return picture
    from PIL import Image

    height, width = shape
    resized = Image.fromarray(picture).resize((width, height), Image.Resampling.BOX)
    return np.asarray(resized, dtype=np.uint8)


def gif_bytes(film: Film, *, limit: int = GIF_LIMIT) -> bytes:
    """The film as a looping GIF of at most ``limit`` bytes: fewer colours, then fewer and smaller frames.

    The last frame stays for a second. One palette serves all frames, so that nothing flickers. When even the
    smallest form is over the limit, it is returned all the same.
    """
    data = b""
    for colours, thinner in _SIZES:
        data = _gif(film, colours, thinner)
        if len(data) <= limit:
            break
    return data


def _gif(film: Film, colours: int, thinner: int) -> bytes:
    pictures = _pictures(film.frames, thinner)
    palette = _palette(pictures, colours)
    from PIL import Image

    indexed = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    pause = max(20, round(1000 * thinner / film.fps))
    out = io.BytesIO()
    indexed[0].save(
        out,
        format="GIF",
        save_all=True,
        append_images=indexed[1:],
        duration=[*([pause] * (len(indexed) - 1)), _LAST_FRAME_MS],
        loop=0,
        optimize=False,
    )
    return out.getvalue()


def _pictures(frames: Frames, thinner: int) -> list[Image]:
    """Every ``thinner``-th frame and the last one, each ``sqrt(thinner)`` times smaller."""
    from PIL import Image

    kept = [*frames[:-1:thinner], frames[-1]]
    share = thinner**-0.5
    shape = max(1, round(frames.shape[1] * share)), max(1, round(frames.shape[2] * share))
    return [Image.fromarray(shrink(frame, shape)) for frame in kept]


def _palette(pictures: list[Image], colours: int) -> Image:
    """The palette of up to 24 pictures spread over the film, side by side."""
    from PIL import Image

    chosen = [pictures[i] for i in np.unique(np.linspace(0, len(pictures) - 1, 24).astype(int))]
    width, height = chosen[0].size
    sheet = Image.new("RGB", (width * len(chosen), height))
    for index, picture in enumerate(chosen):
        sheet.paste(picture, (index * width, 0))
    return sheet.quantize(colors=colours, dither=Image.Dither.NONE)
