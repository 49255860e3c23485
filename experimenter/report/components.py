"""The report's section on the winning reward: how its components developed, what dominates, what is dead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from experimenter.records import Training
from experimenter.report.gather import ReportData
from experimenter.report.html import Html, el, table
from experimenter.report.lines import number, percent
from experimenter.report.traces import MOST_DRAWN, Paid, earned_picture, paid, paid_picture
from experimenter.report.wording import component_words

__all__ = ["component_table", "components_section", "winning_trainings"]

_MOST_ROWS: Final = 30
_HEAD: Final = (
    "component",
    "share of |reward|",
    "lowest",
    "mean at the end",
    "highest",
    "correlation with true return",
)


def winning_trainings(data: ReportData) -> tuple[Training, ...]:
    """The confirmed winner's trainings; before a confirmation, the best trial's one."""
    if data.winner is not None and data.winner.trainings:
        return data.winner.trainings
    trial = data.winning_trial
    found = trial.winner.training if trial is not None and trial.winner is not None else None
    return () if found is None else (found,)


def components_section(data: ReportData) -> Html:
    """Pictures and figures of the winning reward's components; nothing for the native reward."""
    trainings = winning_trainings(data)
    found = paid(trainings)
    if not found:
        return Html("")
    parts = [
        el("h2", "What the reward paid for"),
        el("ul", *(el("li", one) for one in component_words(found))),
    ]
    parts += _pictures(trainings, found)
    parts.append(component_table(found))
    seeds = f"{len(trainings)} training seeds" if len(trainings) > 1 else "one training seed"
    note = (
        f"Over {seeds}. Shares and correlations are means over seeds; the correlation is that of a component's sum "
        "in an episode with the episode's true return. None of this enters the judge's score."
    )
    return el("section", *parts, el("p", note, cls="note"))


def _pictures(trainings: Sequence[Training], found: Sequence[Paid]) -> list[Html]:
    more = f" The {MOST_DRAWN} of {len(found)} with the largest shares." if len(found) > MOST_DRAWN else ""
    captions = (
        f"Mean sum of each component in a training episode; bands are 95 % intervals over seeds.{more}",
        "Per transition, from the start of training to its end: the line is the mean, the band reaches from the "
        "lowest to the highest that was ever paid.",
    )
    drawn = (earned_picture(trainings, [one.name for one in found]), paid_picture(found))
    return [
        el("figure", one, el("figcaption", words))
        for one, words in zip(drawn, captions, strict=True)
        if one is not None
    ]


def component_table(found: Sequence[Paid]) -> Html:
    """One row for each component, the largest share first."""
    rows: list[Sequence[object]] = [
        (
            one.name,
            percent(one.share),
            number(min(one.minimum, default=None), 3),
            number(one.mean[-1] if one.mean else None, 3),
            number(max(one.maximum, default=None), 3),
            number(one.correlation),
        )
        for one in found[:_MOST_ROWS]
    ]
    left = len(found) - len(rows)
    if left > 0:
        rows.append((f"and {left} more", "", "", "", "", ""))
    return table(_HEAD, rows, figures=(1, 2, 3, 4, 5))
