"""The border to a stranger's algorithm: whatever it raises becomes one typed error that names it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from experimenter.errors import ExperimenterError, TrainingFault
from experimenter.rl.course import Course, NotFinite, Taught, Teaching
from experimenter.rl.schedule import Chunk
from experimenter.rl.stage import Stage

if TYPE_CHECKING:
    from experimenter.contracts import Algorithm
    from experimenter.envs.records import EnvCard
    from experimenter.policies.actions import Said
    from experimenter.records import Design, Network

__all__ = ["Guarded", "GuardedAlgorithm", "foreign"]


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


class GuardedAlgorithm:
    """An algorithm from outside of the kernel; see ``experimenter.contracts.Algorithm``."""

    contract: ClassVar[int] = 1

    def __init__(self, found: Algorithm) -> None:
        self._found = found
        self.name, self.actions = found.name, found.actions

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_found"], name)

    def ready(self) -> None:
        with foreign(self.name):
            self._found.ready()

    def check(self, design: Design) -> None:
        with foreign(self.name):
            self._found.check(design)

    def says(self, design: Design) -> Said:
        with foreign(self.name):
            return self._found.says(design)

    def network(self, card: EnvCard) -> Network:
        with foreign(self.name):
            return self._found.network(card)

    def settled(self, design: Design) -> Design:
        with foreign(self.name):
            return self._found.settled(design)

    def begin(self, design: Design, policy: Any, started: Any, rng: Any) -> tuple[Any, int]:
        with foreign(self.name):
            return self._found.begin(design, policy, started, rng)

    def course(self, job: Any, policy: Any, state: Any, account: Any) -> Any:
        with foreign(self.name):
            return self._found.course(job, policy, state, account)


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
