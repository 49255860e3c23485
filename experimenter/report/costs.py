"""What the run cost, what the environment is, and how anyone can repeat it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from experimenter.records import Json
from experimenter.report.facts import card_facts
from experimenter.report.forecast import forecast_words
from experimenter.report.gather import ReportData
from experimenter.report.html import Html, el, facts, join, table
from experimenter.report.lines import duration, number

__all__ = ["card_section", "costs_section", "reproduce_section"]


def costs_section(data: ReportData) -> Html:
    """Four currencies with their limits, then the steps that stand apart, then the forecast."""
    spent, budget = data.ledger, data.record.goal.budget
    rows: list[Sequence[object]] = [
        ("learning steps (search and confirmation)", number(spent.env_steps), _limit(budget.env_steps)),
        ("active time", duration(spent.seconds), duration(budget.seconds) if budget.seconds else "no limit"),
        ("tokens", number(spent.tokens), _limit(budget.tokens)),
        ("dollars", f"{spent.dollars:.2f}", _limit(budget.dollars)),
        ("control steps", number(spent.control_env_steps), "as many as were spent, per control"),
        ("judging steps", number(spent.eval_steps), "stands apart"),
        ("environment card steps", number(spent.card_steps), "stands apart"),
        ("wasted steps (lost to a kill)", number(spent.wasted_env_steps), "stands apart"),
    ]
    parts = [el("h2", "Costs"), table(("currency", "spent", "limit"), rows, figures=(1,))]
    if data.forecast is not None:
        parts.append(el("p", f"Forecast before the start: {forecast_words(data.forecast)}.", cls="note"))
    return el("section", *parts)


def _limit(value: float | None) -> str:
    return "no limit" if value is None else number(value)


def _plain(value: Json) -> str:
    return (
        number(float(value))
        if isinstance(value, (int, float)) and not isinstance(value, bool)
        else str(value)
    )


def card_section(data: ReportData) -> Html:
    """The environment card in short."""
    card = data.card
    if card is None:
        return Html("")
    parts = [el("h2", "The environment"), el("p", card.summary or card.title or card.spec.id)]
    parts.append(facts(card_facts(card)))
    if card.features:
        head = ("feature", "kind", "unit", "measured from", "to", "what it is")
        rows = [
            (f.name, f.kind, f.unit, number(f.measured_low), number(f.measured_high), f.description)
            for f in card.features
        ]
        fold = el("summary", f"{len(card.features)} named features")
        parts.append(el("details", fold, table(head, rows, figures=(3, 4))))
    return el("section", *parts)


def reproduce_section(data: ReportData) -> Html:
    """Command, seed, containment, versions and every setting."""
    record = data.record
    versions = ", ".join(f"{name} {release}" for name, release in sorted(record.versions.items()))
    rows: list[tuple[str, object]] = [
        ("command", el("code", _command(record.command) or "started from Python")),
        ("seed", str(record.goal.seed)),
        ("planner", record.planner),
        ("curriculum", record.curriculum),
        ("containment", (data.result.containment if data.result else "") or "not noted yet"),
        ("started", record.created),
        ("versions", versions or "not noted"),
    ]
    settings = [(name, _setting(value)) for name, value in sorted(record.settings.items()) if name != "v"]
    fold = el("details", el("summary", "Every setting"), table(("setting", "value"), settings))
    layout = ", ".join(f"{key.replace('_', ' ')} {_plain(value)}" for key, value in data.plan.items())
    plan = el("p", f"Layout of the budget: {layout}.", cls="note") if layout else Html("")
    return el("section", el("h2", "How to reproduce"), join([facts(rows), plan, fold]))


def _command(words: Sequence[str]) -> str:
    """The command as it would be typed: the program by its name, wherever it lay."""
    return shlex.join(["experimenter", *words[1:]]) if words else ""


def _setting(value: Json) -> str:
    return "none" if value is None else str(value)
