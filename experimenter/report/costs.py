"""What the run cost in four currencies, what stands apart, and what the environment is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from experimenter.budget import Ledger
from experimenter.report.facts import card_facts
from experimenter.report.forecast import forecast_words
from experimenter.report.gather import ReportData
from experimenter.report.html import Html, el, facts, table
from experimenter.report.lines import duration, number, percent
from experimenter.report.money import dollars, ledger_dollars
from experimenter.report.more import More

__all__ = ["Cost", "apart", "card_section", "costs_section", "currencies"]


@dataclass(frozen=True, slots=True)
class Cost:
    """One currency: what was spent, the limit in words, and the spent share of it, where there is a limit."""

    name: str
    spent: str
    limit: str
    share: float | None


def currencies(data: ReportData) -> tuple[Cost, ...]:
    """Learning steps, active time, tokens, dollars; the share of dollars is unknown where a price is."""
    spent, budget = data.ledger, data.record.goal.budget
    return (
        _cost("learning steps", spent.env_steps, budget.env_steps, number),
        _cost("active time", spent.seconds, budget.seconds, duration),
        _cost("tokens", spent.tokens, budget.tokens, number),
        _dollars(spent, budget.dollars),
    )


def _dollars(spent: Ledger, limit: float | None) -> Cost:
    share = spent.dollars / limit if limit and not spent.unpriced_tokens else None
    return Cost("dollars", ledger_dollars(spent), "no limit" if limit is None else dollars(limit), share)


def _cost(name: str, spent: float, limit: float | None, words: Callable[[float], str]) -> Cost:
    share = spent / limit if limit else None
    return Cost(name, words(spent), "no limit" if limit is None else words(limit), share)


def apart(data: ReportData, more: More) -> list[tuple[str, str, str]]:
    """Steps that are no part of the budget: (what, how many, why it stands apart)."""
    spent = data.ledger
    confirmed = sum(story.arm.env_steps for story in data.arms if story.arm.name == "winner")
    rows = [("of the learning steps: confirmation", confirmed, "the winner trained again on fresh seeds")]
    rows = rows if confirmed else []
    rows += [
        ("controls", spent.control_env_steps, "each is given what the experimenter spent"),
        ("wasted", spent.wasted_env_steps, "lost to a kill and done again"),
        ("inherited", more.inherited, "behind starting policies of earlier runs"),
        ("judging", spent.eval_steps, "episodes of the judge; nothing learns from them"),
        ("environment card", spent.card_steps, "random steps to get to know it"),
    ]
    return [(name, number(count), why) for name, count, why in rows]


def costs_section(data: ReportData, more: More) -> Html:
    """Four currencies with their limits, then the steps that stand apart, then the forecast."""
    rows: list[Sequence[object]] = [
        (one.name, one.spent, one.limit, _bar(one), percent(one.share)) for one in currencies(data)
    ]
    parts = [el("h2", "Costs"), table(("currency", "used", "budget", "", "of it"), rows, figures=(1, 2, 4))]
    parts.append(table(("steps apart", "count", "what they are"), apart(data, more), figures=(1,), wide=(2,)))
    if data.forecast is not None:
        parts.append(el("p", f"Forecast before the start: {forecast_words(data.forecast)}.", cls="note"))
    return el("section", *parts)


def _bar(one: Cost) -> Html:
    if one.share is None:
        return Html("")
    value = f"{min(1.0, max(0.0, one.share)):.4f}"
    return el("progress", value=value, max="1", aria_label=f"{one.name} used")


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
            for f in card.features[:100]
        ]
        fold = el("summary", f"{len(card.features)} named features")
        parts.append(el("details", fold, table(head, rows, figures=(3, 4))))
    return el("section", *parts)
