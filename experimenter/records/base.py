"""What every record is, and the two kinds of return that never mix.

``TrueReturn`` is the environment's own undiscounted return, and only the frozen judge makes one; ``ShapedReturn`` is
what a reward program paid. Neither converts to the other.
"""

from __future__ import annotations

from typing import Any, Literal, NewType

from pydantic import BaseModel, ConfigDict

TrueReturn = NewType("TrueReturn", float)
ShapedReturn = NewType("ShapedReturn", float)

Lever = Literal["native", "environment", "reward", "hyperparameters", "curriculum", "memory", "random"]
Json = Any


class Record(BaseModel):
    """Base of everything stored: frozen, closed, no NaN, versioned."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    v: Literal[1] = 1
