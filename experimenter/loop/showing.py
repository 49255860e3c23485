"""A skill on film: episodes played in a worker, as pictures in this process or as one file."""

from __future__ import annotations

import tempfile
from pathlib import Path

from experimenter.errors import UsageError
from experimenter.execution.film import Film
from experimenter.execution.film_files import check_film_file, joined, write_film
from experimenter.execution.playing import Played, read_film
from experimenter.identity import seeds
from experimenter.loop.skills import play

__all__ = ["film_skill", "filmed"]


def filmed(root: Path, name: str, seed: int, size: int) -> tuple[Played, Film]:
    """One episode of a skill; the longer side of its pictures is ``size`` pixels. Raises what ``play`` raises."""
    with tempfile.TemporaryDirectory(prefix="experimenter-film-") as folder:
        played = play(root, name, seed, Path(folder), size=size)
        return played, read_film(Path(folder), played)


def film_skill(root: Path, name: str, path: Path, episodes: int, seed: int) -> tuple[Played, ...]:
    """Films the judge's own episodes into one ``.gif`` or ``.mp4`` file, and returns what came of each.

    Raises UsageError for another ending, NotFound, EnvironmentFault where the environment draws no pictures.
    """
    if episodes < 1:
        raise UsageError("The number of episodes must be at least 1.", "Leave it out for one.")
    check_film_file(path)
    size = 480 if path.suffix.lower() == ".mp4" else 320
    found = [filmed(root, name, one, size) for one in seeds(seed, "confirm_eval", episodes)]
    write_film(joined([film for _, film in found]), path.expanduser().absolute())
    return tuple(played for played, _ in found)
