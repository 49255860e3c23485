"""The journal in short, as a prompt shows it: what was tried, what came of it, what was wrong, what was refused.

The newest attempts and the best one are told; older ones are counted. Figures of a hidden judge are never among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from experimenter.identity import canonical_json
from experimenter.planners.llm.quoting import inline
from experimenter.planners.llm.words import FAULTS, number
from experimenter.questions import Attempt
from experimenter.records import Fault, Hyperparameters, OffPolicySettings

__all__ = ["best_of", "diagnosed", "history_lines", "programs_of", "refused_lines", "worst_of"]

NEWEST: Final = 24
REFUSED: Final = 8
DIAGNOSED: Final = 3
_MOST_FAULTS: Final = 6
_OPEN: Final = frozenset({"dead component", "constant component", "dominated component", "training failed"})
"""Faults that tell nothing of the true return."""


def history_lines(history: Sequence[Attempt], *, hidden: bool = False) -> list[str]:
    """One line for each of the newest attempts that ran, and for the best one; the newest last."""
    ran = [attempt for attempt in history if not attempt.error]
    best = None if hidden else best_of(ran)
    shown = ran[-NEWEST:]
    older = ran[: -len(shown)] if shown else []
    lines = []
    if older:
        lines.append(
            f"{len(older)} older attempts are left out" + (", all but the best." if best in older else ".")
        )
    if best is not None and best in older:
        lines.append(_line(best, hidden, True))
    return lines + [_line(attempt, hidden, attempt is best) for attempt in shown]


def refused_lines(history: Sequence[Attempt]) -> list[str]:
    """The newest designs that failed a check or a training, each with its error in one line."""
    failed = [attempt for attempt in history if attempt.error]
    lines = [f"{len(failed) - REFUSED} older ones are left out."] if len(failed) > REFUSED else []
    return lines + [f"{_what(attempt)}: {inline(attempt.error, 300)}" for attempt in failed[-REFUSED:]]


def diagnosed(history: Sequence[Attempt], *, hidden: bool = False) -> tuple[list[str], list[str]]:
    """Faults of the best and of the newest attempts: their fixed meaning, and apart from it the details found.

    Details hold names that a program's author chose, so only the first list may stand outside of a quoted block.
    """
    meanings: dict[str, None] = {}
    details = []
    for attempt in _looked_at(history, hidden):
        for fault in _faults(attempt, hidden):
            meanings[f"- {fault.name}: {FAULTS[fault.name]}"] = None
            component = f" of {inline(fault.component, 60)}" if fault.component else ""
            detail = "" if hidden else f": {inline(fault.detail, 240)}"
            details.append(f"{_what(attempt)}: {fault.name}{component}{detail}")
    return list(meanings), details


def _faults(attempt: Attempt, hidden: bool) -> list[Fault]:
    found = attempt.diagnosis.faults if attempt.diagnosis else ()
    return [fault for fault in found if not hidden or fault.name in _OPEN][:_MOST_FAULTS]


def _looked_at(history: Sequence[Attempt], hidden: bool) -> list[Attempt]:
    ran = [attempt for attempt in history if attempt.diagnosis and attempt.diagnosis.faults]
    best = None if hidden else best_of(history)
    newest = ran[-DIAGNOSED:]
    return [*([best] if best is not None and best in ran and best not in newest else []), *newest]


def best_of(history: Sequence[Attempt]) -> Attempt | None:
    """The best that ran, by the judge's figure and then by how far it reached; the earlier of equals."""
    scored = [attempt for attempt in history if not attempt.error and attempt.true_return is not None]
    return max(scored, key=_standing, default=None)


def worst_of(history: Sequence[Attempt]) -> Attempt | None:
    """The worst attempt with a program of its own, where there are two that differ."""
    written = programs_of(history)
    if len({attempt.reward.source for attempt in written if attempt.reward}) < 2:
        return None
    return min(written, key=_standing)


def programs_of(history: Sequence[Attempt]) -> list[Attempt]:
    """Attempts that ran with a reward program, and were judged."""
    return [a for a in history if a.reward is not None and not a.error and a.true_return is not None]


def _standing(attempt: Attempt) -> tuple[float, float]:
    return (float(attempt.true_return or 0.0), attempt.reach)


def _what(attempt: Attempt) -> str:
    reward = f" {inline(attempt.reward.name, 60)}" if attempt.reward else ""
    return f"{inline(attempt.trial, 20)} ({attempt.lever}{reward})"


def _line(attempt: Attempt, hidden: bool, is_best: bool) -> str:
    parts = [f"{attempt.steps:,} steps"]
    if not hidden:
        parts.append(f"true return {number(attempt.true_return)}")
        if attempt.success_rate is not None:
            parts.append(f"success {attempt.success_rate:.0%}")
    parts.append(f"reach {attempt.reach:.2f}")
    if attempt.effect is not None and not hidden:
        parts.append(f"effect {attempt.effect:+.4g}")
    if attempt.diagnosis and not hidden:
        parts.append(f"curve {attempt.diagnosis.curve}")
    parts += [fault.name for fault in _faults(attempt, hidden)]
    changed = _changed(attempt)
    best = "; the best so far" if is_best and not hidden else ""
    return f"{_what(attempt)}: {', '.join(parts)}{best}{changed}"


def _changed(attempt: Attempt) -> str:
    """What the lever changed, where a name does not say it already."""
    if attempt.lever == "hyperparameters":
        settings: Hyperparameters | OffPolicySettings = attempt.off_policy or attempt.hyperparameters
        usual = type(settings)().model_dump()
        told = {name: value for name, value in settings.model_dump().items() if usual[name] != value}
        return f"; {inline(canonical_json(told), 400)}" if told else "; the usual settings"
    if attempt.lever == "environment":
        mixed = [{"weight": one.weight, **one.environment.kwargs} for one in attempt.environments]
        return f"; {inline(canonical_json(mixed), 400)}"
    return ""
