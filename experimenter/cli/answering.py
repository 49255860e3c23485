"""``answer``: a person, or a program at the end of a pipe, answers the question that a run waits for."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from experimenter.cli.options import AsJson, RunName, WorkspaceFolder, open_workspace
from experimenter.errors import NotFound, UsageError

if TYPE_CHECKING:
    from experimenter.planners.manual.folder import Place
    from experimenter.workspace.records import RunRecord

__all__ = ["answer"]

FromFile = Annotated[Path | None, typer.Option("--file", metavar="FILE", help="Take the answer from a file.")]
FromEditor = Annotated[bool, typer.Option("--editor", help="Write it in $VISUAL or $EDITOR.")]
FromInput = Annotated[bool, typer.Option("--paste", help="Read it from the standard input, to its end.")]
Refuse = Annotated[
    str | None, typer.Option("--refuse", metavar="WHY", help="Leave the question to somebody else.")
]
Number = Annotated[
    int | None, typer.Option("--question", metavar="N", help="Which question.", show_default="the newest")
]
Force = Annotated[bool, typer.Option("--force", help="Send it even if it does not look like an answer.")]
ListOpen = Annotated[bool, typer.Option("--list", help="Only show the questions that are open.")]


@dataclass(frozen=True, slots=True)
class _Run:
    """The run whose questions are meant, and what is said of it."""

    name: str
    status: str
    planner: str
    folder: Path


def answer(
    run_id: RunName = "latest",
    file: FromFile = None,
    editor: FromEditor = False,
    paste: FromInput = False,
    refuse: Refuse = None,
    question: Number = None,
    force: Force = False,
    list_: ListOpen = False,
    workspace: WorkspaceFolder = None,
    as_json: AsJson = False,
) -> None:
    """Answer the question that a run of the manual planner waits for. The run checks the answer, and asks again."""
    run = _found(workspace, run_id)
    way = _way(file, editor=editor, paste=paste, refuse=refuse)
    if list_:
        if way:
            raise UsageError(f"--list only shows, and --{way} answers", "Leave one of them out.")
        _show(run, as_json=as_json)
        return
    from experimenter.cli.writing import kept, looked_over

    place = _chosen(run, question)
    way = way or _asked(run, place, as_json=as_json)
    page = place.page.read_text(encoding="utf-8")
    text = _text(way, page, file, refuse)
    with kept(text if way == "editor" or (way == "paste" and sys.stdin.isatty()) else ""):
        _leave(run, place, looked_over(text, page, force=force), as_json=as_json)


def _found(workspace: Path | None, run_id: str) -> _Run:
    from experimenter.cli.runs import status_of
    from experimenter.planners.manual.planner import FOLDER

    with open_workspace(workspace) as store:
        record: RunRecord = store.run(run_id)
        folder = store.run_folder(record.id) / FOLDER
        return _Run(record.id, status_of(store, record), record.planner, folder)


def _way(file: Path | None, *, editor: bool, paste: bool, refuse: str | None) -> str:
    given = {"file": file is not None, "editor": editor, "paste": paste, "refuse": refuse is not None}
    ways = [way for way, wanted in given.items() if wanted]
    if len(ways) > 1:
        named = " and ".join(f"--{way}" for way in ways)
        raise UsageError(f"{named} exclude each other", "One of them says where the answer is.")
    return ways[0] if ways else ""


def _open(run: _Run) -> list[Place]:
    """Questions without an answer that the run could take, the oldest first."""
    from experimenter.planners.manual.folder import places

    return [place for place in places(run.folder) if _state(place)[0] in ("open", "unusable")]


def _state(place: Place) -> tuple[str, str]:
    """``open``, ``unusable`` (with the reason), ``answered`` or ``taken``."""
    if place.done.exists():
        return "taken", ""
    found = place.look()
    if found is None:
        return "open", ""
    return ("unusable", f"{found.file.name}: {found.wrong}") if found.wrong else ("answered", "")


def _chosen(run: _Run, number: int | None) -> Place:
    """The newest open question, or the one of that number. Raises NotFound, with what to do instead."""
    from experimenter.planners.manual.folder import check_open, places

    if number is not None:
        for place in places(run.folder):
            if place.number == number:
                check_open(place)
                return place
        raise NotFound(
            f"run {run.name} has no question {number}", "See them with: experimenter answer --list"
        )
    waiting = _open(run)
    if not waiting:
        raise NotFound(f"no question of run {run.name} is open", _instead(run))
    return waiting[-1]


def _instead(run: _Run) -> str:
    if run.status in ("running", "paused"):
        return f"It may ask later; see with: experimenter watch {run.name}"
    if run.status == "finished":
        return "It has finished. Start a run that asks you with: experimenter run ... --planner manual"
    return f"It is {run.status}; go on with: experimenter resume {run.name}"


def _asked(run: _Run, place: Place, *, as_json: bool) -> str:
    """Which way the person wants to answer; without a terminal there is nobody to ask."""
    from experimenter.cli.console import say

    if as_json or not sys.stdin.isatty():
        raise UsageError(
            f"nothing says where the answer to {place.page} is",
            "Give --file FILE, --refuse WHY, or pipe it in with --paste; --list shows what is open.",
        )
    say(f"question {place.number} of run {run.name} ({place.kind}): {place.page}")
    ways = {"e": "editor", "p": "paste", "f": "file", "r": "refuse"}
    said = str(typer.prompt("Answer in the [e]ditor, [p]aste it, from a [f]ile, or [r]efuse", "e", err=True))
    way = ways.get(said.strip().lower()[:1])
    if way is None:
        raise UsageError(f"'{said}' is none of them", "Type e, p, f or r.")
    return way


def _text(way: str, page: str, file: Path | None, refuse: str | None) -> str:
    """The answer's text, from wherever it comes."""
    from experimenter.cli.writing import in_editor, pasted, read_file

    if way == "refuse":
        why = refuse if refuse is not None else str(typer.prompt("Why", err=True))
        return f"refuse: {' '.join(why.split()) or 'no reason was given'}\n"
    if way == "file":
        return read_file(file or Path(str(typer.prompt("Which file", err=True))).expanduser())
    return pasted() if way == "paste" else in_editor(page)


