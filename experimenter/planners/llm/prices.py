"""Dollars for tokens, by a price table that needs no network. What the table does not know is unknown, never free."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from experimenter.planners.llm.model import ModelName, Usage
from experimenter.planners.llm.sdk import library

__all__ = ["Price", "PriceTable", "dollars", "price_of", "price_table"]

_MILLION: Final = 1_000_000
_FREE: Final = frozenset({"scripted", "manual"})
_IN_THE_TABLE: Final = frozenset({"openai", "anthropic"})


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars for a million tokens, of input that is not cached and of output, at the lowest tier."""

    input: float
    output: float


@dataclass(frozen=True, slots=True)
class PriceTable:
    """The table itself: whose it is, which version, and the last date that it gives a price's beginning for.

    ``names`` are the models that it knows, as ``provider:model``. A price without a date says nothing of its age.
    """

    package: str
    version: str
    last_dated: date | None
    names: tuple[str, ...]


def dollars(name: ModelName, usage: Usage) -> float | None:
    """What a call cost; ``None`` for a model without a known price, and for tokens that nobody counted.

    A script and a person cost nothing here. Models on other servers have prices that only their
    owner knows. Raises ModelFault where the price table is not installed.
    """
    if name.provider in _FREE:
        return 0.0
    if name.provider not in _IN_THE_TABLE or usage.input_tokens is None or usage.output_tokens is None:
        return None
    prices = library("genai_prices", name.provider)
    cached = min(usage.cached_input_tokens or 0, usage.input_tokens)
    counted = prices.Usage(
        input_tokens=usage.input_tokens,
        cache_read_tokens=cached,
        cache_write_tokens=min(usage.cache_write_tokens or 0, usage.input_tokens - cached),
        output_tokens=usage.output_tokens,
    )
    try:
        found = prices.calc_price(counted, name.model, provider_id=name.provider)
    except (LookupError, ValueError):
        return None
    return float(found.total_price)


def price_of(name: ModelName) -> Price | None:
    """The model's price for a million tokens, from a thousand of each, so that no tier for long inputs is meant."""
    read = dollars(name, Usage(input_tokens=1000, output_tokens=0))
    written = dollars(name, Usage(input_tokens=0, output_tokens=1000))
    if read is None or written is None:
        return None
    return Price(read * _MILLION / 1000, written * _MILLION / 1000)


def price_table() -> PriceTable:
    """The price table that is installed. Raises ModelFault where none is."""
    prices = library("genai_prices", "openai", "data_snapshot")
    known = [one for one in prices.data_snapshot.get_snapshot().providers if one.id in _IN_THE_TABLE]
    today = date.today()
    dates = [day for one in known for model in one.models for day in _dates(model.prices) if day <= today]
    names = sorted(f"{one.id}:{model.id}" for one in known for model in one.models)
    return PriceTable("genai-prices", str(prices.__version__), max(dates, default=None), tuple(names))


def _dates(prices: Any) -> Iterator[date]:
    """When the prices of a model begin, where the table says so."""
    for one in prices if isinstance(prices, list) else ():
        begins = getattr(getattr(one, "constraint", None), "start_date", None)
        if isinstance(begins, date):
            yield begins
