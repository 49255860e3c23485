"""``experimenter memory``: what was learned, found by meaning; carried to other workspaces, and forgotten."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from experimenter.cli.options import (
    AsJson,
    SetValues,
    WorkspaceFolder,
    open_workspace,
    parse_set,
    resolve,
    workspace_root,
)
from experimenter.errors import UsageError

if TYPE_CHECKING:
    from experimenter.loop.memory import Evidence
    from experimenter.records import MemoryItem, Recalled

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Look into what earlier runs learned: lessons, skills, methods.")

Kind = Literal["lesson", "skill", "method"]
OfKind = Annotated[Kind | None, typer.Option("--kind", help="Only lessons, skills or methods.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many at most.")]
ItemId = Annotated[str, typer.Argument(metavar="ID", help="An item's id, as list and search print it.")]
UsedEmbedder = Annotated[
    str | None,
    typer.Option("--embedder", help="hash, minilm, openai:MODEL, ollama:MODEL.", show_default="hash"),
]


@app.command("search")
def search(
    words: Annotated[str, typer.Argument(help="What you look for, in your own words.")],
    env: Annotated[str | None, typer.Option("--env", help="Prefer what was learned near it.")] = None,
    set_values: SetValues = None,
    kind: OfKind = None,
    limit: Limit = 10,
    embedder: UsedEmbedder = None,
    workspace: WorkspaceFolder = None,
    as_json: AsJson = False,
) -> None:
    """Find lessons, skills and methods by meaning, nearness of environment and evidence."""
    from experimenter.cli.console import print_json
    from experimenter.loop import memory
    from experimenter.records import EnvSpec

    if set_values and env is None:
        raise UsageError("--set describes an environment, and none is named.", "Add --env ID.")
    place = EnvSpec(id=env, kwargs=parse_set(set_values)) if env else None
    with open_workspace(workspace) as store:
        settings = resolve(embedder=embedder)
        found = memory.search(store, settings, words, place, kinds=_kinds(kind), limit=limit)
    if as_json:
        print_json([_found_facts(one) for one in found])
    else:
        _show_found(found)


@app.command("list")
def list_items(kind: OfKind = None, workspace: WorkspaceFolder = None, as_json: AsJson = False) -> None:
    """List everything that memory can find, with the weight of its evidence."""
    from experimenter.cli.console import print_json, say
    from experimenter.loop import memory

    with open_workspace(workspace) as store:
        items = memory.items(store, _kinds(kind))
    if as_json:
        print_json([_item_facts(item) for item in items])
        return
    for item in items:
        where = item.spec.id if item.spec else "any environment"
        _print_item(item, f"weight {item.weight:.2f} · {where}")
    if not items:
        say("Nothing was learned yet. A run leaves lessons, unless it has --memory off or read.")


@app.command("show")
def show(item: ItemId, workspace: WorkspaceFolder = None, as_json: AsJson = False) -> None:
    """Show one item with all of its evidence."""
    from experimenter.cli.console import print_json, screen
    from experimenter.loop import memory
    from experimenter.report.text import safe_text

    with open_workspace(workspace) as store:
        found = memory.find(store, item)
        facts = _item_facts(found) | _record_facts(memory.evidence(store, found))
    if as_json:
        print_json(facts)
        return
    out = screen()
    out.print(f"{safe_text(found.id)} · weight {found.weight:.2f}\n{safe_text(found.text, lines=True)}")
    for line in _evidence(facts):
        out.print(safe_text(line))


@app.command("reindex")
def reindex(
    embedder: UsedEmbedder = None, workspace: WorkspaceFolder = None, as_json: AsJson = False
) -> None:
    """Make every vector and the index anew: after a change of embedder, or when something is damaged."""
    import time

    from experimenter.cli.console import print_json, say
    from experimenter.loop import memory

    with open_workspace(workspace) as store:
        settings = resolve(embedder=embedder)
        began = time.perf_counter()
        count = memory.reindex(store, settings)
        seconds = round(time.perf_counter() - began, 3)
    if as_json:
        print_json({"items": count, "embedder": settings.embedder, "seconds": seconds})
    else:
        say(f"{count} item{'s' if count != 1 else ''} embedded by {settings.embedder} in {seconds:.1f} s.")


@app.command("export")
def export(
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Write there, and not on stdout.")
    ] = None,
    workspace: WorkspaceFolder = None,
    as_json: AsJson = False,
) -> None:
    """Write every lesson with its testimonies as one line of JSON (docs/memory.md has the format)."""
    import sys

    from experimenter.cli.console import print_json, say
    from experimenter.loop import memory

    if as_json and output is None:
        raise UsageError(
            "--json reports on a file, and the lines themselves go to stdout.", "Add --output FILE."
        )
    with open_workspace(workspace) as store:
        if output is None:
            sys.stdout.buffer.write("".join(f"{line}\n" for line in memory.lines(store)).encode())
            sys.stdout.flush()
            return
        count = memory.export_lessons(store, output)
    if as_json:
        print_json({"lessons": count, "file": str(output.absolute())})
    else:
        say(f"{count} lesson{'s' if count != 1 else ''} written to {output}.")


@app.command("import")
def import_lessons(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What memory export wrote.")],
    workspace: WorkspaceFolder = None,
    as_json: AsJson = False,
) -> None:
    """Take in lessons of another workspace: all of the file, or nothing where a line is refused."""
    from experimenter.cli.console import print_json, say
    from experimenter.loop import memory

    taken = memory.import_lessons(workspace_root(workspace), file)
    if as_json:
        print_json({"lines": taken.lines, "new_lessons": taken.new_lessons, "changes": taken.changes})
    else:
        say(f"{taken.new_lessons} of {taken.lessons} lessons are new here.")


@app.command("forget")
def forget(item: ItemId, workspace: WorkspaceFolder = None, as_json: AsJson = False) -> None:
    """Forget a lesson or a skill's record, with its testimonies and vectors."""
    from experimenter.cli.console import print_json, say
    from experimenter.loop import memory

    with open_workspace(workspace) as store:
        found = memory.forget(store, item)
    if as_json:
        print_json({"forgotten": found.id})
        return
    say(f"Forgotten: {found.id}.")
    if found.kind == "skill":
        say(
            f"Its folder is still there; remove it with: experimenter skills remove {found.id.partition(':')[2]}"
        )


