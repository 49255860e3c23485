"""What memory finds is made here: lessons, skills and methods as items with a text and the weight of their evidence.

Weights are fixed arithmetic over what is stored, so that anyone can say why one item came before another.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from experimenter.nearness import nearness
from experimenter.records import EnvSpec, Interval, Lesson, MemoryItem, Method, Skill, Testimony

__all__ = [
    "METHOD_WEIGHT",
    "item_id",
    "lesson_items",
    "lesson_weight",
    "memory_items",
    "method_items",
    "nearness",
    "skill_items",
    "skill_weight",
]

# A method has no evidence in this workspace; trials that use it leave lessons, which have.
METHOD_WEIGHT: Final = 0.6
LEAST: Final = 0.01
UNCONFIRMED_PRECISION: Final = 0.5
_Z: Final = 1.959964  # a 95 % interval
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[-_/:]+")


def item_id(kind: str, name: str) -> str:
    """The id of an item in memory: ``lesson:<id>``, ``skill:<name>`` or ``method:<name>``."""
    return f"{kind}:{name}"


def memory_items(
    lessons: Sequence[Lesson] = (),
    testimonies: Sequence[Testimony] = (),
    skills: Sequence[Skill] = (),
    methods: Sequence[Method] = (),
) -> tuple[MemoryItem, ...]:
    """Everything that memory can find, each kind in the order given."""
    return (*lesson_items(lessons, testimonies), *skill_items(skills), *method_items(methods))


def lesson_items(lessons: Sequence[Lesson], testimonies: Sequence[Testimony] = ()) -> tuple[MemoryItem, ...]:
    """Lessons as items; the weight counts what later trials testified."""
    about: Mapping[str, list[Testimony]] = _by_lesson(testimonies)
    return tuple(
        MemoryItem(
            id=item_id("lesson", lesson.id),
            kind="lesson",
            text=f"{lesson.sentence} ({_spelled(lesson.environment)})",
            spec=lesson.spec or EnvSpec(id=lesson.environment),
            weight=lesson_weight(lesson, about.get(lesson.id, ())),
        )
        for lesson in lessons
    )


def skill_items(skills: Sequence[Skill]) -> tuple[MemoryItem, ...]:
    """Skills as items; the text holds name, description, environment and what it requires and gives."""
    return tuple(
        MemoryItem(
            id=item_id("skill", skill.name),
            kind="skill",
            text=_sentence(
                _spelled(skill.name),
                skill.description,
                _spelled(skill.environment.id),
                *skill.preconditions,
                *skill.requires,
                *skill.gives,
            ),
            spec=skill.environment,
            weight=skill_weight(skill),
        )
        for skill in skills
    )


def method_items(methods: Sequence[Method]) -> tuple[MemoryItem, ...]:
    """Methods as items; they belong to no environment."""
    return tuple(
        MemoryItem(
            id=item_id("method", method.name),
            kind="method",
            text=_sentence(_spelled(method.name), method.description, method.when, method.needs),
            weight=METHOD_WEIGHT,
        )
        for method in methods
    )


def lesson_weight(lesson: Lesson, testimonies: Iterable[Testimony] = ()) -> float:
    """In (0, 1]: ``(k · base + agreeing) / (k + agreeing + contradicting)``.

    ``base`` = 0.2 + 0.8 · seeds/(seeds + 2) · precision, where precision is 1 for an interval of no width and falls to
    a half for one as wide as its middle is far from zero; unconfirmed lessons count as one seed with precision a half.
    ``k`` = 1 + seeds: what rests on many seeds gives way more slowly. Every contradiction lowers the weight, every
    agreement raises it.
    """
    seeds = lesson.interval.seeds if lesson.interval else 1
    base, k = _evidence(lesson.interval), 1.0 + max(1, seeds)
    votes = [one.agrees for one in testimonies if one.lesson == lesson.id]
    agreeing = sum(votes)
    return min(1.0, (k * base + agreeing) / (k + len(votes)))


def skill_weight(skill: Skill) -> float:
    """The lower bound of its success over training seeds, where a success measure applies.

    With a rate but no interval: Wilson's lower bound over the judge's episodes. Without a success measure: as a
    lesson's base, how well its score is known (seeds, narrowness), which says nothing about how good the score is.
    At least 0.01.
    """
    if skill.success is not None:
        return _bounded(skill.success.low)
    if skill.success_rate is not None:
        episodes = len(skill.episodes.scores) if skill.episodes else max(1, skill.score.seeds)
        return _bounded(_wilson_low(min(1.0, max(0.0, skill.success_rate)), episodes))
    return _bounded(_evidence(skill.score))


def _evidence(interval: Interval | None) -> float:
    if interval is None:
        return 0.2 + 0.8 * (1 / 3) * UNCONFIRMED_PRECISION
    seeds = max(1, interval.seeds)
    return 0.2 + 0.8 * seeds / (seeds + 2) * _precision(interval)


def _precision(interval: Interval) -> float:
    width = abs(interval.high - interval.low)
    return 1.0 if width == 0 else 1.0 - width / (width + abs(interval.iqm))


def _wilson_low(rate: float, n: int) -> float:
    """The lower end of Wilson's score interval for a proportion (Wilson 1927)."""
    middle = rate + _Z**2 / (2 * n)
    spread = _Z * math.sqrt((rate * (1 - rate) + _Z**2 / (4 * n)) / n)
    return (middle - spread) / (1 + _Z**2 / n)


def _bounded(weight: float) -> float:
    return min(1.0, max(LEAST, weight))


def _by_lesson(testimonies: Sequence[Testimony]) -> Mapping[str, list[Testimony]]:
    found: defaultdict[str, list[Testimony]] = defaultdict(list)
    for one in testimonies:
        found[one.lesson].append(one)
    return found


def _spelled(name: str) -> str:
    """``MiniGrid-DoorKey-5x5-v0`` as words, so that a question about a door and a key can meet it."""
    return " ".join(word for word in _CAMEL.split(name) if word)


def _sentence(*parts: str) -> str:
    return ". ".join(part.strip().rstrip(".") for part in parts if part.strip())
