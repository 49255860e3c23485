"""Whether what a row needs is there, and in words what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

__all__ = ["missing"]


def missing(needs: Sequence[str]) -> str:
    """What of ``needs`` is not there, or "". A need is ``module:NAME``."""
    return " and ".join(name for need in needs if not _importable(name := need.removeprefix("module:")))


def _importable(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False
