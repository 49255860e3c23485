"""``experimenter skills``: certified policies of a workspace, to look at, judge, play, carry about and remove."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from experimenter.cli.options import AsJson, Seed, WorkspaceFolder, workspace_root
from experimenter.cli.skill_views import (
    facts,
    print_judged,
    reads,
    score_words,
    success_words,
    summary,
    weight,
)
from experimenter.report.text import clip, safe_text

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True, help="List, judge, play, export, import and remove certified policies."
)

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="The skill's name, as in: experimenter skills list.")
]
Episodes = Annotated[int, typer.Option(min=1, max=100_000, help="One episode per held-out seed.")]


@app.command("list")
def list_skills(workspace: WorkspaceFolder = None, as_json: AsJson = False) -> None:
    """List the skills of the workspace, the most reliable first."""
    from experimenter.cli.console import print_json, say, screen
    from experimenter.cli.tables import plain_table
    from experimenter.loop import skills

    found = skills.shelf(workspace_root(workspace))
    if as_json:
        damaged = {name: error.message for name, error in found.damaged.items()}
        print_json({"skills": [summary(skill) for skill in found.skills], "damaged": damaged})
        return
    table = plain_table("skill", "environment", "true score", "success", "relied on", right=("relied on",))
    for skill in found.skills:
        row = (score_words(skill.score), success_words(skill), f"{weight(skill):.2f}")
        table.add_row(skill.name, safe_text(skill.environment.id), *row)
    if found.skills:
        screen().print(table)
    elif not found.damaged:
        say(
            "No skills yet. A run that confirms a winner keeps one; or bring one in with: experimenter skills import"
        )
    for name, error in found.damaged.items():
        say(f"{name} is damaged: {error.message} {error.hint}")


@app.command("show")
def show(name: Name, workspace: WorkspaceFolder = None, as_json: AsJson = False) -> None:
    """Show a skill's certificate: what it is for, the evidence, where it came from."""
    from rich.table import Table

    from experimenter.cli.console import print_json, screen
    from experimenter.loop import skills

    skill, folder = skills.load(name, workspace_root(workspace))
    if as_json:
        told = {"weight": weight(skill), "folder": str(folder)}
        print_json({**skill.model_dump(mode="json"), **told})
        return
    out, grid = screen(), Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for what, words in facts(skill):
        grid.add_row(what, safe_text(words))
    out.print(safe_text(skill.name), style="bold")
    out.print(clip(skill.description, 1_000))
    out.print(grid)
    if skill.reward is not None:
        out.print(f"\nReward program {safe_text(skill.reward.name)}", style="bold")
        out.print(safe_text(skill.reward.source, lines=True))
    out.print(f"\n{folder / 'SKILL.md'}", style="dim", soft_wrap=True)


@app.command("judge")
def judge(
    name: Name,
    episodes: Episodes = 20,
    seed: Seed = 0,
    recertify: Annotated[
        bool, typer.Option("--recertify", help="Judge on fresh episodes and write a new certificate.")
    ] = False,
    workspace: WorkspaceFolder = None,
    as_json: AsJson = False,
) -> None:
    """Judge a skill by the frozen judge, after asking whether its environment is still the same."""
    from experimenter.cli.console import print_json, say
    from experimenter.loop import skills

    root = workspace_root(workspace)
    found = (skills.recertify if recertify else skills.judge_skill)(root, name, episodes, seed)
    if as_json:
        changed = [change.model_dump(mode="json") for change in found.changes]
        told = {"skill": name, "changes": changed, "recertified": found.skill.recertified}
        print_json({**told, "evaluation": found.evaluation.model_dump(mode="json")})
        return
    for change in found.changes:
        say(f"changed since its certificate ({change.part}): {change.words}")
    if found.skill.fingerprint is None:
        say("It was kept without a fingerprint, so nobody can tell whether its environment changed.")
    print_judged(found, recertify)


