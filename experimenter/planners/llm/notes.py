"""What a person adds to a goal and what memory recalled, each item numbered and with where it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from experimenter.planners.llm.quoting import inline, quoted
from experimenter.planners.llm.words import number
from experimenter.records import Lesson, Record

__all__ = ["Note", "lessons_told", "noted"]

_MOST_LESSONS: Final = 12
_ONE_NOTE: Final = 6_000


class Note(Record):
    """What a person adds to a goal. ``source`` is where it comes from, such as a file's name; it is shown with it."""

    kind: Literal["rule", "hint", "document"] = "hint"
    text: str
    source: str = "the goal"


def noted(notes: Sequence[Note]) -> str:
    """Numbered, each with its kind and source; a long document leaves room for the others.

    A note's own text is quoted once more, so that a document cannot begin a rule of the person's.
    """
    told = [
        f"[{place}] {note.kind}, from {inline(note.source)}:\n{quoted(note.text, _ONE_NOTE)}"
        for place, note in enumerate(notes, start=1)
    ]
    return "\n".join(told)


def lessons_told(lessons: Sequence[Lesson]) -> str:
    """The first of them, which memory found best, with who learned each, where, and how well it stands."""
    return "\n".join(_lesson(place, one) for place, one in enumerate(lessons[:_MOST_LESSONS], start=1))


def _lesson(place: int, one: Lesson) -> str:
    confirmed = ""
    if one.interval is not None:
        low, high = number(one.interval.low), number(one.interval.high)
        confirmed = (
            f"; confirmed at {number(one.interval.iqm)} [{low}, {high}] over {one.interval.seeds} seeds"
        )
    origin = f"by {inline(one.origin, 40)} in {inline(', '.join(one.trials[:3]), 120) or 'an unknown trial'}"
    where = f"{inline(one.environment, 80)}, lever {one.lever}"
    return f"[{place}] {inline(one.sentence, 500)} ({origin}; {where}{confirmed})"
