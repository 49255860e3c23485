"""What faces ask of a run, and what its runner makes of it.

A face writes a command and does no more. Stop, pause and resume are obeyed as soon as the work in hand can be left
without losing it. A larger budget waits until no trial, confirmation or control is under way: in the middle of one it
would change what was already decided, and a resumed run could not decide the same again. Whatever cannot be done is
refused with a note that says what is missing, so that no face waits for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from experimenter.errors import BudgetError
from experimenter.records import Budget
from experimenter.workspace.records import Command, RunRecord
from experimenter.workspace.store import Workspace

__all__ = [
    "AT_ONCE",
    "CURRENCIES",
    "Listener",
    "budget_flags",
    "budget_words",
    "larger_budget",
    "settle_old_commands",
]

AT_ONCE: Final = frozenset({"stop", "pause", "resume"})
LOOK_EVERY: Final = 0.5
MOST: Final = 10**15
CURRENCIES: Final = {
    "env_steps": "learning steps",
    "seconds": "active seconds",
    "tokens": "tokens",
    "dollars": "dollars",
}
_WHOLE: Final = ("env_steps", "tokens")


def settle_old_commands(workspace: Workspace, run: str) -> None:
    """What was asked of a runner that has left means nothing to the next one; a larger budget still does."""
    for command in workspace.pending(run):
        if command.kind in AT_ONCE:
            workspace.settle(command.id, "done")


def larger_budget(old: Budget, asked: Mapping[str, Any]) -> Budget:
    """``old`` with the limits in ``asked``, each of which must be larger than before. Raises BudgetError."""
    if not asked:
        raise BudgetError("A larger budget names no limit.", f"Name one of: {', '.join(CURRENCIES)}.")
    for currency, limit in asked.items():
        _check_limit(old, currency, limit)
    return Budget.model_validate(old.model_dump() | dict(asked))


def budget_flags(asked: Mapping[str, Any], prefix: str = "--") -> str:
    """Limits by currency as options of a command line, for hints."""
    names = {"env_steps": "steps"}
    return " ".join(f"{prefix}{names.get(key, key)} {limit}" for key, limit in asked.items())


def _check_limit(old: Budget, currency: str, limit: Any) -> None:
    words = CURRENCIES.get(currency)
    if words is None:
        raise BudgetError(f"There is no budget in {currency[:40]!r}.", f"There are: {', '.join(CURRENCIES)}.")
    if not _counts(limit, whole=currency in _WHOLE):
        raise BudgetError(f"That is no number of {words}.", f"Give a number below {MOST:,}.")
    before = getattr(old, currency)
    if before is None:
        raise BudgetError(f"The run has no limit in {words}, and none can be set now.", "Leave it out.")
    if limit <= before:
        raise BudgetError(
            f"A run's budget can only grow: it has {before:,} {words}, and {limit:,} was asked for.",
            f"Give more than {before:,}.",
        )


def _counts(limit: Any, *, whole: bool) -> bool:
    """Whether ``limit``, which a stranger may have written, can limit anything."""
    kinds = (int,) if whole else (int, float)
    return isinstance(limit, kinds) and not isinstance(limit, bool) and -MOST < limit < MOST


def budget_words(budget: Budget) -> str:
    """Every limit of a budget, in words."""
    limits = [(getattr(budget, currency), words) for currency, words in CURRENCIES.items()]
    return ", ".join(f"{limit:,} {words}" for limit, words in limits if limit is not None) or "no limit"


@dataclass
class Listener:
    """A runner's ear for its run's commands. A random control hears those of the run that it controls.

    ``signalled`` says whether the process itself was asked to stop.
    """

    workspace: Workspace
    record: RunRecord
    signalled: Callable[[], bool] = lambda: False
    _heard: set[int] = field(default_factory=set)

    @property
    def run(self) -> str:
        return self.record.id

    def stop_wanted(self) -> bool:
        return self.signalled() or any(command.kind == "stop" for command in self._pending())

    def pause_wanted(self) -> bool:
        """Whether the last word on pausing was ``pause``; pauses that are over are settled."""
        words = [command for command in self._pending() if command.kind in ("pause", "resume")]
        if words and words[-1].kind == "pause":
            return True
        for command in words:
            self.workspace.settle(command.id, "done")
        return False

    def wait_while_paused(self) -> None:
        """Returns when ``resume`` or ``stop`` arrives."""
        self.workspace.set_status(self.run, "paused")
        self.workspace.emit(self.run, "run.paused", {})
        while self.pause_wanted() and not self.stop_wanted():
            self.answer()
            time.sleep(LOOK_EVERY)
        self.workspace.set_status(self.run, "running")
        self.workspace.emit(self.run, "run.resumed", {})

    def answer(self) -> None:
        """Refuses what cannot be done, and says of a larger budget that it was heard and when it counts."""
        for command in self._pending():
            if command.kind not in AT_ONCE and command.id not in self._heard:
                self._heard.add(command.id)
                self._answer(command)

    def larger_budgets(self) -> Iterator[tuple[Command, Budget]]:
        """The larger budgets that wait, in the order in which they were asked for; others are refused."""
        for command in self._pending():
            if command.kind == "budget" and (budget := self._larger(command)) is not None:
                yield command, budget

    def larger_budget_waits(self) -> bool:
        return next(self.larger_budgets(), None) is not None

    def _pending(self) -> tuple[Command, ...]:
        return self.workspace.pending(self.run)

    def _answer(self, command: Command) -> None:
        if command.kind != "budget":
            self._refuse(command, self._missing(command.kind))
        elif (budget := self._larger(command)) is not None:
            words = "counts as soon as no trial, confirmation or control is under way"
            self._note(command, f"the larger budget was heard ({budget_words(budget)}); it {words}")

    def _larger(self, command: Command) -> Budget | None:
        try:
            return larger_budget(self.workspace.run(self.run).goal.budget, command.payload)
        except BudgetError as error:
            self._refuse(command, f"{error.message} {error.hint}")
            return None

    def _missing(self, kind: str) -> str:
        missing = {
            "hint": f"the {self.record.planner} planner reads no hints",
            "vote": f"the curriculum {self.record.curriculum} asks for no votes",
            "approve": "nothing in this run waits for anybody's approval",
        }
        return missing.get(kind, "it is not known to this release")

    def _refuse(self, command: Command, why: str) -> None:
        self._note(command, f"the command {command.kind[:40]!r} was refused: {why}")
        self.workspace.settle(command.id, "refused")

    def _note(self, command: Command, words: str) -> None:
        self.workspace.emit(self.run, "note", {"words": words, "command": command.id})
