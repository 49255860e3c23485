"""``stop``, ``pause``, ``unpause`` and ``budget``: ask something of a run that goes on in the background."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from experimenter.cli.options import (
    AsJson,
    RunName,
    WorkspaceFolder,
    given_limits,
    open_workspace,
    workspace_root,
)
from experimenter.errors import UsageError

if TYPE_CHECKING:
    from experimenter.loop.asking import Kind

__all__ = ["budget", "pause", "stop", "unpause"]

Steps = Annotated[int | None, typer.Option("--steps", help="Learning steps in all.")]
Seconds = Annotated[float | None, typer.Option("--seconds", help="Active seconds in all.")]
Tokens = Annotated[int | None, typer.Option("--tokens", help="Tokens of a language model in all.")]
Dollars = Annotated[float | None, typer.Option("--dollars", help="Dollars for a language model in all.")]


def stop(run_id: RunName, workspace: WorkspaceFolder = None, as_json: AsJson = False) -> None:
    """Ask a running run to keep what is finished and leave; 'resume' goes on with it."""
    _ask(workspace, run_id, "stop", as_json=as_json)


def pause(run_id: RunName, workspace: WorkspaceFolder = None, as_json: AsJson = False) -> None:
    """Let a running run wait, with its workers idle, until 'unpause'."""
    _ask(workspace, run_id, "pause", as_json=as_json)


def unpause(run_id: RunName, workspace: WorkspaceFolder = None, as_json: AsJson = False) -> None:
    """Let a paused run go on."""
    _ask(workspace, run_id, "resume", as_json=as_json)


def budget(
    run_id: RunName,
    steps: Steps = None,
    seconds: Seconds = None,
    tokens: Tokens = None,
    dollars: Dollars = None,
    workspace: WorkspaceFolder = None,
    as_json: AsJson = False,
) -> None:
    """Raise the budget of a running run; it counts once no trial or confirmation is under way."""
    limits = given_limits(steps, seconds, tokens, dollars)
    if not limits:
        raise UsageError(
            "no larger limit was given", f"For example: experimenter budget {run_id} --steps 2000000"
        )
    _ask(workspace, run_id, "budget", limits, as_json=as_json)


def _ask(
    folder: Path | None, run_id: str, kind: Kind, payload: dict[str, Any] | None = None, *, as_json: bool
) -> None:
    from experimenter.cli.console import print_json, say
    from experimenter.loop.asking import ask

    with open_workspace(folder) as store:
        name = store.run(run_id).id
    reply = ask(workspace_root(folder), name, kind, payload)
    if as_json:
        print_json(reply.model_dump(mode="json", exclude={"v"}))
    else:
        say(reply.words)
