"""What does the work: executors and their jobs, algorithms, trackers and faces."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

from experimenter.records import (
    Record,
)

if TYPE_CHECKING:
    from experimenter.envs.records import EnvCard
    from experimenter.records import Design, Network


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
    """Trains the designs that name it. ``experimenter.rl.plugin.AlgorithmPlugin`` has a default for most of this.

    ``actions`` are the kinds of action that it learns, as ``EnvCard.action_kind`` calls them.
    """

    contract: ClassVar[int]
    name: ClassVar[str]
    actions: ClassVar[tuple[str, ...]]

    def ready(self) -> None:
        """Raises UsageError, with what to install, where something that it needs is missing. Loads nothing heavy."""
        ...

    def check(self, design: Design) -> None:
        """Raises UsageError, with a hint, for a design that it cannot train, because of its network for example."""
        ...

    def says(self, design: Design) -> Literal["distribution", "masked", "sde", "squashed", "values"]:
        """What the outputs of the design's network mean, so that a stored policy acts and is judged without it: the
        parameters of a ``distribution`` (of one whose deviation depends on the state: ``sde``; of choices of which some
        are impossible: ``masked``), means and deviations of ``squashed`` actions, or ``values`` of discrete ones.
        """
        ...

    def network(self, card: EnvCard) -> Network:
        """The network of a design when nobody chose one."""
        ...

    def settled(self, design: Design) -> Design:
        """The design with every setting of the algorithm written out; settling twice changes nothing more."""
        ...

    def begin(self, design: Design, policy: Any, started: Any, rng: Any) -> tuple[Any, int]:
        """The flat float32 vector that a training begins with, and how many of its numbers have moments to be kept.

        ``policy`` is an ``experimenter.policies.policy.Policy``, whose weights the vector begins with: drawn from
        ``rng``, or else ``started``, those of the policy that the design starts from.
        """
        ...

    def course(self, job: Any, policy: Any, state: Any, account: Any) -> Any:
        """An ``experimenter.rl.course.Course``: the algorithm at work on ``state``, an ``rl.state.TrainingState``.

        It keeps ``state.flat`` and ``policy.params`` the same arrays, and draws whatever is random from the generator
        that each chunk is given.
        """
        ...


class Tracker(Protocol):
    """Receives every event of a run (for Weights & Biases and the like)."""

    contract: ClassVar[int]

    def event(self, event: Mapping[str, Any]) -> None: ...


class Face(Protocol):
    """An interface to runs of one workspace."""

    contract: ClassVar[int]

    def run(self) -> Any: ...
