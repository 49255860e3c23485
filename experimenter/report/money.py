"""Tokens and dollars in words. A price that nobody knows is unknown, and never looks like zero."""

from __future__ import annotations

from experimenter.budget import Ledger
from experimenter.report.lines import number
from experimenter.results import Spent

__all__ = ["dollars", "ledger_dollars", "money", "token_words"]


def dollars(amount: float) -> str:
    """An amount that is known: ``$0``, ``under $0.01``, ``$1,234.50``."""
    if amount <= 0:
        return "$0"
    return "under $0.01" if amount < 0.005 else f"${amount:,.2f}"


def ledger_dollars(ledger: Ledger) -> str:
    """What a run has paid: exact, ``at least $x``, or ``price unknown``."""
    return _partly(ledger.dollars, known=not ledger.unpriced_tokens)


def money(spent: Spent) -> str:
    """What models cost: exact, ``at least $x``, or ``price unknown``."""
    return _partly(spent.at_least_dollars, known=spent.dollars is not None)


def _partly(amount: float, *, known: bool) -> str:
    if known:
        return dollars(amount)
    return f"at least {dollars(amount)}" if amount >= 0.005 else "price unknown"


def token_words(spent: Spent) -> str:
    """All tokens of models: ``12,345 tokens``, ``at least 12,345 tokens``, or that they are unknown."""
    known = spent.input_tokens is not None and spent.output_tokens is not None
    if known or spent.at_least_tokens:
        return f"{'' if known else 'at least '}{number(spent.at_least_tokens)} tokens"
    return "an unknown number of tokens"
