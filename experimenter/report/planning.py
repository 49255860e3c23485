"""What a run's planner did, from its archived exchanges and its trials: who answered, what it used, what ran.

Archives outlive releases, and may be damaged: nothing here trusts the shape of an exchange's ``usage``. What cannot be
read is unknown, and an unknown part makes a sum unknown.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from experimenter.records import Json, Trial
from experimenter.report.executable import programs_of
from experimenter.results import Asked, Instead, Planning, Replayed, Spent
from experimenter.workspace.exchanges import Exchange

__all__ = ["BUILT_IN", "Told", "planning", "read_told"]

BUILT_IN: Final = ("search", "random")
"""Planners that come with the kernel and ask nobody."""

UNKNOWN: Final = "unknown"
_NO_REASON: Final = "no reason was given"
_REPLAY: Final = "replay:"
_MOST_TOKENS: Final = 10**12
_MOST_REASONS: Final = 20
_MOST_NAMES: Final = 20
_REASON: Final = 240
_PERSON: Final = "manual:"
_INSTEAD: Final = re.compile(r"The planner (\S{1,80}) refused \S{1,80}, so (\S{1,80}) answered it:(.*)", re.S)
_FILLED: Final = re.compile(r"No settings were proposed, so all are the planner (\S{1,80})'s:(.*)", re.S)
_GIVEN_UP: Final = re.compile(r"The program .{1,200} was given up: .{1,300} gave no valid answer", re.S)


@dataclass(frozen=True, slots=True)
class Told:
    """One exchange as its record tells it. ``first`` was asked, ``by`` answered; they differ after a refusal.

    ``source`` is the run whose archive the answer came from. ``mended`` are the hashes of those of the answer's reward
    programs that were repaired while the planner was asked; ``given_up`` others never came to be.
    """

    kind: str
    first: str
    by: str
    models: tuple[str, ...]
    served_as: tuple[str, ...]
    refused: bool
    reason: str
    repairs: int
    rejected: int
    source: str
    spent: Spent
    mended: tuple[str, ...]
    given_up: int

    @property
    def consulted(self) -> bool:
        """Whether anybody but a built-in planner took part."""
        return bool(self.models or self.source) or not {self.first, self.by} <= {*BUILT_IN, UNKNOWN}


def planning(exchanges: Iterable[Exchange], trials: Sequence[Trial]) -> Planning | None:
    """Everything that is known of a run's planner; ``None`` where nothing is. Pure, and never raises."""
    told = [read_told(one) for one in exchanges]
    programs = programs_of(told, trials)
    asked = told if any(one.consulted for one in told) else []
    if not asked and not programs:
        return None
    models = Counter(name for one in asked for name in one.models)
    kinds = dict.fromkeys(one.kind for one in asked)
    return Planning(
        questions=tuple(_asked(kind, [one for one in asked if one.kind == kind]) for kind in kinds),
        models=dict(models.most_common(_MOST_NAMES)),
        served_as=tuple(sorted({name for one in asked for name in one.served_as}))[:_MOST_NAMES],
        instead=_instead(asked),
        spent=_sum(one.spent for one in asked if not one.source),
        replayed=_replayed(asked),
        programs=programs,
    )


def read_told(one: Exchange) -> Told:
    """The exchange in figures, whatever its ``usage`` holds."""
    usage = one.usage if isinstance(one.usage, dict) else {}
    source, name = "", _text(usage.get("planner"))
    if "replayed" in usage:
        source = name.removeprefix(_REPLAY) or UNKNOWN
        usage = usage["replayed"] if isinstance(usage["replayed"], dict) else {}
    by = _text(usage.get("planner")) or name or UNKNOWN
    notes = _texts(usage.get("notes"))
    first, by, reason = _handed_over(usage, by, notes)
    rejected = _texts(usage.get("rejected"))
    given_up = sum(1 for note in notes if _GIVEN_UP.match(note))
    return Told(
        kind=one.kind,
        first=first,
        by=by,
        models=_models(usage),
        served_as=tuple(sorted(set(_texts(usage.get("served_as"))))) if _models(usage) else (),
        refused=isinstance(one.answer, dict) and one.answer.get("refused") is True,
        reason=reason,
        repairs=_count(usage.get("repairs")) or 0,
        rejected=len(rejected),
        source=source,
        spent=_spent(usage, source),
        mended=tuple(_texts(usage.get("mended"))),
        given_up=given_up,
    )


