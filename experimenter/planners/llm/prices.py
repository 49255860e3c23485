"""Dollars for tokens, by a price table that needs no network. What the table does not know is unknown, never free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from experimenter.planners.llm.model import ModelName, Usage
from experimenter.planners.llm.sdk import library

__all__ = ["Price", "dollars", "price_of"]

_MILLION: Final = 1_000_000
_IN_THE_TABLE: Final = frozenset({"openai", "anthropic"})


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars for a million tokens, of input that is not cached and of output, at the lowest tier."""

    input: float
    output: float


def dollars(name: ModelName, usage: Usage) -> float | None:
    """What a call cost; ``None`` for a model without a known price, and for tokens that nobody counted.

    A scripted model costs nothing, because nobody is asked. Models on other servers have prices that only their
    owner knows. Raises ModelFault where the price table is not installed.
    """
    if name.provider == "scripted":
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
