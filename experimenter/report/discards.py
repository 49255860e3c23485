"""What was thrown away and why: grouped by reason, counted, with what it cost."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from experimenter.records import Candidate, Trial
from experimenter.report.gather import ReportData
from experimenter.report.html import Html, el, table
from experimenter.report.lines import number, percent, score_of

__all__ = ["DiscardGroup", "discard_groups", "discards_section"]

_MOST_GROUPS: Final = 15
_MOST_ROWS: Final = 25
_LONGEST: Final = 400


@dataclass(slots=True)
class DiscardGroup:
    """Candidates that went for the same reason, and the learning steps that they took with them."""

    reason: str
    members: list[tuple[str, Candidate]] = field(default_factory=list)

    @property
    def steps(self) -> int:
        return sum(one.training.env_steps for _, one in self.members if one.training is not None)


def discard_groups(trials: Sequence[Trial]) -> tuple[DiscardGroup, ...]:
    """The reasons, the commonest first."""
    groups: dict[str, DiscardGroup] = {}
    for trial in trials:
        for one in trial.candidates:
            if one.discarded:
                reason = _reason(one.discarded)
                groups.setdefault(reason, DiscardGroup(reason)).members.append((trial.id, one))
    return tuple(sorted(groups.values(), key=lambda group: (-len(group.members), group.reason)))


def _reason(words: str) -> str:
    """The kind of a reason: what comes before its particulars, and how many were kept left out."""
    head = words.partition(":")[0].strip() or words
    return re.sub(r"\b(best|last|first) \d+", r"\1", head)[:120]


def discards_section(data: ReportData) -> Html:
    """Nothing where nothing was discarded."""
    groups = discard_groups(data.trials)
    if not groups:
        return Html("")
    count = sum(len(group.members) for group in groups)
    every = sum(len(trial.candidates) for trial in data.trials)
    steps = sum(group.steps for group in groups)
    words = (
        f"{count:,} of {every:,} candidate designs were discarded. They took {number(steps)} learning steps, which "
        "are part of the bill and of what the controls were given."
    )
    head = ("why", "candidates", "of all", "learning steps")
    shown = groups[:_MOST_GROUPS]
    rows: list[Sequence[object]] = [
        (g.reason, number(len(g.members)), percent(len(g.members) / every), number(g.steps)) for g in shown
    ]
    rest = groups[_MOST_GROUPS:]
    if rest:
        other = sum(len(group.members) for group in rest)
        rows.append((f"{len(rest)} other reasons", number(other), percent(other / every), ""))
    parts = [
        el("h2", "What was discarded, and why"),
        el("p", words),
        table(head, rows, figures=(1, 2, 3), wide=(0,)),
    ]
    repairs = _repairs(data.trials)
    parts += [el("p", repairs, cls="note")] if repairs else []
    return el("section", *parts, *(_fold(group, data.record.id) for group in shown))


def _repairs(trials: Sequence[Trial]) -> str:
    mended = [one.repairs for trial in trials for one in trial.candidates if one.repairs]
    if not mended:
        return ""
    who = (
        "1 candidate failed a check and was"
        if len(mended) == 1
        else f"{len(mended):,} candidates failed a check and were"
    )
    times = "once" if sum(mended) == 1 else f"{sum(mended):,} times in all"
    return f"{who} sent back, {times}."


def _fold(group: DiscardGroup, run: str) -> Html:
    head = ("trial", "design", "steps", "true score", "in its own words")
    rows = [_row(trial, one) for trial, one in group.members[:_MOST_ROWS]]
    parts = [
        el("summary", f"{group.reason}: {len(group.members):,}"),
        table(head, rows, figures=(2, 3), wide=(4,)),
    ]
    left = len(group.members) - len(rows)
    if left > 0:
        command = el("code", f"experimenter show {run}")
        parts.append(el("p", f"and {left:,} more in the workspace: ", command, cls="note"))
    return el("details", *parts)


def _row(trial: str, one: Candidate) -> Sequence[object]:
    steps = number(one.training.env_steps) if one.training is not None else "0"
    return (trial, one.design.name, steps, number(score_of(one)), one.discarded[:_LONGEST])
