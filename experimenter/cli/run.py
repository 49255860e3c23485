"""``experimenter run`` and ``resume``: start a run, or go on with one, and watch it to its end."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from experimenter.cli.console import say
from experimenter.cli.options import (
    AsJson,
    Seed,
    SetValues,
    WorkspaceFolder,
    check_name,
    open_workspace,
    parse_set,
    resolve,
    workspace_root,
)
from experimenter.errors import UsageError

if TYPE_CHECKING:
    from experimenter.config import Settings
    from experimenter.loop.launch import Prepared
    from experimenter.records import Budget

__all__ = ["resume", "run"]

BudgetSteps = Annotated[
    int | None, typer.Option("--budget-steps", help="Learning steps in all: search, discards, confirmation.")
]
BudgetSeconds = Annotated[float | None, typer.Option("--budget-seconds", help="Active seconds.")]
BudgetTokens = Annotated[int | None, typer.Option("--budget-tokens", help="Tokens of a language model.")]
BudgetDollars = Annotated[
    float | None, typer.Option("--budget-dollars", help="Dollars for a language model.")
]
Events = Annotated[bool, typer.Option("--events", help="Print every event as a JSON line on stdout.")]
Detach = Annotated[bool, typer.Option("--detach", help="Return at once; follow later with 'watch'.")]


def run(
    wish: Annotated[str, typer.Argument(metavar="WISH", help="What you want, in a sentence.")],
    env: Annotated[str, typer.Option("--env", metavar="ID", help="A Gymnasium id, or module:Id.")],
    set_: SetValues = None,
    budget_steps: BudgetSteps = None,
    budget_seconds: BudgetSeconds = None,
    budget_tokens: BudgetTokens = None,
    budget_dollars: BudgetDollars = None,
    seed: Seed = 0,
    judge: Annotated[
        str | None, typer.Option(help="What success is: return>=N, length>=N, info:KEY, or return.")
    ] = None,
    target: Annotated[float | None, typer.Option(help="The true score (IQM) that counts as solved.")] = None,
    controls: Annotated[
        str | None,
        typer.Option(help="Arms to compare with: none, native, random or all.", show_default="native"),
    ] = None,
    confirm_seeds: Annotated[
        int | None, typer.Option(help="Fresh training seeds that confirm the winner.", show_default="5")
    ] = None,
    planner: Annotated[
        str | None, typer.Option(help="Who answers the questions.", show_default="search")
    ] = None,
    curriculum: Annotated[
        str | None, typer.Option(help="What decides what to try next.", show_default="auto")
    ] = None,
    workspace: WorkspaceFolder = None,
    name: Annotated[
        str | None, typer.Option(help="The run's name; made from the wish when left out.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Worker processes.", show_default="cores, at most 4")
    ] = None,
    memory: Annotated[
        str | None, typer.Option(help="Lessons of earlier runs: off, read or on.", show_default="on")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before spending dollars.")] = False,
    as_json: AsJson = False,
    events: Events = False,
    detach: Detach = False,
    allow_unsandboxed: Annotated[
        bool,
        typer.Option(
            "--allow-unsandboxed",
            help="Run generated code even where the kernel cannot contain it. Dangerous.",
        ),
    ] = False,
) -> int:
    """Pursue a wish in an environment: search, train, judge, and end with an honest verdict."""
    _one_of(as_json, events)
    kwargs, run_id = parse_set(set_), check_name(name)
    settings = resolve(
        workspace=workspace,
        planner=planner,
        curriculum=curriculum,
        controls=controls,
        confirm_seeds=confirm_seeds,
        workers=workers,
        memory=memory,
        budget_steps=budget_steps,
        budget_seconds=budget_seconds,
        budget_tokens=budget_tokens,
        budget_dollars=budget_dollars,
        allow_unsandboxed=allow_unsandboxed or None,
    )
    from experimenter.loop import launch

    prepared = launch.prepare(
        wish,
        env,
        kwargs,
        settings,
        judge=judge,
        target=target,
        seed=seed,
        run_id=run_id,
        command=tuple(sys.argv),
    )
    _announce(prepared, settings)
    _confirm_dollars(prepared, yes=yes)
    root = Path(settings.workspace).expanduser().absolute()
    return _go(root, prepared.record.id, as_json=as_json, events=events, detach=detach)


def resume(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="A run's name, its beginning, or 'latest'.")],
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
    _one_of(as_json, events)
    with open_workspace(workspace) as store:
        record = store.run(run_id)
        budget = _raised(record.goal.budget, budget_steps, budget_seconds, budget_tokens, budget_dollars)
        if budget is not None:
            store.raise_budget(record.id, budget)
        seen = max((event.seq for event in store.events(record.id)), default=0)
    say(f"going on with {record.id}: {record.goal.wish}")
    root = workspace_root(workspace)
    return _go(root, record.id, as_json=as_json, events=events, detach=detach, after=seen)


def _one_of(as_json: bool, events: bool) -> None:
    if as_json and events:
        raise UsageError(
            "--json and --events exclude each other", "Keep one: an object at the end, or lines."
        )


def _raised(
    old: Budget, steps: int | None, seconds: float | None, tokens: int | None, dollars: float | None
) -> Budget | None:
    given = {"env_steps": steps, "seconds": seconds, "tokens": tokens, "dollars": dollars}
    changes = {key: value for key, value in given.items() if value is not None}
    return old.model_copy(update=changes) if changes else None


def _go(root: Path, run_id: str, *, as_json: bool, events: bool, detach: bool, after: int = 0) -> int:
    from experimenter.cli.following import conclude, follow_run
    from experimenter.loop import launch

    launch.start(root, run_id)
    if detach:
        return _left_running(root, run_id, as_json=as_json)
    result = follow_run(root, run_id, events=events, after=after)
    return conclude(result, root, as_json=as_json, events=events)


def _left_running(root: Path, run_id: str, *, as_json: bool) -> int:
    from experimenter.cli.console import print_json
    from experimenter.loop import launch

    say(f"run {run_id} goes on by itself; follow it with: experimenter watch {run_id}")
    if as_json:
        print_json(launch.result(root, run_id).model_dump(mode="json"))
    return 0


def _announce(prepared: Prepared, settings: Settings) -> None:
    """Planner, judge, containment and forecast, in a few lines on stderr."""
    from experimenter.plugins import load
    from experimenter.report.forecast import forecast_words
    from experimenter.sandbox.level import containment

    record = prepared.record
    say(f"run {record.id}: {record.goal.wish} · {record.goal.environment.id} · seed {record.goal.seed}")
    say(f"planner: {load('planners', record.planner).notice}")
    say(f"judge: {prepared.card.judge.words}")
    level = containment()
    say(f"containment: {level.level}. {level.words}")
    say(f"forecast: {forecast_words(prepared.forecast)}")


def _confirm_dollars(prepared: Prepared, *, yes: bool) -> None:
    dollars = prepared.forecast.dollars
    if not dollars or yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"this run may cost about ${dollars:.2f}", "Say --yes to agree.")
    if not typer.confirm(f"This run may cost about ${dollars:.2f}. Go on?", err=True):
        raise UsageError("not started", f"Start it later with: experimenter resume {prepared.record.id}")
