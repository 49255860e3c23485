"""``experimenter reward``: what reward programs do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from experimenter.cli.options import AsJson, WorkspaceFolder, open_workspace
from experimenter.report.text import clip, safe_text

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from experimenter.report.explain import Component, Explained
    from experimenter.report.traces import Paid

__all__ = ["app", "components_table", "explain"]

app = typer.Typer(name="reward", help="What reward programs do.", no_args_is_help=True, rich_markup_mode=None)

_BARS = "▁▂▃▄▅▆▇█"


@app.callback()
def _group() -> None:
    """Keeps ``reward`` a group of commands."""


@app.command("explain")
def explain(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's name, its beginning, or 'latest'.")],
    trial: Annotated[str, typer.Argument(metavar="TRIAL", help="One of its trials, such as t3.")],
    workspace: WorkspaceFolder = None,
    as_json: AsJson = False,
) -> None:
    """Explain the reward programs of a trial: components, traces, correlation with the true score, faults, diff."""
    from experimenter.cli.console import print_json, screen
    from experimenter.report.explain import explain as explained

    with open_workspace(workspace) as store:
        name = store.run(run).id
        trials, one = store.trials(name), store.trial(name, trial)
    found = explained(trials, one)
    if as_json:
        candidates: list[dict[str, Any]] = [item.model_dump(mode="json") for item in found]
        print_json({"run": name, "trial": one.id, "lever": one.lever, "candidates": candidates})
        return
    out = screen()
    out.print(safe_text(f"{name}/{one.id} · lever {one.lever} · {one.task.sentence}"), style="bold")
    for item in found:
        for part in _view(item):
            out.print(part)


def _view(one: Explained) -> list[RenderableType]:
    """A candidate: title, words, table, faults, and the program with its diff where it is trained or best."""
    from rich.text import Text

    parts: list[RenderableType] = [Text(""), Text(safe_text(_title(one)), style="bold")]
    if one.discarded:
        parts.append(Text(safe_text(f"  discarded: {one.discarded}"), style="dim"))
    parts += [Text(safe_text(f"  {words}")) for words in one.words]
    if one.components:
        parts.append(components_table(one.components))
    parts += [Text(safe_text(f"  {f.name}: {f.detail}"), style="yellow") for f in one.faults]
    return parts + _source(one)


def _title(one: Explained) -> str:
    from experimenter.report.lines import number, percent

    mark = "★ " if one.best else ""
    success = "" if one.success_rate is None else f", success {percent(one.success_rate)}"
    score = number(one.true_score)
    return f"{mark}{one.design}: true score {score}{success}, {number(one.steps)} learning steps"


def components_table(components: Sequence[Component | Paid]) -> Table:
    """What components paid in training: one row each, with its course."""
    from experimenter.cli.tables import plain_table
    from experimenter.report.lines import number, percent

    right = ("share", "lowest", "highest", "at the end", "correlation")
    # The correlation is that of an episode's sum with the episode's true return.
    table = plain_table("component", *right, "its course", right=right)
    for part in components:
        figures = (
            percent(part.share),
            number(min(part.minimum, default=None), 3),
            number(max(part.maximum, default=None), 3),
            number(part.mean[-1] if part.mean else None, 3),
            number(part.correlation),
        )
        table.add_row(clip(part.name, 32), *figures, _sparkline(part.mean))
    return table


def _sparkline(values: tuple[float, ...]) -> str:
    """The values as bars between their own lowest and highest."""
    low, high = min(values, default=0.0), max(values, default=0.0)
    span = high - low
    return "".join(_BARS[int((v - low) / span * (len(_BARS) - 1))] if span > 0 else _BARS[0] for v in values)


def _source(one: Explained) -> list[RenderableType]:
    from rich.text import Text

    if one.program is None:
        return []
    title = f"  program {one.program.name}, from {one.program.origin}"
    parts: list[RenderableType] = [Text(safe_text(title)), _code(one.program.source, "python")]
    if one.diff:
        title = f"  what it changed in {one.parent}"
        parts += [Text(safe_text(title)), _code("\n".join(one.diff), "diff")]
    return parts


def _code(source: str, language: str) -> RenderableType:
    from rich.syntax import Syntax

    words = safe_text(source, lines=True).rstrip()
    return Syntax(words, language, theme="ansi_dark", background_color="default", word_wrap=True)
