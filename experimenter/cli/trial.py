"""One trial on the screen: its candidates, what befell each, and the programs that were trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from experimenter.cli.tables import plain_table
from experimenter.report.lines import number, percent, score_of, stopped_words
from experimenter.report.text import clip, safe_text

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.table import Table

    from experimenter.records import Candidate, Trial

__all__ = ["trial_view"]


def trial_view(trial: Trial) -> Group:
    """Task, verdict, candidates, then the program of the best (else of the first that has one)."""
    from rich.console import Group
    from rich.text import Text

    head = f"{trial.id} · lever {trial.lever} · {trial.task.sentence}"
    parts: list[RenderableType] = [Text(safe_text(head), style="bold")]
    if trial.task.reason:
        parts.append(Text(safe_text(trial.task.reason)))
    if trial.verdict:
        parts.append(Text(safe_text(trial.verdict)))
    parts.append(_candidates(trial))
    parts += _fault_lines(trial)
    parts += _program(trial)
    return Group(*parts)


def _candidates(trial: Trial) -> Table:
    right = ("steps", "rung", "true score", "success", "reach")
    table = plain_table("", "design", *right, "what became of it", right=right)
    for index, one in enumerate(trial.candidates):
        score = number(score_of(one))
        success = percent(one.evaluation.success_rate if one.evaluation else None)
        reach = number(one.training.reach if one.training else None)
        mark = "*" if index == trial.best else ""
        steps = number(one.training.steps if one.training else 0)
        fate = clip(_fate(one), 160)
        table.add_row(mark, clip(one.design.name, 32), steps, str(one.rung), score, success, reach, fate)
    return table


def _fate(candidate: Candidate) -> str:
    if candidate.discarded:
        return f"discarded: {candidate.discarded}"
    if candidate.training is not None and candidate.training.error:
        return f"failed: {candidate.training.error}"
    words = f"repaired {candidate.repairs} times" if candidate.repairs else "kept"
    return ", ".join(filter(None, (words, stopped_words(candidate))))


def _fault_lines(trial: Trial) -> list[RenderableType]:
    from rich.text import Text

    lines: list[RenderableType] = []
    for one in trial.candidates:
        for fault in one.diagnosis.faults if one.diagnosis else ():
            lines.append(Text(safe_text(f"{one.design.name}: {fault.name}. {fault.detail}"), style="yellow"))
    return lines


def _program(trial: Trial) -> list[RenderableType]:
    from rich.syntax import Syntax
    from rich.text import Text

    shown = trial.winner or next((c for c in trial.candidates if c.design.phases[-1].reward), None)
    if shown is None:
        return []
    reward = shown.design.phases[-1].reward
    if reward is None:
        return [Text(f"\n{shown.design.name} is paid by the environment's own reward.")]
    title = Text(safe_text(f"\nreward program {reward.name} of {shown.design.name}, from {reward.origin}"))
    code = safe_text(reward.source, lines=True).rstrip()
    return [title, Syntax(code, "python", theme="ansi_dark", background_color="default", word_wrap=True)]
