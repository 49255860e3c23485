"""``list``, ``show``, ``report`` and ``watch``: looking at runs, whoever started them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from experimenter.cli.choices import Events
from experimenter.cli.options import AsJson, RunName, WorkspaceFolder, open_workspace, workspace_root
from experimenter.report.text import clip, safe_text

if TYPE_CHECKING:
    from experimenter.workspace.records import RunRecord
    from experimenter.workspace.store import Workspace

__all__ = ["list_runs", "report", "show", "status_of", "watch"]


def status_of(store: Workspace, record: RunRecord) -> str:
    """The run's status; ``interrupted`` when it says running or paused but no process holds it any more."""
    from experimenter.workspace.locks import RunLock

    alive = (
        record.status not in ("running", "paused")
        or RunLock(store.run_folder(record.id)).holder() is not None
    )
    return record.status if alive else "interrupted"


def list_runs(workspace: WorkspaceFolder = None, as_json: AsJson = False) -> None:
    """List the workspace's runs, newest first."""
    from experimenter.cli.console import print_json, say, screen
    from experimenter.cli.tables import plain_table
    from experimenter.loop.results import own_runs
    from experimenter.report.lines import number

    with open_workspace(workspace) as store:
        rows = [_run_facts(store, record) for record in own_runs(store)]
    if as_json:
        print_json(rows)
        return
    right = ("trials", "steps")
    table = plain_table("run", "status", "environment", "wish", *right, "created", right=right)
    for row in rows:
        words = [clip(row[key], 40) for key in ("run", "status", "environment", "wish")]
        table.add_row(*words, str(row["trials"]), number(row["ledger"]["env_steps"]), row["created"][:16])
    screen().print(table)
    if not rows:
        say('No run yet. Start one with: experimenter run "your wish" --env CartPole-v1')


def _run_facts(store: Workspace, record: RunRecord) -> dict[str, Any]:
    goal = record.goal
    return {
        "run": record.id,
        "status": status_of(store, record),
        "environment": goal.environment.id,
        "wish": goal.wish,
        "created": record.created,
        "trials": len(store.trials(record.id)),
        "ledger": store.ledger(record.id).model_dump(mode="json", exclude={"v"}),
    }


def show(
    what: Annotated[str, typer.Argument(metavar="RUN[/TRIAL]", help="A run, or one of its trials.")],
    workspace: WorkspaceFolder = None,
    as_json: AsJson = False,
) -> None:
    """Show a run's trials, or one trial with its candidates and programs."""
    from experimenter.cli.console import print_json, screen
    from experimenter.cli.trial import trial_view

    with open_workspace(workspace) as store:
        if "/" in what:
            trial = store.find_trial(what)
            if as_json:
                print_json(trial.model_dump(mode="json"))
            else:
                screen().print(trial_view(trial))
            return
        record = store.run(what)
        _show_run(store, record, as_json=as_json)


def _show_run(store: Workspace, record: RunRecord, *, as_json: bool) -> None:
    from experimenter.cli.console import print_json, screen
    from experimenter.cli.tables import spent_words, trials_table, verdict_panel
    from experimenter.report.planned import short_words
    from experimenter.report.planning import planning
    from experimenter.report.success import success_line
    from experimenter.results import RunResult

    trials, ledger = store.trials(record.id), store.ledger(record.id)
    stored = store.document(record.id, "result")
    planned = planning(store.exchanges(record.id), trials)
    if as_json:
        shown = [trial.model_dump(mode="json") for trial in trials]
        told = None if planned is None else planned.model_dump(mode="json")
        print_json(_run_facts(store, record) | {"planning": told, "result": stored, "trials": shown})
        return
    out = screen()
    goal = record.goal
    out.print(
        f"{record.id} · {status_of(store, record)} · {safe_text(goal.wish)} · {safe_text(goal.environment.id)}"
    )
    out.print(f"spent {spent_words(ledger, goal.budget)}")
    if record.error:
        out.print(f"error: {safe_text(record.error)}\n→ {safe_text(record.hint)}")
    out.print(trials_table(trials) if trials else "no trial has ended yet")
    if stored is not None:
        out.print(verdict_panel(RunResult.model_validate(stored), store.root))
    if line := success_line(store.documents(record.id)):
        out.print(safe_text(line))
    if planned is not None and (stored is None or "planning" not in stored):
        out.print("\n".join(map(safe_text, short_words(planned))))


def report(
    run_id: RunName = "latest",
    format_: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help="Which to show: html, md, card, or all.")
    ] = "html",
    films: Annotated[
        bool, typer.Option("--films", help="First film the winner and the native control.")
    ] = False,
    open_: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Write a copy there.")
    ] = None,
    workspace: WorkspaceFolder = None,
    as_json: AsJson = False,
) -> None:
    """Write a run's report (a page that opens offline, Markdown, and a model card) and say where it is."""
    from experimenter.cli.console import print_json
    from experimenter.cli.reporting import copy_report, film_words, report_facts, wanted_reports
    from experimenter.report import write_reports

    wanted = wanted_reports(format_, output)
    with open_workspace(workspace) as store:
        record = store.run(run_id)
        notes = film_words(store, record.id) if films else []
        written = write_reports(store, record.id)
    shown = copy_report(written, wanted, output)
    if as_json:
        print_json({"run": record.id, **report_facts(written, shown, output), "films": notes})
    else:
        for path in shown:
            print(path)
    if open_:
        typer.launch(shown[0].as_uri())


def watch(
    run_id: RunName = "latest",
    workspace: WorkspaceFolder = None,
    as_json: AsJson = False,
    events: Events = False,
) -> int:
    """Follow a run that goes on, from its beginning to its end. Ctrl-C asks it to stop."""
    from experimenter.cli.following import conclude, follow_run

    root = workspace_root(workspace)
    with open_workspace(workspace) as store:
        name = store.run(run_id).id
    result = follow_run(root, name, events=events)
    return conclude(result, root, as_json=as_json, events=events)
