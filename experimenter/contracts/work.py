"""What does the work: executors and their jobs, algorithms, trackers and faces."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

from experimenter.records import (
    Record,
)


class Job(Record):
    """One piece of work for a worker process. ``kind`` picks the function; ``payload`` is plain JSON."""

    id: str
    kind: str
    payload: dict[str, Any]
    silence: float = 60.0


class JobResult(Record):
    """What came of a job: ``value`` when ``ok``, else the error's class name, text and hint.

    ``began`` and ``ended`` are the worker's monotonic seconds; zero where the worker could not tell.
    """

    id: str
    ok: bool
    value: dict[str, Any] = {}
    error: str = ""
    message: str = ""
    hint: str = ""
    began: float = 0.0
    ended: float = 0.0


@runtime_checkable
class Executor(Protocol):
    """Runs jobs in worker processes; a job that hangs, dies or leaks ends alone."""

    contract: ClassVar[int]
    name: ClassVar[str]

    def run(
        self,
        jobs: Sequence[Job],
        *,
        role: str,
        progress: Callable[[str, dict[str, Any]], None],
        interrupt: Callable[[], bool],
    ) -> Iterator[JobResult]:
        """Yields results in order of completion. ``interrupt`` is polled at least once a second; true ends all."""
        ...

    def working_seconds(self) -> float:
        """Wall-clock seconds in which at least one worker was at a job, so far."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class Algorithm(Protocol):
    """Trains one design with one seed, in a worker process. See ``experimenter.rl.training``."""

    contract: ClassVar[int]
    name: ClassVar[str]


class Tracker(Protocol):
    """Receives every event of a run (for Weights & Biases and the like)."""

    contract: ClassVar[int]

    def event(self, event: Mapping[str, Any]) -> None: ...


class Face(Protocol):
    """An interface to runs of one workspace."""

    contract: ClassVar[int]

    def run(self) -> Any: ...