def _leave(run: _Run, place: Place, text: str, *, as_json: bool) -> None:
    from experimenter.cli.console import print_json, say
    from experimenter.planners.manual.folder import leave

    written = leave(place, text)
    if run.status == "running":
        words = f"question {place.number} is answered; run {run.name} takes it within seconds"
    elif run.status == "paused":
        words = f"the answer is kept; run {run.name} is paused, go on with: experimenter unpause {run.name}"
    elif run.status == "finished":
        words = f"the answer is kept, but run {run.name} has finished, and takes it only if it is resumed with more"
    else:
        words = (
            f"the answer is kept; run {run.name} is {run.status}, go on with: experimenter resume {run.name}"
        )
    if as_json:
        print_json(
            {**_facts(place), "run": run.name, "status": run.status, "answer": str(written), "words": words}
        )
    else:
        say(words)


def _facts(place: Place) -> dict[str, Any]:
    state, why = _state(place)
    facts = {"number": place.number, "kind": place.kind, "state": state, "path": str(place.page)}
    return facts | ({"why": why} if why else {})


def _show(run: _Run, *, as_json: bool) -> None:
    from experimenter.cli.console import print_json, say, screen
    from experimenter.cli.tables import plain_table
    from experimenter.report.text import safe_text

    rows = [_facts(place) for place in _open(run)]
    if as_json:
        print_json({"run": run.name, "status": run.status, "questions": rows})
        return
    if not rows:
        say(f"no question of run {run.name} is open. {_instead(run)}")
        return
    table = plain_table("question", "kind", "state", right=("question",))
    for row in rows:
        table.add_row(str(row["number"]), row["kind"], safe_text(row.get("why", row["state"])))
    screen().print(table)
    for row in rows:
        print(row["path"])
