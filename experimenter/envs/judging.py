"""Which success measure applies: the goal's, then the family's, then a boolean ``info`` key, then none."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Final

from experimenter.envs.families import family
from experimenter.errors import UsageError
from experimenter.records import EnvSpec, JudgeSpec

__all__ = ["judge_for", "parse_judge"]

_GRAMMAR: Final = "Write return, return>=NUMBER, length>=NUMBER or info:KEY."
_TRUE_SCORE: Final = "the true score is the undiscounted native return"


def judge_for(goal_judge: str | None, spec: EnvSpec, *, info_flags: Iterable[str] = ()) -> JudgeSpec:
    """The judge of an environment. ``info_flags`` are the ``info`` keys that held true or false in probes.

    Raises UsageError when ``goal_judge`` is not of the grammar ``return``, ``return>=N``, ``length>=N``, ``info:KEY``.
    """
    flags = tuple(info_flags)
    if goal_judge is not None:
        return parse_judge(goal_judge, flags)
    owner = family(spec.family)
    if owner.succeeded(spec, 0.0, False, {}) is not None:
        return JudgeSpec(
            kind="family",
            declared_by="family",
            words=f"success as the {owner.name} family declares it: the episode terminated with a return above 0; "
            f"{_TRUE_SCORE}",
        )
    key = owner.success_key(spec, flags)
    if key is not None:
        return JudgeSpec(
            kind="info",
            key=key,
            declared_by="info",
            words=f"success when info[{key!r}] is true at any step of the episode; {_TRUE_SCORE}",
        )
    return JudgeSpec()


def parse_judge(text: str, info_flags: Iterable[str] = ()) -> JudgeSpec:
    """The judge that a goal declares. Raises UsageError with the grammar when ``text`` is not of it."""
    plain = text.strip()
    if plain == "return":
        return JudgeSpec(declared_by="goal", words=f"no success measure, as the goal says: {_TRUE_SCORE}")
    compared = re.fullmatch(r"(return|length)\s*>=\s*(\S+)", plain)
    if compared:
        return _threshold(compared[1], _number(compared[2], text))
    told = re.fullmatch(r"info:(\S+)", plain)
    if told is None:
        raise UsageError(f"The judge {text!r} cannot be read.", _GRAMMAR)
    unseen = "" if told[1] in set(info_flags) else " (random rollouts never showed that key as true or false)"
    return JudgeSpec(
        kind="info",
        key=told[1],
        declared_by="goal",
        words=f"success when info[{told[1]!r}] is true at any step of the episode, as the goal says{unseen}; "
        f"{_TRUE_SCORE}",
    )


def _number(word: str, text: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(f"The judge {text!r} names no number: {word!r}.", _GRAMMAR)
    return value


def _threshold(what: str, threshold: float) -> JudgeSpec:
    if what == "return":
        words = f"success when the native return is at least {threshold:g}, as the goal says; {_TRUE_SCORE}"
        return JudgeSpec(kind="return_at_least", threshold=threshold, declared_by="goal", words=words)
    words = f"success when the episode lasts at least {threshold:g} steps, as the goal says; {_TRUE_SCORE}"
    return JudgeSpec(kind="length_at_least", threshold=threshold, declared_by="goal", words=words)
