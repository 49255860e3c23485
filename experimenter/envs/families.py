"""Finds the family that owns an environment: built-in families come through the same entry points as strangers'."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from experimenter import plugins

if TYPE_CHECKING:
    from experimenter.contracts import Family

__all__ = ["FALLBACK", "family", "family_for"]

FALLBACK: Final = "gymnasium"


@cache
def family(name: str) -> Family:
    """The family of that name; NotFound (with did-you-mean) when none is installed."""
    found = plugins.load("families", name)
    made: Family = found() if isinstance(found, type) else found
    return made


def family_for(env_id: str) -> Family:
    """The first family that owns ``env_id``; Gymnasium's takes whatever nobody else claims."""
    special = (family(name) for name in plugins.names("families") if name != FALLBACK)
    return next((one for one in special if one.owns(env_id)), family(FALLBACK))
