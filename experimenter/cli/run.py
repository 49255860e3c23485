"""``experimenter run`` and ``resume``: start a run, or go on with one, and watch it to its end."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from experimenter.cli.choices import (
    Algorithm,
    AllowUnsandboxed,
    BudgetDollars,
    BudgetSeconds,
    BudgetSteps,
    BudgetTokens,
    ConfirmSeeds,
    Controls,
    Curriculum,
    Detach,
    Device,
    EarlyStopping,
    Env,
    Events,
    Images,
    Judge,
    JudgeVisibility,
    Memory,
    Model,
    Name,
    Notes,
    Planner,
    Roles,
    Routes,
    SuccessTest,
    Target,
    Vector,
    Wish,
    Workers,
    Yes,
)
from experimenter.cli.console import say
from experimenter.cli.options import (
    AsJson,
    RunName,
    Seed,
    SetValues,
    WorkspaceFolder,
    check_name,
    given_limits,
    open_workspace,
    parse_set,
    resolve,
    workspace_root,
)
from experimenter.errors import UsageError

if TYPE_CHECKING:
    from experimenter.budget import Forecast
    from experimenter.config import Settings
    from experimenter.loop.preparation import Prepared

__all__ = ["resume", "run"]


def run(
    wish: Wish,
    env: Env,
    set_: SetValues = None,
    budget_steps: BudgetSteps = None,
    budget_seconds: BudgetSeconds = None,
    budget_tokens: BudgetTokens = None,
    budget_dollars: BudgetDollars = None,
    seed: Seed = 0,
    judge: Judge = None,
    judge_visibility: JudgeVisibility = "open",
    target: Target = None,
    controls: Controls = None,
    confirm_seeds: ConfirmSeeds = None,
    planner: Planner = None,
    model: Model = None,
    roles: Roles = None,
    route: Routes = None,
    note: Notes = None,
    images: Images = False,
    success_test: SuccessTest = None,
    curriculum: Curriculum = None,
    workspace: WorkspaceFolder = None,
    name: Name = None,
    algorithm: Algorithm = None,
    early_stopping: EarlyStopping = None,
    workers: Workers = None,
    device: Device = None,
    vector: Vector = None,
    memory: Memory = None,
    yes: Yes = False,
    as_json: AsJson = False,
    events: Events = False,
    detach: Detach = False,
    allow_unsandboxed: AllowUnsandboxed = False,
) -> int:
    """Pursue a wish in an environment: search, train, judge, and end with an honest verdict."""
    from experimenter.loop.preparation import prepare

    _one_of(as_json, events)
    kwargs, run_id = parse_set(set_), check_name(name)
    settings = resolve(
        workspace=workspace, curriculum=curriculum, controls=controls, workers=workers,
        confirm_seeds=confirm_seeds, memory=memory, budget_steps=budget_steps, budget_seconds=budget_seconds,
        budget_tokens=budget_tokens, budget_dollars=budget_dollars, allow_unsandboxed=allow_unsandboxed or None,
        algorithm=algorithm, early_stopping=early_stopping, device=device, vector=vector,
        planner=planner, model=model, models=roles, routes=route, notes=note,
        images=images or None, success_test=success_test,
    )  # fmt: skip
    _asks_a_model(settings, named=bool(model or roles))
    prepared = prepare(
        wish, env, kwargs, settings, judge=judge, judge_visibility=judge_visibility, target=target, seed=seed,
        run_id=run_id, command=tuple(sys.argv), agree=lambda foreseen: _confirm_dollars(foreseen, yes=yes),
    )  # fmt: skip
    _announce(prepared, settings)
    root = Path(settings.workspace).expanduser().absolute()
    return _go(root, prepared.record.id, as_json=as_json, events=events, detach=detach)


def resume(
    run_id: RunName,
    budget_steps: BudgetSteps = None,
    budget_seconds: BudgetSeconds = None,
    budget_tokens: BudgetTokens = None,
    budget_dollars: BudgetDollars = None,
    workspace: WorkspaceFolder = None,
    as_json: AsJson = False,
    events: Events = False,
    detach: Detach = False,
) -> int:
    """Go on with a run that was stopped, paused or killed. A budget may only grow."""
    from experimenter.loop.launch import raise_budget

    _one_of(as_json, events)
    root = workspace_root(workspace)
    with open_workspace(workspace) as store:
        record = store.run(run_id)
        raise_budget(
            root, record.id, given_limits(budget_steps, budget_seconds, budget_tokens, budget_dollars)
        )
        seen = max((event.seq for event in store.events(record.id)), default=0)
    say(f"going on with {record.id}: {record.goal.wish}")
    return _go(root, record.id, as_json=as_json, events=events, detach=detach, after=seen)


def _one_of(as_json: bool, events: bool) -> None:
    if as_json and events:
        raise UsageError(
            "--json and --events exclude each other", "Keep one: an object at the end, or lines."
        )


def _go(root: Path, run_id: str, *, as_json: bool, events: bool, detach: bool, after: int = 0) -> int:
    from experimenter.cli.following import conclude, follow_run
    from experimenter.loop.launch import start

    start(root, run_id)
    if detach:
        return _left_running(root, run_id, as_json=as_json)
    found = follow_run(root, run_id, events=events, after=after)
    return conclude(found, root, as_json=as_json, events=events)


def _left_running(root: Path, run_id: str, *, as_json: bool) -> int:
    from experimenter.cli.console import print_json
    from experimenter.loop.results import result

    say(f"run {run_id} goes on by itself; follow it with: experimenter watch {run_id}")
    if as_json:
        print_json(result(root, run_id).model_dump(mode="json"))
    return 0


def _announce(prepared: Prepared, settings: Settings) -> None:
    """Planner, judge, containment and forecast, in a few lines on stderr."""
    from experimenter.planners.desk import split_name
    from experimenter.plugins import load
    from experimenter.report.forecast import forecast_words
    from experimenter.sandbox.level import containment

    record = prepared.record
    say(f"run {record.id}: {record.goal.wish} · {record.goal.environment.id} · seed {record.goal.seed}")
    say(f"planner: {load('planners', split_name(record.planner)[0]).notice}")
    if settings.routes:
        say(f"routes: {', '.join(f'{kind} to {name}' for kind, name in settings.routes.items())}")
    for words in _about_models(settings):
        say(words)
    say(f"judge: {prepared.card.judge.words}")
    say(f"vector environments: {prepared.vector.words}")
    level = containment()
    say(f"containment: {level.level}. {level.words}")
    if prepared.device.seconds or prepared.device.device != "cpu":
        say(f"device: {prepared.device.device}, because {prepared.device.reason}")
    say(f"forecast: {forecast_words(prepared.forecast)}")


def _models_are_asked(settings: Settings) -> bool:
    from experimenter.planners.desk import split_name

    return "llm" in {split_name(name)[0] for name in (settings.planner, *settings.routes.values())}


def _asks_a_model(settings: Settings, *, named: bool) -> None:
    """A model that was named and would not be asked is a slip worth a word before anything is spent."""
    if named and not _models_are_asked(settings):
        raise UsageError(
            f"a model is named, but the planner {settings.planner} asks none", "Add --planner llm."
        )


def _about_models(settings: Settings) -> Iterator[str]:
    """Which models play which roles, and what is known of how well each plans."""
    if not _models_are_asked(settings):
        return
    from experimenter.loop.qualification import warning_for
    from experimenter.planners.llm.opening import models_of

    chosen = models_of(settings)
    for models in dict.fromkeys(chosen.values()):
        roles = ", ".join(role for role, names in chosen.items() if names == models)
        yield f"model: {', then '.join(map(str, models))} ({roles})"
    root = Path(settings.workspace).expanduser().absolute()
    for model in dict.fromkeys(name for models in chosen.values() for name in models):
        if words := warning_for(root, model):
            yield f"warning: {words}"


def _confirm_dollars(foreseen: Forecast, *, yes: bool) -> None:
    """Before anything is created, so that a no leaves nothing behind."""
    if not foreseen.dollars or yes:
        return
    words = (
        f"this run may cost about ${foreseen.dollars:.2f} for {foreseen.tokens:,} tokens of language models"
    )
    if not sys.stdin.isatty():
        raise UsageError(words, "Say --yes to agree.")
    if not typer.confirm(f"{words[0].upper()}{words[1:]}. Go on?", err=True):
        raise UsageError("not started, and nothing was created", "Limit the cost: --budget-dollars.")