def _handed_over(usage: Mapping[str, Json], by: str, notes: Sequence[str]) -> tuple[str, str, str]:
    """Who was asked first, who answered, and why another one did, where another one did."""
    asked = "manual" if any(name.startswith(_PERSON) for name in _texts(usage.get("models"))) else "llm"
    for note in notes:
        if found := _INSTEAD.match(note):
            return found[1], found[2], found[3].strip() or _NO_REASON
        if found := _FILLED.match(note):
            return asked, found[1], found[2].strip() or _NO_REASON
    if by in BUILT_IN and (usage.get("models") or usage.get("faults")):
        said = [*_texts(usage.get("faults")), *notes]
        return asked, by, said[-1] if said else _NO_REASON
    return by, by, ""


def _models(usage: Mapping[str, Json]) -> tuple[str, ...]:
    """Language models; a person who answers in their place is none."""
    return tuple(sorted({name for name in _texts(usage.get("models")) if not name.startswith(_PERSON)}))


def _spent(usage: Mapping[str, Json], source: str) -> Spent:
    """Nothing where no model was called; unknown where the record says too little."""
    if not usage and not source:
        return Spent(input_tokens=None, cached_input_tokens=None, output_tokens=None, dollars=None)
    if not any(name in usage for name in ("models", "calls", "input_tokens", "output_tokens", "dollars")):
        return Spent()
    read, written = _count(usage.get("input_tokens")), _count(usage.get("output_tokens"))
    paid = _amount(usage.get("dollars"))
    return Spent(
        input_tokens=read,
        cached_input_tokens=_count(usage.get("cached_input_tokens")),
        output_tokens=written,
        at_least_tokens=(read or 0) + (written or 0),
        dollars=paid,
        at_least_dollars=paid or 0.0,
        seconds=_amount(usage.get("seconds")) or 0.0,
    )


def _sum(parts: Iterable[Spent]) -> Spent:
    found = tuple(parts)

    def total(name: str) -> Any:
        known = [value for one in found if (value := getattr(one, name)) is not None]
        return sum(known) if len(known) == len(found) else None

    return Spent.model_validate({name: total(name) for name in Spent.model_fields if name != "v"})


def _asked(kind: str, told: Sequence[Told]) -> Asked:
    return Asked(
        kind=kind,
        asked=len(told),
        answered_by=dict(sorted(Counter(one.by for one in told if not one.refused).items())),
        refused=sum(one.refused for one in told),
        instead=sum(1 for one in told if one.reason and not one.refused),
        repairs=sum(one.repairs for one in told),
        rejected=sum(one.rejected for one in told),
        replayed=sum(1 for one in told if one.source),
        spent=_sum(one.spent for one in told if not one.source),
    )


def _instead(told: Sequence[Told]) -> tuple[Instead, ...]:
    """Each reason once, the commonest first; what is beyond the twentieth is counted together."""
    handed = Counter(
        (one.kind, one.first, one.by, _brief(one.reason)) for one in told if one.reason and not one.refused
    )
    ranked = sorted(handed.items(), key=lambda item: (-item[1], item[0]))
    found = [
        Instead(kind=kind, planner=first, by=by, reason=reason, count=count)
        for (kind, first, by, reason), count in ranked[:_MOST_REASONS]
    ]
    if rest := ranked[_MOST_REASONS:]:
        last, others = rest[0][0], sum(count for _, count in rest)
        words = f"{len(rest)} other reasons"
        found.append(Instead(kind="", planner=last[1], by=last[2], reason=words, count=others))
    return tuple(found)


def _replayed(told: Sequence[Told]) -> tuple[Replayed, ...]:
    runs = dict.fromkeys(one.source for one in told if one.source)
    return tuple(
        Replayed(run=run, answers=len(parts), spent=_sum(one.spent for one in parts))
        for run in runs
        for parts in [[one for one in told if one.source == run]]
    )


def _text(value: Json) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: Json) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def _count(value: Json) -> int | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_TOKENS
    return int(value) if is_count else None


def _amount(value: Json) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 <= value <= _MOST_TOKENS else None


def _brief(words: str) -> str:
    line = " ".join(words.split())
    return line if len(line) <= _REASON else f"{line[: _REASON - 1]}…"
