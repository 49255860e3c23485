"""Opens a run's planner: the one that was named, those that single questions are routed to, and what lies behind them.

Every call of a language model is kept with what it cost before its reply is used, and weighed before it is made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from experimenter import plugins
from experimenter.budget import Ledger
from experimenter.config import Settings
from experimenter.contracts import Planner
from experimenter.errors import BudgetError, ConfigError
from experimenter.loop.commands import Listener
from experimenter.loop.replaying import stored_archive
from experimenter.planners.desk import Desk, Opened, Ready, split_name
from experimenter.planners.llm.calls import Call
from experimenter.planners.llm.faults import ModelFault
from experimenter.planners.llm.notes import Note
from experimenter.records import Budget
from experimenter.workspace.records import RunRecord
from experimenter.workspace.store import Workspace

__all__ = [
    "NOTES",
    "SPENT",
    "check_planners",
    "check_words",
    "expected",
    "open_planner",
    "settled",
    "words_are_spent",
]

NOTES: Final = "notes"
SPENT: Final = "words_spent"
_SHORT_PROMPT: Final = 2_000
_ASK: Final = frozenset({"llm", "manual"})
"""Planners whose proposals for hyperparameters enter a search instead of replacing it."""


def open_planner(workspace: Workspace, record: RunRecord, settings: Settings, listener: Listener) -> Planner:
    """The planner of a stored run. Raises NotFound, ConfigError or ModelFault."""
    name, _ = split_name(record.planner)
    desk = _Desks(workspace, record, settings, listener)
    main = desk.open(record.planner)
    if name == "replay" or (name not in _ASK and not settings.routes):
        return main
    return _routed(main, desk, settings)


def check_planners(settings: Settings) -> None:
    """Raises, before a run is created, where one of its planners is not installed or could not work."""
    from experimenter.planners.llm.route import check_routes

    check_routes(settings.routes)
    for text in dict.fromkeys((settings.planner, *settings.routes.values())):
        name, argument = split_name(text)
        plugin = plugins.load("planners", name)
        if argument and name != "replay":
            raise ConfigError(f"The planner {name} takes nothing after a colon.", f"Write only {name}.")
        if isinstance(plugin, Ready):
            plugin.ready(settings)
    if any(split_name(text)[0] == "replay" for text in settings.routes.values()):
        raise ConfigError(
            "No question can be routed to a replay.", "Replay a whole run: --planner replay:RUN."
        )


def settled(settings: Settings) -> Settings:
    """With the model that a key chose written down: a run keeps its model, whatever keys are set when it is resumed."""
    if not _asks_models(settings) or settings.model or "planner" in settings.models:
        return settings
    from experimenter.planners.llm.opening import models_of

    return settings.model_copy(update={"model": ",".join(map(str, models_of(settings)["planner"]))})


def check_words(settings: Settings) -> None:
    """Raises BudgetError for a limit in tokens that could not pay a single call."""
    limit, least = settings.budget_tokens, settings.model_tokens + _SHORT_PROMPT
    if limit is not None and limit < least and _asks_models(settings):
        raise BudgetError(
            f"A budget of {limit:,} tokens cannot pay one call: its reply alone may take {settings.model_tokens:,}.",
            f"Give at least {least:,}, or shorten replies by the setting model_tokens.",
        )


def _asks_models(settings: Settings) -> bool:
    return "llm" in {split_name(text)[0] for text in (settings.planner, *settings.routes.values())}


def expected(settings: Settings, trials: Sequence[int]) -> tuple[int, float | None]:
    """Tokens and dollars that the language models of a run may cost (``None``: unknown price); zeros without any.

    ``trials`` are the candidates of each trial.
    """
    if not _asks_models(settings):
        return 0, 0.0
    from experimenter.planners.llm.estimating import expected_usage
    from experimenter.planners.llm.opening import models_of

    models = tuple(dict.fromkeys(name for names in models_of(settings).values() for name in names))
    # In each trial a lever, ideas, a program for each candidate, and a lesson. Of the native design a lesson, and
    # beside it a test of success and a curve; a search that ends early leaves steps for one trial more.
    later = trials[1:] or (1,)
    return expected_usage(models, 3 + sum(3 + candidates for candidates in later))


def words_are_spent(workspace: Workspace, record: RunRecord) -> str | None:
    """Why the run's own planner can be asked no more under this budget, in words; ``None`` while it can be.

    Where only single questions are routed to a model, the search planner goes on with those as well.
    """
    if split_name(record.planner)[0] != "llm":
        return None
    stored, budget = workspace.document(record.id, SPENT), record.goal.budget
    if stored is None or (stored["tokens"], stored["dollars"]) != (budget.tokens, budget.dollars):
        return None
    return str(stored["words"])


def _routed(main: Planner, desk: _Desks, settings: Settings) -> Planner:
    from experimenter.planners.llm.enqueue import Enqueued
    from experimenter.planners.llm.route import DEFAULT_ROUTES, Routed

    search = main if main.name == "search" else desk.open("search")
    others = {name: desk.open(name) for name in dict.fromkeys(settings.routes.values()) if name != main.name}
    others["enqueued"] = Enqueued(main, search)
    usual = DEFAULT_ROUTES if main.name in _ASK else {}
    return Routed(main, search, others, {**usual, **settings.routes})


@dataclass(frozen=True, slots=True)
class _Desks:
    workspace: Workspace
    record: RunRecord
    settings: Settings
    listener: Listener

    def open(self, text: str) -> Planner:
        plugin: Any = plugins.load("planners", split_name(text)[0])
        made: Planner = plugin.opened(self._desk()) if isinstance(plugin, Opened) else plugin()
        return made

    def _desk(self) -> Desk:
        run = self.record.id
        return Desk(
            settings=self.settings,
            folder=self.workspace.run_folder(run),
            notes=_notes(self.workspace, run),
            log=_Calls(self.workspace, run, self._say),
            afford=self._afford,
            ordinal=lambda kind: self.workspace.asked(run, kind),
            stop=self._stop_wanted,
            say=self._say,
            archive=stored_archive(self.workspace, run),
        )

    def _say(self, kind: str, data: Mapping[str, Any]) -> None:
        self.workspace.emit(self.record.id, kind, dict(data), "")

    def _stop_wanted(self) -> bool:
        self.listener.answer()
        return self.listener.stop_wanted()

    def _afford(self, tokens: int, dollars: float | None) -> None:
        """Raises ModelFault (``over_quota``) where a call that takes its most would pass a limit of the run."""
        budget = self.workspace.run(self.record.id).goal.budget
        why = _too_much(self.workspace.ledger(self.record.id), budget, tokens, dollars)
        if why is None:
            return
        limits = {"tokens": budget.tokens, "dollars": budget.dollars}
        self.workspace.put_document(self.record.id, SPENT, {"v": 1, "words": why, **limits})
        raise ModelFault(f"No model is asked: {why}.", "Give the run a larger budget.", "over_quota")


def _too_much(spent: Ledger, budget: Budget, tokens: int, dollars: float | None) -> str | None:
    if budget.tokens is not None and spent.tokens + tokens > budget.tokens:
        return (
            f"of the budget of {budget.tokens:,} tokens {spent.tokens:,} are spent, and the next call may take"
            f" {tokens:,}"
        )
    if budget.dollars is None:
        return None
    if dollars is None:
        return "the limit in dollars cannot be kept with a model whose price is unknown"
    if spent.dollars + dollars > budget.dollars:
        return (
            f"of the budget of ${budget.dollars:g} ${spent.dollars:.4f} are spent, and the next call may take"
            f" ${dollars:.4f}"
        )
    return None


@dataclass(frozen=True, slots=True)
class _Calls:
    """``CallLog`` in the workspace."""

    workspace: Workspace
    run: str
    say: Callable[[str, Mapping[str, Any]], None]

    def recall(self, call_id: str) -> Call | None:
        stored = self.workspace.call(self.run, call_id)
        return None if stored is None else Call.model_validate(stored)

    def keep(self, call: Call) -> None:
        value = call.model_dump(mode="json")
        self.workspace.keep_call(self.run, call.id, call.request.question, value, _charge(call))


def _charge(call: Call) -> Ledger:
    """What the run pays: tokens that nobody counted are estimated, for a limit has to hold all the same."""
    used = [call.reply.usage, *(one.usage for one in call.reply.passed_over if one.usage is not None)]
    counted = [usage.total for usage in used]
    tokens = sum(total for total in counted if total is not None)
    if None in counted:
        tokens += _estimate(call)
    unpriced = tokens if call.dollars is None else 0
    return Ledger(tokens=tokens, dollars=call.dollars or 0.0, unpriced_tokens=unpriced)


def _estimate(call: Call) -> int:
    from experimenter.planners.llm.estimating import estimated_tokens

    return estimated_tokens(call.request) + len(call.reply.text.encode("utf-8", "replace")) // 3


def _notes(workspace: Workspace, run: str) -> tuple[Note, ...]:
    stored = workspace.document(run, NOTES)
    return () if stored is None else tuple(Note.model_validate(one) for one in stored["notes"])
