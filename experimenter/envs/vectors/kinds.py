"""The kinds of vector environments by name, and what was chosen, for readers that must not load what steps them."""

from __future__ import annotations

from typing import Final, Literal

from experimenter.records import Record

__all__ = ["KINDS", "Choice", "Kind"]

Kind = Literal["sync", "native", "workers", "envpool"]
KINDS: Final[tuple[Kind, ...]] = ("sync", "native", "workers", "envpool")


class Choice(Record):
    """What was chosen, the measured steps per second by kind, and why each other kind was not."""

    kind: Kind = "sync"
    rates: dict[str, float] = {}
    reasons: dict[str, str] = {}

    @property
    def words(self) -> str:
        """In one line: ``sync: 95 k steps/s; workers: not tried, a step takes 8 µs``."""
        rates = {kind: f"{_thousands(rate)} steps/s" for kind, rate in self.rates.items()}
        order = (self.kind, *(kind for kind in KINDS if kind != self.kind))
        parts = {
            kind: ", ".join(part for part in (rates.get(kind), self.reasons.get(kind)) if part)
            for kind in order
        }
        return "; ".join(f"{kind}: {words}" for kind, words in parts.items() if words) or self.kind


def _thousands(rate: float) -> str:
    return (
        f"{rate / 1000:.0f} k"
        if rate >= 10_000
        else f"{rate / 1000:.1f} k"
        if rate >= 1000
        else f"{rate:.0f}"
    )
