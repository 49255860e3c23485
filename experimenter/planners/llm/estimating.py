"""What a call may take before it is made, and what a whole run may ask for: upper ends, not hopes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from experimenter.planners.llm.model import ModelName, ModelRequest, Usage
from experimenter.planners.llm.prices import dollars

__all__ = ["dearest", "estimated_tokens", "expected_usage"]

_BYTES_PER_TOKEN: Final = 3
"""English and code take about four bytes a token; a limit that is kept has to allow for less friendly texts."""
_OVERHEAD: Final = 300
_IMAGE: Final = 1_600
_PROMPT: Final = 4_000
_REPLY: Final = 800
"""Tokens of a typical prompt with some history, and of a typical reply; only forecasts use them."""


def estimated_tokens(request: ModelRequest) -> int:
    """Tokens of the request, more rather than less: text, schema, images, and what the service adds."""
    schema = json.dumps(request.answer_schema) if request.answer_schema else ""
    texts = [request.system, schema, *(message.text for message in request.messages)]
    size = sum(len(text.encode("utf-8", "replace")) for text in texts)
    images = sum(len(message.images) for message in request.messages)
    return -(-size // _BYTES_PER_TOKEN) + _OVERHEAD + images * _IMAGE


def dearest(models: Sequence[ModelName], input_tokens: int, output_tokens: int) -> float | None:
    """Dollars at the dearest of several models that may answer; ``None`` if the price of any is unknown."""
    # Input that is written to a cache may cost more than input that is not.
    usage = Usage(input_tokens=input_tokens, output_tokens=output_tokens)
    written = Usage(input_tokens=input_tokens, cache_write_tokens=input_tokens, output_tokens=output_tokens)
    found = [dollars(model, one) for model in models for one in (usage, written)]
    known = [price for price in found if price is not None]
    return max(known) if known and len(known) == len(found) else None


def expected_usage(models: Sequence[ModelName], calls: int) -> tuple[int, float | None]:
    """Tokens and dollars of so many typical calls; dollars are ``None`` where a price is unknown."""
    return calls * (_PROMPT + _REPLY), dearest(models, calls * _PROMPT, calls * _REPLY)
