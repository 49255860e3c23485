"""What a plug-in must provide: one Protocol per entry-point group ``experimenter.<group>``.

Every plug-in declares ``contract = 1``. Contract tests for third parties are in ``experimenter.testing``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

from experimenter.envs.records import EnvCard, Parameter
from experimenter.questions import Answer, Attempt, Question
from experimenter.records import Design, EnvSpec, Goal, Lesson, Lever, Record, Skill, Task

CONTRACT = 1
A = TypeVar("A", bound=Answer)


class Ask(Protocol):
    """Asks the planner one question; the loop archives question and answer before the answer is used.

    Raises ``errors.ExperimenterError`` when the planner refuses.
    """

    def __call__(self, question: Question) -> Answer: ...


class RunView(Record):
    """What a curriculum may know: the goal, the card, the journal, and what may still be spent on this trial.

    ``refused`` names the levers of the cycles just before this one that ended without a design, in that order: the
    planner has nothing more to say on them, so another lever is worth the try. Empty after every trial.
    """

    goal: Goal
    card: EnvCard
    cycle: int
    history: tuple[Attempt, ...] = ()
    champion: Design | None = None
    champion_trial: str | None = None
    design_steps: int
    search_steps_left: int
    max_designs: int
    lessons: tuple[Lesson, ...] = ()
    skills: tuple[str, ...] = ()
    refused: tuple[Lever, ...] = ()
    seed: int = 0


@runtime_checkable
class Planner(Protocol):
    """Answers typed questions. Pure: the same question gets the same answer."""

    contract: ClassVar[int]
    name: ClassVar[str]
    notice: ClassVar[str]

    def answer(self, question: Question) -> Answer: ...


@runtime_checkable
class Curriculum(Protocol):
    """Decides what to try next, asking the planner. Pure, apart from what it asks."""

    contract: ClassVar[int]
    name: ClassVar[str]

    def propose(self, view: RunView, ask: Ask) -> Task | None:
        """The next task, or ``None`` when out of ideas."""
        ...

    def design(self, task: Task, view: RunView, ask: Ask) -> tuple[Design, ...]:
        """Up to ``view.max_designs`` designs of ``view.design_steps`` steps each, without seeds."""
        ...

    def repair(self, design: Design, error: str, task: Task, view: RunView, ask: Ask) -> Design | None:
        """A corrected design after a failed check, or ``None`` to give it up."""
        ...


@runtime_checkable
class Family(Protocol):
    """What is common to a set of environments: their configuration schema, success and sub-tasks."""

    contract: ClassVar[int]
    name: ClassVar[str]

    def owns(self, env_id: str) -> bool: ...

    def make(self, spec: EnvSpec) -> Any:
        """A Gymnasium environment; raises ``errors.NotFound`` or ``errors.EnvironmentFault``."""
        ...

    def schema(self, spec: EnvSpec) -> tuple[Parameter, ...]: ...

    def repair(self, spec: EnvSpec, schema: Sequence[Parameter]) -> tuple[EnvSpec, tuple[str, ...]]:
        """The nearest valid configuration, and one sentence for each thing that was changed."""
        ...

    def success_key(self, spec: EnvSpec, info_keys: Iterable[str]) -> str | None: ...

    def succeeded(
        self, spec: EnvSpec, episode_return: float, terminated: bool, info: Mapping[str, Any]
    ) -> bool | None:
        """Whether an episode succeeded by the family's declared measure; ``None`` where it declares none."""
        ...

    def subtasks(self, spec: EnvSpec, info: Mapping[str, Any]) -> Mapping[str, bool]: ...


@runtime_checkable
class Memory(Protocol):
    """Finds lessons by meaning. The truth stays in the workspace; a memory is an index over it."""

    contract: ClassVar[int]
    name: ClassVar[str]

    def recall(
        self, words: str, environment: str, lessons: Sequence[Lesson], limit: int
    ) -> tuple[Lesson, ...]: ...


@runtime_checkable
class SkillLibrary(Protocol):
    """Keeps certified policies as folders under the workspace's ``skills/``."""

    contract: ClassVar[int]
    name: ClassVar[str]

    def keep(self, skill: Skill, policy_folder: Path, root: Path) -> Path: ...

    def load(self, name: str, root: Path) -> tuple[Skill, Path]: ...

    def names(self, root: Path) -> tuple[str, ...]: ...


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


class Embedder(Protocol):
    """Turns texts into vectors of ``size`` numbers; ``id`` names the version."""

    contract: ClassVar[int]
    id: str
    size: int

    def embed(self, texts: Sequence[str]) -> Any: ...


class Face(Protocol):
    """An interface to runs of one workspace."""

    contract: ClassVar[int]

    def run(self) -> Any: ...
