"""Lessons as a file of JSON lines, to carry from one workspace to another; what comes in may be anybody's.

A line is ``{"v": 1, "lesson": {…}, "testimonies": [{…}, …]}``: the records as the workspace keeps them, so that the
weight of the evidence travels with the sentence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from pydantic import Field, ValidationError

from experimenter.errors import UsageError
from experimenter.identity import canonical_json
from experimenter.records import Lesson, PolicyRef, Record, Testimony

__all__ = ["LessonLine", "lesson_lines", "read_lesson_lines"]

MOST_BYTES: Final = 256 * 1024 * 1024
LONGEST_LINE: Final = 4 * 1024 * 1024
LONGEST_NAME: Final = 200
LONGEST_SENTENCE: Final = 10_000


class LessonLine(Record):
    """One line: a lesson, and what later trials said about it."""

    lesson: Lesson
    testimonies: tuple[Testimony, ...] = Field(default=(), max_length=100_000)


def lesson_lines(lessons: Sequence[Lesson], testimonies: Sequence[Testimony]) -> Iterator[str]:
    """Canonical JSON of every lesson with its testimonies, one line each, without the line's end."""
    about: dict[str, list[Testimony]] = {}
    for one in testimonies:
        about.setdefault(one.lesson, []).append(one)
    for lesson in lessons:
        yield canonical_json(LessonLine(lesson=lesson, testimonies=tuple(about.get(lesson.id, ()))))


def read_lesson_lines(path: Path) -> tuple[LessonLine, ...]:
    """Every line of the file, in order; empty lines are passed over.

    Raises UsageError naming every line that is refused (the first ten of them) and why: then none of them counts.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UsageError(f"{path} is larger than {MOST_BYTES // 1_048_576} MiB.", "Split it by lines.")
        raw = path.read_bytes()
    except OSError as cause:
        raise UsageError(f"{path} cannot be read: {cause.strerror}.", "Check the path.") from cause
    found: list[LessonLine] = []
    refused: list[str] = []
    for number, line in enumerate(raw.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            found.append(_read(line))
        except UsageError as cause:
            refused.append(f"line {number}: {cause.message}")
    refused += _clashes(found)
    if refused:
        more = f" And {len(refused) - 10} more." if len(refused) > 10 else ""
        raise UsageError(
            f"{path} is refused. " + " ".join(refused[:10]) + more,
            "Nothing was taken from it. Repair those lines.",
        )
    return tuple(found)


def _read(line: bytes) -> LessonLine:
    if len(line) > LONGEST_LINE:
        raise UsageError(f"it has more than {LONGEST_LINE // 1_048_576} MiB.")
    try:
        read = LessonLine.model_validate_json(line)
        canonical_json(read).encode()
    except ValidationError as cause:
        error = cause.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, error["loc"]))[:LONGEST_NAME]
        raise UsageError(f"{where}: {error['msg']}.".removeprefix(": ")) from cause
    except (ValueError, RecursionError) as cause:
        raise UsageError("it is no plain JSON.") from cause
    _check(read)
    return read


def _check(line: LessonLine) -> None:
    """What a record's types leave open, and a stranger's file may fill with anything."""
    lesson = line.lesson
    names = (lesson.id, lesson.environment, *lesson.trials, *(one.trial for one in line.testimonies))
    if any(not name or len(name) > LONGEST_NAME or not name.isprintable() for name in names):
        raise UsageError("an id is empty, too long, or holds characters that cannot be printed.")
    if not lesson.sentence.strip() or len(lesson.sentence) > LONGEST_SENTENCE:
        raise UsageError(f"its sentence is empty or has more than {LONGEST_SENTENCE:,} characters.")
    if any(one.lesson != lesson.id for one in line.testimonies):
        raise UsageError("one of its testimonies is about another lesson.")
    start = lesson.design.start if lesson.design else None
    if start is not None and not _inside(start):
        raise UsageError("its design starts from a policy outside the workspace.")


def _inside(policy: PolicyRef) -> bool:
    path = PurePosixPath(policy.path)
    return not path.is_absolute() and ".." not in path.parts


def _clashes(lines: Iterable[LessonLine]) -> list[str]:
    seen: dict[str, str] = {}
    clashes = []
    for line in lines:
        text = canonical_json(line)
        if seen.setdefault(line.lesson.id, text) != text:
            clashes.append(f"lesson {line.lesson.id} stands there twice, with different content.")
    return clashes
