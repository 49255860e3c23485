"""The border to a stranger's algorithm: whatever it raises becomes one typed error that names it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from experimenter.errors import ExperimenterError, TrainingFault
from experimenter.rl.course import Course, NotFinite, Taught, Teaching
from experimenter.rl.schedule import Chunk
from experimenter.rl.stage import Stage

__all__ = ["Guarded", "foreign"]


@contextmanager
def foreign(name: str) -> Iterator[None]:
    """Anything raised inside becomes a TrainingFault that names the algorithm; our own errors pass unchanged."""
    try:
        yield
    except (ExperimenterError, NotFinite):
        raise
    except Exception as error:
        text = str(error).strip() or "no message"
        raise _fault(name, f"raised {type(error).__name__}: {text[:500]}") from error


def _fault(name: str, what: str) -> TrainingFault:
    return TrainingFault(
        f"the algorithm {name} {what}",
        "Tell whoever provides it, or train with another: --algorithm ppo.",
    )


class Guarded:
    """A stranger's course; see ``rl.course.Course``."""

    def __init__(self, course: Course, name: str) -> None:
        self._course, self._name = course, name

    def chunk(self, chunk: Chunk, stage: Stage, rng: np.random.Generator) -> Teaching[Taught]:
        """The course's own, which must return what it taught."""
        with foreign(self._name):
            taught = yield from self._course.chunk(chunk, stage, rng)
        if not isinstance(taught, Taught):
            raise _fault(self._name, f"ended a chunk with {type(taught).__name__}, not with Taught")
        return taught

    def save(self, folder: Path) -> None:
        with foreign(self._name):
            self._course.save(folder)

    def over(self) -> None:
        with foreign(self._name):
            self._course.over()
