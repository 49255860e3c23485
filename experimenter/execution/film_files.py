"""Films as files: a looping GIF, or an MP4 where the extra ``video`` is installed."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from experimenter.errors import NotFound, UsageError
from experimenter.execution.film import Film, gif_bytes, shrink
from experimenter.workspace.files import make_folder, storage_error, write_atomic

__all__ = ["check_film_file", "joined", "require_video", "write_film", "write_gif", "write_mp4"]

_ENDINGS: Final = (".gif", ".mp4")


def joined(films: Sequence[Film]) -> Film:
    """Films of one environment as a single one, one after the other."""
    import numpy as np

    first = films[0]
    shape = first.frames.shape[1:3]
    frames = [shrink(frame, (shape[0], shape[1])) for one in films for frame in one.frames]
    captions = tuple(
        f"episode {index} · {caption}" if len(films) > 1 else caption
        for index, one in enumerate(films, 1)
        for caption in one.captions
    )
    return replace(first, frames=np.stack(frames), captions=captions)


def check_film_file(path: Path) -> None:
    """Passes where a film can be written. Raises UsageError for another ending, NotFound without ``video``."""
    if path.suffix.lower() not in _ENDINGS:
        raise UsageError(f"{path} ends in neither .gif nor .mp4.", f"Try {path.with_suffix('.gif')}")
    if path.suffix.lower() == ".mp4":
        require_video()


def write_film(film: Film, path: Path) -> int:
    """Writes a GIF or an MP4, as the file's ending says; returns its bytes. Raises what ``check_film_file`` raises."""
    check_film_file(path)
    return (write_gif if path.suffix.lower() == ".gif" else write_mp4)(film, path)


def write_gif(film: Film, path: Path) -> int:
    """Writes a looping GIF; returns its bytes. Raises WorkspaceError where it cannot be written."""
    data = gif_bytes(film)
    write_atomic(path, data)
    return len(data)


def write_mp4(film: Film, path: Path) -> int:
    """Writes an H.264 film; returns its bytes. Raises NotFound without the extra ``video``, WorkspaceError."""
    encode = require_video()
    aside = make_folder(path.parent) / f".{path.stem}.{secrets.token_hex(4)}.aside.mp4"
    frames = film.frames[:, : film.frames.shape[1] // 2 * 2, : film.frames.shape[2] // 2 * 2]
    try:
        size = frames.shape[2], frames.shape[1]
        writer = encode(str(aside), size, fps=film.fps, macro_block_size=2, ffmpeg_log_level="error")
        writer.send(None)
        for frame in frames:
            writer.send(frame.tobytes())
        writer.close()
        aside.replace(path)
    except OSError as error:
        raise storage_error(path, error) from error
    finally:
        aside.unlink(missing_ok=True)
    return path.stat().st_size


def require_video() -> Any:
    """The function that encodes films. Raises NotFound without the extra ``video``."""
    try:
        from imageio_ffmpeg import write_frames
    except ImportError as cause:
        raise NotFound(
            "Writing MP4 needs the package imageio-ffmpeg, which is not installed.",
            "Install it with: pip install 'rl-experimenter[video]', or write a GIF.",
        ) from cause
    return write_frames
