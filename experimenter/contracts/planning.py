"""Whoever decides and answers: planners and curricula, and what they may know."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol, runtime_checkable

from experimenter.envs.records import EnvCard
from experimenter.questions import Answer, Attempt, Question
from experimenter.records import Design, Goal, Lesson, Lever, Method, Record, Skill, Task


class Ask(Protocol):
    """Asks the planner one question; the loop archives question and answer before the answer is used.

    Raises ``errors.ExperimenterError`` when the planner refuses.
    """

    def __call__(self, question: Question) -> Answer: ...


class RunView(Record):
    """What a curriculum may know: the goal, the card, the journal, what memory recalled, and what may still be spent.

    ``refused`` names the levers of the cycles just before this one that ended without a design, in that order: the
    planner has nothing more to say on them, so another lever is worth the try. Empty after every trial.
    ``algorithm`` is what the run's designs train with unless they say otherwise.
    ``batched`` says which shipped defaults this run takes: those for many environments stepped in one batch, or not.
    ``confirm_steps`` is what a confirmation can give each of its seeds, and so how long a lineage it can replay.
    """

    goal: Goal
    card: EnvCard
    cycle: int
    history: tuple[Attempt, ...] = ()
    champion: Design | None = None
    champion_trial: str | None = None
    design_steps: int
    search_steps_left: int
    confirm_steps: int = 0
    max_designs: int
    lessons: tuple[Lesson, ...] = ()
    skills: tuple[Skill, ...] = ()
    methods: tuple[Method, ...] = ()
    refused: tuple[Lever, ...] = ()
    algorithm: str = "ppo"
    batched: bool = False
    seed: int = 0


@runtime_checkable
class Planner(Protocol):
    """Answers typed questions. Pure: the same question gets the same answer.

    A planner that keeps a record of how it came to an answer has ``consult`` besides (``Consulted``). One that needs
    its run has a class method ``opened``, and one that may be unable to work a class method ``ready``: see
    ``experimenter.planners.desk``.
    """

    contract: ClassVar[int]
    notice: ClassVar[str]

    @property
    def name(self) -> str: ...

    def answer(self, question: Question) -> Answer: ...


class Consulted(Protocol):
    """What a planner that keeps a record says: the answer, and what the archive keeps beside it.

    ``faults`` are what whoever was asked failed with, ``notes`` sentences for the person who reads the run.
    """

    @property
    def answer(self) -> Answer: ...
    @property
    def planner(self) -> str: ...
    @property
    def faults(self) -> tuple[str, ...]: ...
    @property
    def notes(self) -> tuple[str, ...]: ...

    def usage(self) -> dict[str, Any]: ...


@runtime_checkable
class Consultant(Protocol):
    """A planner that keeps a record of how it came to an answer."""

    def consult(self, question: Question) -> Consulted: ...


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
