"""Where the winner came from: the programs that its program descends from, and the trials that its design does."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from experimenter.records import Candidate, Design, Json, RewardProgram, Trial

__all__ = ["Ancestor", "Revision", "lineage", "program_history", "program_of", "source_diff"]

_MOST: Final = 50


@dataclass(frozen=True, slots=True)
class Revision:
    """One program of the history with what it changed. ``others`` names further parents (a crossover)."""

    program: RewardProgram
    trial: str
    design: str
    score: float | None
    diff: tuple[str, ...]
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ancestor:
    """One trial of the design's line, with what its design changed against the one before."""

    trial: str
    lever: str
    changed: str
    score: float | None
    effect: float | None


@dataclass(frozen=True, slots=True)
class _Found:
    trial: Trial
    candidate: Candidate
    program: RewardProgram


def program_of(design: Design) -> RewardProgram | None:
    """The reward program of the last phase that has one."""
    return next((phase.reward for phase in reversed(design.phases) if phase.reward is not None), None)


def source_diff(old: RewardProgram, new: RewardProgram) -> tuple[str, ...]:
    """The unified diff of two sources, line by line, without line ends; empty where they agree."""
    before, after = old.source.splitlines(), new.source.splitlines()
    return tuple(difflib.unified_diff(before, after, old.name, new.name, lineterm=""))


def program_history(trials: Sequence[Trial], design: Design) -> tuple[Revision, ...]:
    """The programs that led to the design's one, the oldest first and itself last; empty for the native reward.

    A program's parents are looked up by hash in the journal; one without a known parent follows its design's parent
    trial. Each diff is against the revision before.
    """
    newest = program_of(design)
    if newest is None:
        return ()
    journal = _journal(trials)
    chain = list(_back(newest, design, journal, {trial.id: trial for trial in trials}))
    pairs = zip(chain, [*chain[1:], None], strict=True)
    made = [_revision(one, None if old is None else old[0], journal) for one, old in pairs]
    return tuple(reversed(made))


def _journal(trials: Sequence[Trial]) -> dict[str, _Found]:
    """Each program by its hash, where it was tried first."""
    found: dict[str, _Found] = {}
    for trial in trials:
        for candidate in trial.candidates:
            program = program_of(candidate.design)
            if program is not None:
                found.setdefault(program.hash, _Found(trial, candidate, program))
    return found


def _back(
    program: RewardProgram, design: Design, journal: Mapping[str, _Found], trials: Mapping[str, Trial]
) -> Iterator[tuple[RewardProgram, Design]]:
    """From a program to its first ancestor; a circle or a very long line ends it."""
    seen: set[str] = set()
    here: tuple[RewardProgram, Design] | None = (program, design)
    while here is not None and here[0].hash not in seen and len(seen) < _MOST:
        yield here
        seen.add(here[0].hash)
        here = _before(*here, journal, trials)


def _before(
    program: RewardProgram, design: Design, journal: Mapping[str, _Found], trials: Mapping[str, Trial]
) -> tuple[RewardProgram, Design] | None:
    first = journal.get(program.hash)
    own = first.candidate.design if first is not None else design
    for parent in program.parents:
        if parent in journal and parent != program.hash:
            return journal[parent].program, journal[parent].candidate.design
    for trial in _parents(own, trials):
        older = program_of(trial.winner.design) if trial.winner is not None else None
        if older is not None and older.hash != program.hash and trial.winner is not None:
            return older, trial.winner.design
    return None


def _parents(design: Design, trials: Mapping[str, Trial]) -> Iterator[Trial]:
    """The trials that a design descends from, the nearest first."""
    seen: set[str] = set()
    name = _trial_id(design.parent)
    while name is not None and name in trials and name not in seen:
        seen.add(name)
        trial = trials[name]
        yield trial
        name = _trial_id(trial.winner.design.parent) if trial.winner is not None else None


def _trial_id(parent: str | None) -> str | None:
    return None if parent is None else parent.rpartition("/")[2]


def _revision(
    here: tuple[RewardProgram, Design], older: RewardProgram | None, journal: Mapping[str, _Found]
) -> Revision:
    program, design = here
    first = journal.get(program.hash)
    score = None if first is None else first.candidate.true_score
    used = older.hash if older is not None else ""
    others = [journal[p].program.name if p in journal else p[:8] for p in program.parents if p != used]
    return Revision(
        program=program,
        trial=first.trial.id if first is not None else "",
        design=first.candidate.design.name if first is not None else design.name,
        score=None if score is None else float(score),
        diff=() if older is None else source_diff(older, program),
        others=tuple(others),
    )


def lineage(trials: Sequence[Trial], trial: Trial | None) -> tuple[Ancestor, ...]:
    """The line of trials that led to ``trial``'s winner, the oldest first."""
    if trial is None or trial.winner is None:
        return ()
    by_id = {one.id: one for one in trials}
    line = [trial, *(one for one in _parents(trial.winner.design, by_id) if one.id != trial.id)][:_MOST]
    olders = [*line[1:], None]
    return tuple(reversed([_ancestor(new, old) for new, old in zip(line, olders, strict=True)]))


def _ancestor(trial: Trial, older: Trial | None) -> Ancestor:
    assert trial.winner is not None
    design = trial.winner.design
    before = older.winner.design if older is not None and older.winner is not None else None
    score = trial.winner.true_score
    words = "the beginning of the line" if before is None else _changes(before, design)
    return Ancestor(trial.id, trial.lever, words, None if score is None else float(score), trial.effect)


def _changes(old: Design, new: Design) -> str:
    """What differs, in words; steps are left out, because every trial sets its own."""
    parts = []
    first, second = program_of(old), program_of(new)
    if (first.hash if first else "") != (second.hash if second else ""):
        parts.append(f"reward {first.name if first else 'native'} → {second.name if second else 'native'}")
    if len(old.phases) != len(new.phases):
        parts.append(f"{len(old.phases)} → {len(new.phases)} phases")
    else:
        parts += _setting_changes(old, new)
    if [p.environments for p in old.phases] != [p.environments for p in new.phases]:
        parts.append("other environments")
    if old.start != new.start:
        parts.append("another starting policy" if new.start is not None else "from scratch")
    if old.network != new.network:
        parts.append("another network")
    return ", ".join(parts) or "nothing but the steps"


def _setting_changes(old: Design, new: Design) -> list[str]:
    found: dict[str, str] = {}
    for before, after in zip(old.phases, new.phases, strict=True):
        was: dict[str, Json] = (before.off_policy or before.hyperparameters).model_dump(exclude={"v"})
        now: dict[str, Json] = (after.off_policy or after.hyperparameters).model_dump(exclude={"v"})
        for name, value in now.items():
            if name in was and was[name] != value:
                found[name] = f"{name} {was[name]} → {value}"
        if before.methods != after.methods:
            names = ", ".join(use.name for use in after.methods) or "none"
            found["methods"] = f"methods: {names}"
    return list(found.values())
