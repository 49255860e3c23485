"""``experimenter models check``: how well a model plans, by questions whose answers are known."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from experimenter.cli.options import AsJson, WorkspaceFolder, resolve
from experimenter.errors import ExperimenterError, Stopped, UsageError, WorkspaceError

if TYPE_CHECKING:
    from experimenter.config import Settings
    from experimenter.loop.examination import Doing, Exam
    from experimenter.loop.qualification import Qualification
    from experimenter.planners.llm.model import ModelClient, ModelName

__all__ = ["check"]

Model = Annotated[str, typer.Argument(metavar="MODEL", help="provider:model, or an alias of the settings.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before spending tokens.")]
ExamSeed = Annotated[
    int,
    typer.Option(
        "--seed", min=0, help="For measuring the environments and trying programs; the questions stay."
    ),
]


def check(
    model: Model,
    yes: Yes = False,
    seed: ExamSeed = 0,
    workspace: WorkspaceFolder = None,
    as_json: AsJson = False,
) -> None:
    """Check how well a model plans: a fixed set of small questions, marked here; programs run contained.

    The result is kept in the workspace, and a run warns about a model that was found weak.
    """
    from experimenter.loop.qualification import store_qualification

    settings = resolve(workspace=workspace)
    name = _one_model(model, settings)
    client = _client(name, settings)
    found = _examined(client, settings, seed, yes=yes)
    try:
        path = store_qualification(Path(settings.workspace).expanduser().absolute(), found)
    except WorkspaceError as error:
        # What was paid for is shown all the same.
        _tell(found, None, as_json=as_json)
        raise WorkspaceError(
            f"The result above could not be kept: {error.message}", "Free some space before the next check."
        ) from error
    _tell(found, path, as_json=as_json)


def _tell(found: Qualification, path: Path | None, *, as_json: bool) -> None:
    from experimenter.cli.console import print_json, say

    if as_json:
        kept = None if path is None else str(path)
        verdict = {"verdict": found.verdict, "weaknesses": list(found.weaknesses), "file": kept}
        print_json(found.model_dump(mode="json") | verdict)
        return
    _show(found)
    if path is not None:
        say(f"kept in {path}")


def _one_model(text: str, settings: Settings) -> ModelName:
    from experimenter.planners.llm.names import parse_models

    names = parse_models(text, settings.aliases)
    if len(names) > 1:
        told = ", ".join(map(str, names))
        raise UsageError(
            f"{text} stands for several models: {told}.",
            f"Check one at a time: experimenter models check {names[0]}",
        )
    return names[0]


def _client(name: ModelName, settings: Settings) -> ModelClient:
    from experimenter.planners.llm.clients import open_model
    from experimenter.planners.llm.wire import Limits

    return open_model(name, limits=Limits(seconds=settings.model_seconds))


def _examined(client: ModelClient, settings: Settings, seed: int, *, yes: bool) -> Qualification:
    """The whole check. What ends it before its end is told with what was done until then; nothing is stored then."""
    from experimenter.cli.bench import stoppable
    from experimenter.cli.console import say
    from experimenter.loop.examination import prepare_exam, qualify

    heard = _Heard()
    with stoppable(heard.stopped):
        say("measuring the environments")
        exam = prepare_exam(settings, seed)
        _agree(exam, client.name, yes=yes)
        try:
            with heard.shown():
                return qualify(exam, client, settings, heard.hear)
        except ExperimenterError:
            if heard.last is not None and heard.last.questions:
                say(f"The check ended after {heard.words()}. Nothing was stored.")
            raise


def _agree(exam: Exam, name: ModelName, *, yes: bool) -> None:
    """Says what the check may cost, and asks where it costs anything or nobody knows."""
    from experimenter.cli.console import say
    from experimenter.report.money import dollars

    may = exam.estimate(name)
    if may.dollars is None:
        cost = "at an unknown price"
    else:
        cost = f"for about {dollars(may.dollars)}" if may.dollars else "for nothing"
    say(
        f"{name} is asked {may.questions} questions in {may.calls} calls: about {may.input_tokens:,} tokens in and"
        f" {may.output_tokens:,} out, {cost}; repairs, and a model that thinks aloud, add to it."
    )
    if yes or may.dollars == 0:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"this check comes {cost}", "Say --yes to agree.")
    if not typer.confirm("Go on?", err=True):
        raise UsageError("not started", "Nothing was asked, and nothing was stored.")


class _Heard:
    """Where the check stands, shown as it goes on: a line that moves on a terminal, else one for each section."""

    def __init__(self) -> None:
        self.last: Doing | None = None
        self._status: Any = None

    def hear(self, doing: Doing) -> None:
        from experimenter.cli.console import say
        from experimenter.loop.qualification import WHAT

        new = self.last is None or self.last.section != doing.section
        self.last = doing
        words = f"{WHAT[doing.section]}: {doing.done} of {doing.asked} · {self.words()}"
        if self._status is not None:
            self._status.update(words)
        elif new:
            say(f"asking for {WHAT[doing.section]} ({self.words()})")

    def words(self) -> str:
        """What was done and spent so far."""
        from experimenter.report.money import dollars

        if self.last is None:
            return "no question"
        count = f"{self.last.questions} question{'s' if self.last.questions != 1 else ''}"
        if not self.last.questions:
            return count
        price = "price unknown" if self.last.dollars is None else dollars(self.last.dollars)
        return f"{count}, {self.last.tokens:,} tokens, {price}"

    def stopped(self) -> Stopped:
        return Stopped(
            f"stopped on request after {self.words()}",
            "Nothing was stored: a check that is not whole says nothing.",
        )

    @contextmanager
    def shown(self) -> Iterator[None]:
        if not sys.stderr.isatty():
            yield
            return
        from experimenter.cli.console import side

        with side().status("asking") as self._status:
            yield


def _show(found: Qualification) -> None:
    from experimenter.cli.console import screen
    from experimenter.cli.tables import plain_table
    from experimenter.loop.qualification import WHAT, interval_words
    from experimenter.report.lines import percent
    from experimenter.report.text import safe_text

    right = ("right", "share", "95 %", "first try")
    table = plain_table("what was asked", *right, "beside it", right=right)
    for one in found.sections:
        first = "" if one.first is None else str(one.first)
        count, share = f"{one.right} of {one.asked}", percent(one.share)
        table.add_row(WHAT[one.name], count, share, interval_words(one), first, _beside(one))
    out = screen()
    out.print(safe_text(f"{found.model}: {found.verdict}"), style="bold")
    out.print(table)
    for weakness in found.weaknesses:
        out.print(safe_text(f"weak: {weakness}"))
    out.print(safe_text(_spent(found)))


def _beside(section: Any) -> str:
    from experimenter.loop.qualification import CHANCE
    from experimenter.report.lines import percent

    chance = CHANCE.get(section.name)
    told = [] if chance is None else [f"guessing {percent(chance)}"]
    told += [] if section.beside is None else [f"search {percent(section.beside)}"]
    return ", ".join(told)


def _spent(found: Qualification) -> str:
    from experimenter.report.money import dollars

    known = found.input_tokens is not None and found.output_tokens is not None
    tokens = (
        f"{found.input_tokens:,} tokens in, {found.output_tokens:,} out" if known else "tokens not counted"
    )
    price = "price unknown" if found.dollars is None else dollars(found.dollars)
    served = f", served as {', '.join(found.served_as)}" if found.served_as else ""
    return f"{found.calls} calls, {tokens}, {price}, {found.seconds:.0f} s{served}"
