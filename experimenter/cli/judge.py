"""``experimenter judge``: the frozen judge on a kept policy, in a process that holds no generated code."""

from __future__ import annotations

from typing import Annotated

import typer

from experimenter.cli.options import AsJson, Seed, WorkspaceFolder, open_workspace, workspace_root
from experimenter.report.text import safe_text

__all__ = ["judge"]


def judge(
    what: Annotated[
        str, typer.Argument(metavar="TRIAL|SKILL", help="RUN/TRIAL, a unique trial, or a skill.")
    ],
    env: Annotated[str, typer.Option("--env", metavar="ID", help="The environment to judge it in.")],
    episodes: Annotated[int, typer.Option(min=1, max=100_000, help="One episode per held-out seed.")] = 20,
    seed: Seed = 0,
    workspace: WorkspaceFolder = None,
    as_json: AsJson = False,
) -> None:
    """Judge a kept policy by the environment's own measure, on fresh episodes."""
    from experimenter.cli.console import print_json, screen
    from experimenter.loop.rejudge import judge_policy
    from experimenter.report.lines import number, percent

    open_workspace(workspace).close()
    found = judge_policy(workspace_root(workspace), what, env, episodes, seed)
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    scores = sorted(float(score) for score in found.scores)
    out = screen()
    out.print(f"{safe_text(what)} on {safe_text(env)}: mean true return {number(found.mean)}", style="bold")
    out.print(
        f"{len(scores)} episodes, from {number(scores[0])} to {number(scores[-1])}, acting by {found.action_mode}"
    )
    out.print(f"success {percent(found.success_rate)} · judge: {safe_text(found.judge)}")
