"""From a contest's answers to its row: figures, ratios, whether that is what was asked, and a line of the table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from peers.contests import Contest
from peers.figures import MEASURES, Spread, difference, furthest, ratios, spread

__all__ = ["HEAD", "Answers", "line", "row"]

Answers = Mapping[str, Sequence[Mapping[str, Any]]]
"""Each side's answers, pair by pair; the engine's side first."""

HEAD = f"{'row':24}{'engine':>20}  {'beside':>34}  {'ratio (range)':>24}  {'asked':>8}"


def row(contest: Contest, answers: Answers) -> dict[str, Any]:
    """Plain JSON: every side's figures and answers, the ratios, and ``reached`` where something was asked."""
    if contest.measure == "curves":
        return _curves_row(contest, answers)
    measure = MEASURES[contest.measure]
    ours, *others = answers
    figures = {label: [measure.of(found) for found in found] for label, found in answers.items()}
    made: dict[str, Any] = {
        "what": contest.what,
        "unit": measure.unit,
        "pairs": len(answers[ours]),
        "sides": {
            label: spread(values).to_json() | {"answers": list(answers[label])}
            for label, values in figures.items()
        },
    }
    if contest.measure == "score":
        made["differences"] = {
            label: difference(_all_scores(answers[ours]), _all_scores(answers[label]), contest.span).to_json()
            for label in others
        }
    else:
        made["ratios"] = {label: _ratio(contest, answers, ours, label) for label in others}
    return made | _verdict(contest, made, spread(figures[ours]))


def _ratio(contest: Contest, answers: Answers, ours: str, label: str) -> dict[str, Any]:
    each = ratios(MEASURES[contest.measure], answers[ours], answers[label])
    return spread(each).to_json() | {"each": [value if math.isfinite(value) else None for value in each]}


def _all_scores(found: Sequence[Mapping[str, Any]]) -> list[float]:
    return [score for one in found for score in one["scores"]]


def _verdict(contest: Contest, made: Mapping[str, Any], own: Spread) -> dict[str, Any]:
    asked = contest.asked
    if asked is None:
        return {}
    value: float | None = own.median
    if contest.measure == "score":
        value = made["differences"][asked.against]["low"]
    elif asked.against:
        value = made["ratios"][asked.against]["median"]
    reached = asked.met(math.inf if value is None else value)
    return {
        "asked": asked.words(percent=contest.measure == "score"),
        "against": asked.against or None,
        "figure": value,
        "reached": reached,
    }


def _curves_row(contest: Contest, answers: Answers) -> dict[str, Any]:
    (_, ours), *others = answers.items()
    apart = {label: furthest(_curves(ours), _curves(found)) for label, found in others}
    worst = max(apart.values())
    made: dict[str, Any] = {
        "what": contest.what,
        "unit": "relative difference",
        "pairs": len(ours),
        "apart": apart,
    }
    if contest.asked is not None:
        made |= {
            "asked": contest.asked.words(percent=False),
            "figure": worst,
            "reached": contest.asked.met(worst),
        }
    return made


def _curves(found: Sequence[Mapping[str, Any]]) -> list[Sequence[float]]:
    return [curve for one in found for curve in one["curves"]]


def line(contest: Contest, made: Mapping[str, Any]) -> str:
    """The row as a person reads it: one line for each side that the engine is measured beside."""
    start = f"{contest.name:24}"
    for word in ("not_available", "failed"):
        if word in made:
            return f"{start}  {word.replace('_', ' ')}: {made[word]}"
    if "apart" in made:
        return f"{start}{made['figure']:>20.3g}  {'':>34}  {'':>24}  {_asked(made)}"
    sides = made["sides"]
    ours, *others = sides
    cells = [f"{start}{_figure(sides[ours], made['unit']):>20}  {_against(made, label)}" for label in others]
    cells[1:] = [f"{'':44}  {_against(made, label)}" for label in others[1:]]
    return "\n".join(cells)


def _against(made: Mapping[str, Any], label: str) -> str:
    beside = f"{label} {_figure(made['sides'][label], made['unit'])}"
    compared = made["differences" if "differences" in made else "ratios"][label]
    percent = "differences" in made
    held = made.get("against") or list(made["sides"])[1]
    asked = _asked(made) if label == held else ""
    return f"{beside:>34}  {_range(compared, percent):>24}  {asked}".rstrip()


def _figure(spread: Mapping[str, Any], unit: str) -> str:
    middle = spread["median"]
    return "not reached" if middle is None else f"{_short(middle)} {unit}"


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _range(compared: Mapping[str, Any], percent: bool) -> str:
    parts = (compared["median"], compared["low"], compared["high"])
    middle, low, high = ("∞" if v is None else f"{v:+.1%}" if percent else f"{v:.3g}" for v in parts)
    return f"{middle} ({low} to {high})"


def _asked(made: Mapping[str, Any]) -> str:
    return f"{made['asked']:>8}  {'reached' if made['reached'] else 'NOT reached'}" if "asked" in made else ""
