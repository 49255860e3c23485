"""Rich tables and panels for runs and trials; every foreign word passes ``safe_text`` on its way in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from experimenter.report.lines import duration, interval_words, number, percent, signed, trial_line
from experimenter.report.planned import short_words
from experimenter.report.text import clip, safe_text

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Group, RenderableType
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    from experimenter.budget import Ledger
    from experimenter.records import Budget, Comparison, Interval, Trial
    from experimenter.results import RunResult

__all__ = ["ledger_words", "plain_table", "spent_words", "trials_table", "verdict_panel"]

_LABEL_STYLE = {"helped": "bold green", "hurt": "bold red", "indistinguishable": "bold yellow"}


def plain_table(*columns: str, right: Sequence[str] = ()) -> Table:
    """An empty table with those columns; the ones in ``right`` are figures, on the right."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        justify: Literal["left", "right"] = "right" if column in right else "left"
        table.add_column(column, justify=justify, overflow="fold", no_wrap=index == 0)
    return table


def trials_table(trials: Sequence[Trial]) -> Table:
    """Trials with lever, candidates, rung reached, true score, success, reach and faults."""
    right = ("candidates", "rung", "true score", "success", "reach", "effect")
    table = plain_table("trial", "lever", *right, "faults", right=right)
    for trial in trials:
        line = trial_line(trial)
        count = f"{line.candidates}" + (f" ({line.discarded} dropped)" if line.discarded else "")
        faults = ", ".join(line.faults) or "none"
        figures = (number(line.score), percent(line.success_rate), number(line.reach), number(line.effect))
        table.add_row(safe_text(line.id), line.lever, count, str(line.rung), *figures, faults)
    return table


def ledger_words(ledger: Ledger) -> str:
    """What was spent, in one line."""
    parts = [f"{number(ledger.env_steps)} learning steps"]
    counts = {
        "control": ledger.control_env_steps,
        "judging": ledger.eval_steps,
        "card": ledger.card_steps,
        "wasted": ledger.wasted_env_steps,
    }
    parts += [f"{number(count)} {name} steps" for name, count in counts.items() if count]
    parts.append(duration(ledger.seconds))
    if ledger.tokens:
        parts.append(f"{number(ledger.tokens)} tokens")
    return ", ".join([*parts, *_paid(ledger)])


def _paid(ledger: Ledger) -> list[str]:
    """Dollars, where there are any, or where nobody knows how many."""
    from experimenter.report.money import ledger_dollars

    return [ledger_dollars(ledger)] if ledger.dollars or ledger.unpriced_tokens else []


def spent_words(ledger: Ledger, budget: Budget) -> str:
    """Spent of the budget, for each currency that has a limit; what a language model used is told without one too."""
    from experimenter.report.money import dollars, ledger_dollars

    limits = (
        ("steps", ledger.env_steps, budget.env_steps),
        ("seconds", ledger.seconds, budget.seconds),
        ("tokens", ledger.tokens, budget.tokens),
    )
    parts = [
        f"{number(spent)} of {number(limit)} {name}" for name, spent, limit in limits if limit is not None
    ]
    if budget.dollars is not None:
        parts.append(f"{ledger_dollars(ledger)} of {dollars(budget.dollars)}")
    if not parts:
        return ledger_words(ledger)
    if ledger.tokens and budget.tokens is None:
        parts.append(f"{number(ledger.tokens)} tokens")
    return ", ".join([*parts, *(_paid(ledger) if budget.dollars is None else ())])


def verdict_panel(result: RunResult, root: Path) -> Panel:
    """The end of a run on one screen: verdict, winner, controls, costs, and what to do with them."""
    from rich.console import Group
    from rich.panel import Panel
    from rich.text import Text

    parts: list[RenderableType] = [_headline(result), Text()]
    if result.best is not None:
        parts += [_scores(result), Text()]
    parts.append(_facts(result, root))
    title = Text(f"{clip(result.run, 40)} · {clip(result.environment, 40)} · {result.status}")
    body: Group = Group(*parts)
    return Panel(body, title=title, title_align="left", padding=(1, 2), border_style=_border(result))


def _border(result: RunResult) -> str:
    if result.status == "failed":
        return "red"
    return "green" if result.status == "finished" else "yellow"


def _headline(result: RunResult) -> Text:
    """The verdict: its first sentence stands out, the rest says what it rests on."""
    from rich.text import Text

    words = safe_text(result.sentence or result.why_ended or result.error or f"the run is {result.status}")
    first, mark, rest = words.partition(". ")
    text = Text(style="not bold").append(first + mark.strip(), style="bold")
    return text.append(f"\n{rest}") if rest else text


def _scores(result: RunResult) -> Table:
    assert result.best is not None
    right = ("true score", "success", "seeds", "difference", "p")
    table = plain_table("", *right, "verdict", right=right)
    best = result.best
    _score_row(table, f"winner ({clip(best.trial, 30)})", best.true_score, best.success_rate, None)
    for one in result.earlier:
        name = f"earlier ({clip(one.trial, 30)})"
        _score_row(table, name, one.true_score, one.success_rate, None)
    for name, control in result.controls.items():
        _score_row(table, clip(name, 30), control.true_score, control.success_rate, result.verdict.get(name))
    return table


def _score_row(
    table: Table, name: str, score: Interval, success: float | None, versus: Comparison | None
) -> None:
    from rich.text import Text

    cells: list[str | Text] = [name, interval_words(score), percent(success), str(score.seeds)]
    if versus is None:
        cells += ["", "", ""]
    else:
        cells += [
            signed(versus.difference),
            f"{versus.p:.3f}",
            Text(versus.label, style=_LABEL_STYLE[versus.label]),
        ]
    table.add_row(*cells)


def _facts(result: RunResult, root: Path) -> Table:
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, words in _fact_rows(result, root):
        grid.add_row(name, safe_text(words))
    return grid


def _fact_rows(result: RunResult, root: Path) -> list[tuple[str, str]]:
    rows = [("judge", result.judge)]
    if result.why_ended and result.sentence:
        rows.append(("ended", result.why_ended))
    dropped = f", {result.discarded} candidates discarded" if result.discarded else ""
    rows.append(("search", f"{result.trials} trial{'s' if result.trials != 1 else ''}{dropped}"))
    rows.append(("spent", ledger_words(result.ledger)))
    if result.planning is not None:
        rows.append(("planner", " ".join(short_words(result.planning))))
    rows.append(("containment", result.containment or "no generated code ran"))
    place = "" if root == root.cwd() / "experiments" else f" --workspace {root}"
    rows.append(("report", result.report or f"experimenter report {result.run}{place}"))
    rows.append(("look", f"experimenter show {result.run}{place}"))
    if result.best is not None:
        name = f"{result.run}/{result.best.trial.rpartition('/')[2]}"
        rows.append(
            ("judge it", f"experimenter judge {name} --env {result.environment} --episodes 100{place}")
        )
    if result.status not in ("finished", "created"):
        rows.append(("go on", f"experimenter resume {result.run}{place}"))
    return rows