@app.command("play")
def play(
    name: Name,
    gif: Annotated[Path | None, typer.Option("--gif", metavar="FILE", help="Write a GIF.")] = None,
    mp4: Annotated[
        Path | None, typer.Option("--mp4", metavar="FILE", help="Write an MP4 (extra: video).")
    ] = None,
    window: Annotated[bool, typer.Option("--window", help="Show it in a window.")] = False,
    terminal: Annotated[bool, typer.Option("--terminal", help="Show it in the terminal.")] = False,
    text: Annotated[bool, typer.Option("--text", help="Tell it step by step, in words.")] = False,
    episodes: Annotated[int, typer.Option(min=1, max=100, help="How many episodes.")] = 1,
    seed: Seed = 0,
    workspace: WorkspaceFolder = None,
    as_json: AsJson = False,
) -> None:
    """Watch a skill act: in the terminal, in a window, as GIF or MP4, or step by step in words."""
    from experimenter.cli.playing import Wanted, play_skill

    wanted = Wanted(gif, mp4, window, terminal, text, as_json)
    play_skill(workspace_root(workspace), name, episodes, seed, wanted)


@app.command("export")
def export(
    name: Name,
    destination: Annotated[
        Path, typer.Argument(metavar="DEST", help="A folder, or a .zip, .onnx or .pt file.")
    ],
    form: Annotated[
        str | None,
        typer.Option("--format", help="folder, zip, onnx or torchscript; by default DEST's ending says."),
    ] = None,
    workspace: WorkspaceFolder = None,
    as_json: AsJson = False,
) -> None:
    """Copy a skill out: whole, or its policy alone as ONNX or TorchScript, checked to act identically."""
    from experimenter.cli.console import print_json, screen
    from experimenter.loop import skills

    root, chosen = workspace_root(workspace), skills.form_of(destination, form)
    if chosen in ("folder", "zip"):
        told: dict[str, Any] = {"path": str(skills.pack(root, name, destination)), "format": chosen}
    else:
        told = {"path": str(destination), "format": chosen, **skills.convert(root, name, chosen, destination)}
    if as_json:
        print_json({"skill": name, **told})
        return
    screen().print(f"wrote {safe_text(told['path'])}", soft_wrap=True)
    if "difference" in told:
        screen().print(
            f"It acts as the policy does: numbers differ by at most {told['difference']:.1e} on "
            f"{told['observations']:,} observations. It reads {reads(told['reads'])}."
        )


@app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="A skill's folder, or its .zip file.")],
    name: Annotated[str | None, typer.Option("--name", help="Keep it under another name.")] = None,
    workspace: WorkspaceFolder = None,
    as_json: AsJson = False,
) -> None:
    """Take in a skill that was exported elsewhere; its policy is verified, its figures are its author's."""
    from experimenter.cli.console import print_json, screen
    from experimenter.loop import skills

    skill = skills.unpack(workspace_root(workspace), source, name)
    if as_json:
        print_json(summary(skill))
        return
    screen().print(
        f"{skill.name} is kept. Its policy has the promised hash; its figures are its author's claim."
    )
    screen().print(f"Check them with: experimenter skills judge {skill.name}")


@app.command("remove")
def remove(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    workspace: WorkspaceFolder = None,
    as_json: AsJson = False,
) -> None:
    """Remove a skill: its folder, and what memory knows of it. This cannot be undone."""
    import sys

    from experimenter.cli.console import print_json, say
    from experimenter.errors import NotFound, UsageError, WorkspaceError
    from experimenter.loop import skills

    root = workspace_root(workspace)
    if not yes:
        try:
            skills.load(name, root)
        except NotFound:
            raise
        except WorkspaceError as error:
            say(error.message)
        if as_json or not sys.stdin.isatty():
            raise UsageError(f"Removing {name} cannot be undone.", "Say that you mean it, with --yes.")
        typer.confirm(f"Remove the skill {safe_text(name)}?", abort=True)
    skills.remove(root, name)
    if as_json:
        print_json({"removed": name})
    else:
        say(f"{name} is removed.")
