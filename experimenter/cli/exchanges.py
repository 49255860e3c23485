"""``experimenter exchanges``: everything that a run asked, who answered it, and an archive to publish or replay."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from experimenter.cli.options import AsJson, RunName, WorkspaceFolder, open_workspace
from experimenter.errors import NotFound, UsageError
from experimenter.report.text import clip, safe_text

if TYPE_CHECKING:
    from experimenter.workspace.exchanges import Exchange
    from experimenter.workspace.store import Workspace

__all__ = ["exchanges"]


def exchanges(
    run_id: RunName = "latest",
    number: Annotated[
        int | None, typer.Option("--show", min=1, metavar="N", help="Print prompt and replies of the Nth.")
    ] = None,
    kind: Annotated[str | None, typer.Option(help="Only questions of this kind.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write an archive that --planner replay:FILE answers from."),
    ] = None,
    workspace: WorkspaceFolder = None,
    as_json: AsJson = False,
) -> None:
    """List what a run asked its planner; show one exchange in full; or write all of them into a file."""
    with open_workspace(workspace) as store:
        run = store.run(run_id).id
        if out is not None:
            if number is not None or kind is not None:
                raise UsageError("--out writes everything", "Leave --show and --kind out.")
            _write(store, run, out)
            return
        found = [one for one in store.exchanges(run) if kind in (None, one.kind)]
        _check_kind(kind, found)
        if number is not None:
            _show(store, run, _nth(found, number), as_json=as_json)
        else:
            _list(found, store.run(run).planner, as_json=as_json)


def _check_kind(kind: str | None, found: list[Exchange]) -> None:
    from experimenter.errors import did_you_mean
    from experimenter.planners.llm.route import KINDS

    if kind is not None and not found and kind not in KINDS:
        hint = did_you_mean(kind, KINDS) or f"There are {', '.join(KINDS)}."
        raise UsageError(f"there is no kind of question {kind!r}", hint)


def _nth(found: list[Exchange], number: int) -> Exchange:
    if number > len(found):
        raise NotFound(f"There is no exchange {number}.", f"There are {len(found)}.")
    return found[number - 1]


def _write(store: Workspace, run: str, out: Path) -> None:
    from experimenter.cli.console import say
    from experimenter.identity import canonical_json
    from experimenter.loop.replaying import archive_of
    from experimenter.workspace.files import write_atomic

    archive = archive_of(store, run)
    if not archive.exchanges:
        raise NotFound(f"The run {run} asked nothing.", "Choose another: experimenter list")
    write_atomic(out, canonical_json(archive))
    say(f"{len(archive.exchanges)} exchanges of {run} are in {out}; replay them with: --planner replay:{out}")


def _list(found: list[Exchange], planner: str, *, as_json: bool) -> None:
    from experimenter.cli.console import print_json, say, screen
    from experimenter.cli.tables import plain_table

    rows = [_facts(place, one, planner) for place, one in enumerate(found, start=1)]
    if as_json:
        print_json(rows)
        return
    right = ("#", "repairs", "tokens", "dollars")
    table = plain_table("#", "kind", "answered by", *right[1:], "answer", right=right)
    for row in rows:
        figures = [_told(row[key]) for key in ("repairs", "tokens", "dollars")]
        table.add_row(str(row["number"]), row["kind"], clip(row["by"], 40), *figures, clip(row["answer"], 60))
    screen().print(table)
    if not rows:
        say("Nothing was asked yet.")


def _told(value: Any) -> str:
    if value is None:
        return "unknown"
    return f"{value:.4f}" if isinstance(value, float) else f"{value:,}"


def _who(usage: dict[str, Any], planner: str) -> str:
    """Whose answer was used, and who was asked before, where that was somebody else."""
    by, models = str(usage.get("planner") or planner), " and ".join(map(str, usage.get("models") or ()))
    if by in ("search", "random") and models:
        return f"{by}, after {models}"
    return models or by


def _facts(place: int, one: Exchange, planner: str) -> dict[str, Any]:
    from experimenter.identity import canonical_json

    usage = one.usage if isinstance(one.usage, dict) else {}
    paid = bool(usage.get("calls"))
    tokens = [usage.get(name) for name in ("input_tokens", "output_tokens")]
    return {
        "number": place,
        "kind": one.kind,
        "by": safe_text(_who(usage, planner)),
        "refused": bool(one.answer.get("refused")),
        "repairs": usage.get("repairs", 0),
        "tokens": (None if None in tokens else sum(tokens)) if paid else 0,
        "dollars": usage.get("dollars") if paid else 0.0,
        "answer": safe_text(canonical_json(one.answer.get("answer"))),
        "at": one.at,
    }


def _show(store: Workspace, run: str, one: Exchange, *, as_json: bool) -> None:
    from experimenter.cli.console import print_json

    wanted = one.usage.get("calls", []) if isinstance(one.usage, dict) else []
    calls = [call for name in wanted if (call := store.call(run, name)) is not None]
    if as_json:
        print_json({"question": one.question, "answer": one.answer, "usage": one.usage, "calls": calls})
        return
    for call in calls:
        _say_call(call)
    if not calls:
        print("No language model was asked; the question as it was put:\n")
        print(_pretty(one.question))
    print("\n═══ the answer that was used\n")
    print(_pretty(one.answer))


def _say_call(call: Any) -> None:
    request, reply = call["request"], call["reply"]
    print(f"═══ {safe_text(request['kind'])}, call {request['call'] + 1}, as {safe_text(call['role'])}\n")
    if request["call"] == 0:
        print(safe_text(request["system"], lines=True))
    for message in request["messages"][0 if request["call"] == 0 else -1 :]:
        print(f"\n─── {message['role']}\n\n{safe_text(message['text'], lines=True)}")
    print(
        f"\n─── reply of {safe_text(reply['model'])}\n\n{safe_text(reply['text'] or reply['refusal'], lines=True)}\n"
    )


def _pretty(value: Any) -> str:
    import json

    return "\n".join(safe_text(line) for line in json.dumps(value, indent=2, ensure_ascii=False).splitlines())
