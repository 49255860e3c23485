"""What every stop of the loop works with: workspace, frozen facts, plug-ins, and the rules of stopping.

Nothing in here is graph state: LangGraph's checkpoints hold ids and small scalars only, and may be deleted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from experimenter.budget import Ledger, exhausted
from experimenter.config import Settings
from experimenter.contracts import Curriculum, Executor, Memory, Planner
from experimenter.envs.records import EnvCard
from experimenter.errors import ExperimenterError, Stopped, WorkspaceError
from experimenter.events import NewEvent
from experimenter.identity import step_id
from experimenter.loop.commands import LOOK_EVERY, Listener
from experimenter.loop.plan import Plan
from experimenter.loop.questioning import ask
from experimenter.questions import Answer, Question
from experimenter.records import Budget, Lesson, Record, Skill, Testimony, Trial
from experimenter.workspace.files import free_megabytes
from experimenter.workspace.records import RunRecord
from experimenter.workspace.store import Workspace

SECONDS_EVERY = 5.0


class BudgetSpent(ExperimenterError):
    """A currency ran out in the middle of something; the run ends with what it has."""


class Outcome(Record):
    """What a stop produced: its stored value, and what is written beside it in the same transaction."""

    value: Any
    events: tuple[NewEvent, ...] = ()
    spend: Ledger = Ledger()
    documents: dict[str, Any] = {}
    trial: Trial | None = None
    lesson: Lesson | None = None
    skill: Skill | None = None
    testimonies: tuple[Testimony, ...] = ()


@dataclass
class Clock:
    """Active monotonic seconds of this process since the ledger last took them."""

    since: float = field(default_factory=time.monotonic)

    def take(self) -> float:
        now = time.monotonic()
        spent, self.since = now - self.since, now
        return spent


@dataclass
class RunContext:
    """One run in the hands of its runner. ``parent`` is the run whose control arm this one is, if it is one."""

    workspace: Workspace
    record: RunRecord
    settings: Settings
    card: EnvCard
    plan: Plan
    planner: Planner
    curriculum: Curriculum
    executor: Executor
    listener: Listener
    memory: Memory | None = None
    max_trials: int | None = None
    parent: RunContext | None = None
    clock: Clock = field(default_factory=Clock)
    _looked: float = 0.0
    _pausing: bool = False

    @property
    def run(self) -> str:
        return self.record.id

    @property
    def train_role(self) -> str:
        """The role of the search's training seeds."""
        return "search_train" if self.parent is None else "control_train"

    @property
    def seed(self) -> int:
        return self.record.goal.seed

    @property
    def folder(self) -> Path:
        return self.workspace.run_folder(self.run)

    @property
    def budget(self) -> Budget:
        """The limits of the run."""
        return self.record.goal.budget

    @property
    def hard_limits(self) -> Budget:
        """The currencies that end a run in the middle: learning steps are never planned beyond their limit, and a
        language model that would pass its limit is not asked."""
        return self.budget.model_copy(update={"env_steps": None, "tokens": None, "dollars": None})

    def step_id(
        self, kind: str, cycle: int, index: int = 0, *, design: str = "", seed: int = 0, steps: int = 0
    ) -> str:
        return step_id(
            run=self.run, cycle=cycle, kind=kind, index=index, design=design, seed=seed, steps=steps
        )

    def ledger(self) -> Ledger:
        return self.workspace.ledger(self.run)

    def trials(self) -> tuple[Trial, ...]:
        return self.workspace.trials(self.run)

    def emit(self, kind: str, data: Mapping[str, Any], step: str = "") -> None:
        """An event of the moment; whoever comes this way again says it again."""
        self.workspace.emit(self.run, kind, dict(data), step)

    def announce(self, step: str, kind: str, data: Mapping[str, Any], about: str = "") -> None:
        """An event that a resumed run does not write again: it is a stored step, ``step``, of its own.

        Readers find it under ``about``, the step that it speaks of, where that is another one.
        """
        event = NewEvent(kind=kind, data=dict(data), step=about)
        self.workspace.finish_step(self.run, step, kind, {}, events=(event,))

    def once(self, kind: str, cycle: int, work: Callable[[], Outcome], index: int = 0) -> Any:
        """Does ``work`` unless this step is already done; returns the stored value either way."""
        step = self.step_id(kind, cycle, index)
        stored = self.workspace.step(step)
        if stored is None:
            self.heed()
            self.commit(step, kind, work())
            stored = self.workspace.step(step)
        return stored

    def stored(self, kind: str, cycle: int) -> Any:
        """What an earlier stop of this cycle stored. Raises WorkspaceError when it is not there."""
        value = self.workspace.step(self.step_id(kind, cycle))
        if value is None:
            raise WorkspaceError(
                f"The step {kind} of cycle {cycle} is missing from run {self.run}.",
                f"Delete {self.folder / 'graph.sqlite'} and resume: the loop then finds its place again.",
            )
        return value

    def commit(self, step: str, kind: str, outcome: Outcome) -> None:
        """Writes a step's outcome, with what it cost, in one transaction."""
        self.workspace.finish_step(
            self.run,
            step,
            kind,
            outcome.value,
            events=outcome.events,
            spend=outcome.spend + Ledger(seconds=self.clock.take()),
            documents=outcome.documents,
            trial=outcome.trial,
            lesson=outcome.lesson,
            skill=outcome.skill,
            testimonies=outcome.testimonies,
        )

    def ask(self, question: Question) -> Answer:
        """Asks the planner; question and answer are archived before the answer is used."""
        return ask(self, question)

    def heed(self) -> None:
        """Obeys commands, the clock and the disk; called between steps and while training.

        Raises Stopped when asked to stop, BudgetSpent when a currency ran out, WorkspaceError on a full disk.
        """
        self.listener.answer()
        if self.listener.stop_wanted():
            raise Stopped(
                "The run was asked to stop.", f"Go on with: experimenter resume {self.listener.run}"
            )
        self._check_disk()
        if (why := self.over_budget()) is not None:
            raise BudgetSpent(why)

    def over_budget(self) -> str | None:
        """Which currency ran out, in words; a control spends on its parent's account."""
        if self.parent is not None:
            return self.parent.over_budget()
        return exhausted(self._spent_by_now(), self.hard_limits)

    def interrupted(self) -> bool:
        """Whether work in progress must end now; cheap enough to be polled."""
        if time.monotonic() - self._looked < LOOK_EVERY:
            return self._pausing
        self._looked = time.monotonic()
        over = self.over_budget() is not None
        self.listener.answer()
        stop = self.listener.stop_wanted()
        self._pausing = stop or over or self._disk_is_low() or self.listener.pause_wanted()
        return self._pausing

    def wait_while_paused(self) -> None:
        """Returns at once unless a pause is wanted; then when ``resume`` or ``stop`` arrives."""
        if self.listener.pause_wanted():
            payer = self.parent or self
            self.workspace.spend(payer.run, Ledger(seconds=payer.clock.take()))
            self.listener.wait_while_paused()
            payer.clock.take()
        self._pausing = False

    def _spent_by_now(self) -> Ledger:
        spent = self.ledger()
        waited = time.monotonic() - self.clock.since
        if waited > SECONDS_EVERY:
            self.workspace.spend(self.run, Ledger(seconds=self.clock.take()))
            return self.ledger()
        return spent + Ledger(seconds=waited)

    def search_time_is_over(self) -> bool:
        """Half of a limit in seconds is kept for confirmation, like half of the steps."""
        limit = self.budget.seconds
        return limit is not None and self._spent_by_now().seconds >= limit / 2

    def _disk_is_low(self) -> bool:
        return free_megabytes(self.workspace.root) < self.settings.min_free_megabytes

    def _check_disk(self) -> None:
        if self._disk_is_low():
            raise WorkspaceError(
                f"Less than {self.settings.min_free_megabytes} MB are free under {self.workspace.root}.",
                f"Free some space, then: experimenter resume {self.record.id}",
            )


def read_many(kind: Any, values: Sequence[Any]) -> tuple[Any, ...]:
    """Validates stored JSON values as records of one kind."""
    return tuple(TypeAdapter(list[kind]).validate_python(list(values)))
