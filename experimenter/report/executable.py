"""The executable share of reward programs: how many of those that a planner wrote passed every check, and when.

A program counts once, by its source, however many trials use it afterwards.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final, Protocol

from experimenter.judge.statistics import proportion
from experimenter.records import Candidate, Trial
from experimenter.results import Programs, Share

__all__ = ["Writing", "programs_of"]

_FAILED: Final = "failed its check"
_MEMORY: Final = "memory"
_UNKNOWN: Final = "unknown"
_SIGNED: Final = {"manual": "person"}
"""How a planner signs its programs, where not by its own name."""


class Writing(Protocol):
    """What an exchange tells of the programs in its answer, and of those that never came to be."""

    @property
    def first(self) -> str: ...
    @property
    def mended(self) -> tuple[str, ...]: ...
    @property
    def given_up(self) -> int: ...


def programs_of(told: Sequence[Writing], trials: Sequence[Trial]) -> tuple[Programs, ...]:
    """By author, in the order in which they first appear."""
    fates = _fates(trials)
    for one in told:
        _mend(fates, one)
    counted = Counter(fates.values())
    for one in told:
        if one.given_up:
            counted[_SIGNED.get(one.first, one.first), "given up"] += one.given_up
    return tuple(
        _author(name, *(counted[name, fate] for fate in ("first try", "repaired", "given up")))
        for name in dict.fromkeys(author for author, _ in counted)
    )


def _author(name: str, first: int, repaired: int, given_up: int) -> Programs:
    written = first + repaired + given_up
    return Programs(
        author=name,
        written=written,
        first_try=first,
        repaired=repaired,
        given_up=given_up,
        at_first_try=_share(first, written),
        executable=_share(first + repaired, written),
    )


def _share(count: int, of: int) -> Share:
    found = proportion(count, of)
    return Share(count=count, of=of, share=found.iqm, low=found.low, high=found.high)


def _fates(trials: Sequence[Trial]) -> dict[str, tuple[str, str]]:
    """Author and fate of each program of the journal, by its hash: what happened when it first appeared.

    One that was given up and passed later, beside another change, did run. What memory brought in was written for
    another run.
    """
    fates: dict[str, tuple[str, str]] = {}
    recalled: set[str] = set()
    for candidate in (item for trial in trials for item in trial.candidates):
        program = candidate.design.phases[-1].reward
        if program is None or program.hash in recalled:
            continue
        name, fate = program.hash, _fate(candidate)
        if candidate.design.origin.partition(":")[0] == _MEMORY and name not in fates:
            recalled.add(name)
        elif name not in fates or (fates[name][1] == "given up" and fate != "given up"):
            fates[name] = program.origin or _UNKNOWN, fate
    return fates


def _fate(candidate: Candidate) -> str:
    if candidate.discarded.startswith(_FAILED):
        return "given up"
    return "repaired" if candidate.repairs else "first try"


def _mend(fates: dict[str, tuple[str, str]], one: Writing) -> None:
    """A program that was repaired before the planner handed it over did not run at the first try."""
    for name in one.mended:
        author, fate = fates.get(name, ("", ""))
        if fate == "first try":
            fates[name] = author, "repaired"
