"""Friendly words for what components did: which dominate, which are dead, which go against the true score."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from experimenter.report.lines import number, percent

if TYPE_CHECKING:
    from experimenter.report.traces import Paid

__all__ = ["component_words"]

_DEAD: Final = 1e-9
_DOMINANT: Final = 0.8
_NEGLIGIBLE: Final = 0.01
_TIED: Final = 0.5
_SAME: Final = 0.9995
_AGAINST: Final = -0.2


def component_words(components: Sequence[Paid]) -> tuple[str, ...]:
    """One sentence for each thing worth knowing; one that all is well where nothing stands out."""
    found = tuple(_sentences(components))
    return found or ("No component dominates, and none is dead.",)


def _sentences(components: Sequence[Paid]) -> Iterator[str]:
    for one in components:
        if _is_dead(one):
            yield f"{one.name} is dead: it never paid anything, so it could go."
        elif len(components) > 1 and one.share >= _DOMINANT:
            yield f"{one.name} dominates: it is {percent(one.share)} of all reward that was paid."
        elif len(components) > 1 and one.share <= _NEGLIGIBLE:
            yield f"{one.name} hardly counts: it is {percent(one.share)} of all reward."
        yield from _about_truth(one)


def _about_truth(one: Paid) -> Iterator[str]:
    if one.correlation is None or _is_dead(one):
        return
    if one.correlation <= _AGAINST:
        yield (
            f"{one.name} goes against the true score (correlation {number(one.correlation)}): "
            "episodes that earn more of it return less."
        )
    elif one.correlation >= _SAME:
        yield f"{one.name} rises and falls exactly with the true score."
    elif one.correlation >= _TIED:
        yield f"{one.name} goes with the true score (correlation {number(one.correlation)})."


def _is_dead(one: Paid) -> bool:
    return max((abs(x) for x in (*one.minimum, *one.maximum)), default=0.0) <= _DEAD
