"""What a person adds to a goal and what memory recalled, each item numbered and with where it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

from experimenter.errors import ConfigError
from experimenter.planners.llm.quoting import inline, quoted
from experimenter.planners.llm.words import number
from experimenter.records import Lesson, Record

__all__ = ["Note", "as_file", "lessons_told", "noted", "read_notes"]

_MOST_LESSONS: Final = 12
_ONE_NOTE: Final = 6_000
_LARGEST_FILE: Final = 2_000_000


class Note(Record):
    """What a person adds to a goal. ``source`` is where it comes from, such as a file's name; it is shown with it."""

    kind: Literal["rule", "hint", "document"] = "hint"
    text: str
    source: str = "the goal"


def read_notes(texts: Sequence[str]) -> tuple[Note, ...]:
    """Notes as a person gives them: ``rule: …`` and ``hint: …``, the path of a text file, or a plain sentence, a hint.

    A file is read here and now, so that what a run was told cannot change under it. Raises ConfigError for one that
    is not there or no text.
    """
    return tuple(_given(text) for text in texts)


def _given(text: str) -> Note:
    kind, colon, rest = text.partition(":")
    if colon and kind.strip().lower() in ("rule", "hint"):
        return Note(kind="rule" if kind.strip().lower() == "rule" else "hint", text=rest.strip())
    path = as_file(text.removeprefix("@"))
    if path is None and not text.startswith("@"):
        return Note(text=text.strip())
    named = path or Path(text.removeprefix("@"))
    return Note(kind="document", text=_document(named), source=named.name)


def as_file(text: str) -> Path | None:
    """The path that a person means: of a file that is there, or one word with a suffix, as a mistyped name would be.

    ``None`` for anything else, sentences of any length among them.
    """
    name = text.strip()
    try:
        path = Path(name).expanduser()
        if path.is_file():
            return path
    except (OSError, ValueError, RuntimeError):
        return None
    return path if " " not in name and path.suffix else None


def _document(path: Path) -> str:
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise ConfigError(f"The note {path} is larger than 2 MB.", "Give the part that matters.")
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as cause:
        if isinstance(cause, UnicodeDecodeError):
            raise ConfigError(f"The note {path} is no UTF-8 text.", "Save it as plain text first.") from cause
        raise ConfigError(
            f"The note {path} cannot be read: {getattr(cause, 'strerror', None) or cause}.", "Check the path."
        ) from cause
    if not text.strip():
        raise ConfigError(f"The note {path} is empty.", "Leave it out.")
    return text


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