def _kinds(kind: Kind | None) -> tuple[str, ...]:
    from experimenter.loop.memory import KINDS

    return KINDS if kind is None else (kind,)


def _item_facts(item: MemoryItem) -> dict[str, Any]:
    return item.model_dump(mode="json", exclude={"v"})


def _found_facts(found: Recalled) -> dict[str, Any]:
    figures = {"score": found.score, "meaning": found.meaning, "nearness": found.nearness}
    return _item_facts(found.item) | figures


def _record_facts(found: Evidence) -> dict[str, Any]:
    """The record behind an item, and for a lesson what was testified about it."""
    if found.lesson is not None:
        told = [one.model_dump(mode="json") for one in found.testimonies]
        return {"lesson": found.lesson.model_dump(mode="json"), "testimonies": told}
    if found.skill is not None:
        return {"skill": found.skill.model_dump(mode="json")}
    return {} if found.method is None else {"method": found.method.model_dump(mode="json")}


def _evidence(facts: dict[str, Any]) -> list[str]:
    """What the item rests on, a sentence each."""
    lesson, skill, method = facts.get("lesson"), facts.get("skill"), facts.get("method")
    if lesson:
        lines = [f"learned in {lesson['environment']} by {lesson['lever']}: {', '.join(lesson['trials'])}"]
        if lesson["interval"]:
            lines.append(f"confirmed: {_interval(lesson['interval'])}")
        for one in facts["testimonies"]:
            verb = "agrees" if one["agrees"] else "contradicts"
            lines.append(f"{one['trial']} {verb} (effect {one['effect']:+.4g})")
        return lines
    if skill:
        return [f"true score {_interval(skill['score'])}", f"from {skill['run']}/{skill['trial']}"]
    return [f"hook {method['hook']}"] if method else []


def _interval(told: dict[str, Any]) -> str:
    return f"{told['iqm']:.4g} ({told['low']:.4g} to {told['high']:.4g}, {told['seeds']} seeds)"


def _show_found(found: tuple[Recalled, ...]) -> None:
    from experimenter.cli.console import say

    for one in found:
        explained = f"meaning {one.meaning:.2f}, near {one.nearness:.2f}, weight {one.item.weight:.2f}"
        _print_item(one.item, f"score {one.score:.2f} · {explained}")
    if not found:
        say("Nothing fits. Try other words, or see everything with: experimenter memory list")


def _print_item(item: MemoryItem, figures: str) -> None:
    """A line with its id and figures, and its text below: a column of text would be narrow beside an id."""
    from rich.padding import Padding
    from rich.text import Text

    from experimenter.cli.console import screen
    from experimenter.report.text import clip, safe_text

    out = screen()
    out.print(Text.assemble((safe_text(item.id), "bold"), "  ", (safe_text(figures), "dim")))
    out.print(Padding(Text(clip(item.text, 200)), (0, 0, 1, 2)))
