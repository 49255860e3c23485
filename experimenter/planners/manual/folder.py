"""The folder of questions: which file belongs to which call, what stands beside it, and who answered first.

    0007-write_rewards-3f2a9c1b.md           a call: its order, its kind, and a digest of all that is asked
    0007-write_rewards-3f2a9c1b.answer.md    its answer (or .answer.json, .answer.txt)
    0007-write_rewards-3f2a9c1b.done         the run has taken the answer; the mark names its file

The same call has the same digest, so a run that was killed finds its question again, and its answer if one came.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from experimenter.errors import UsageError, WorkspaceError
from experimenter.planners.llm.parsing import ReplyRejected, parse_code, parse_object
from experimenter.workspace.files import make_folder, write_atomic

__all__ = [
    "MOST_BYTES",
    "Look",
    "Place",
    "check_open",
    "declined",
    "decoded",
    "leave",
    "place_for",
    "places",
    "slip",
]

MOST_BYTES: Final = 1_000_000
_NAME: Final = re.compile(r"(\d{4,9})-([a-z_]{1,40})-([0-9a-f]{8})\.md")
_SUFFIXES: Final = (".answer.md", ".answer.json", ".answer.txt")
_REFUSE: Final = re.compile(r"\s*refuse:[ \t]*(.*)", re.IGNORECASE)
_PATIENCE: Final = 10.0


@dataclass(frozen=True, slots=True)
class Look:
    """What stood beside a question at one moment: an answer's text, or why a file there cannot be one."""

    file: Path
    mark: tuple[int, int, int]
    text: str = ""
    wrong: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """A question's place in its folder."""

    folder: Path
    number: int
    kind: str
    digest: str

    @property
    def stem(self) -> str:
        return f"{self.number:04d}-{self.kind}-{self.digest}"

    @property
    def page(self) -> Path:
        return self.folder / f"{self.stem}.md"

    @property
    def answer(self) -> Path:
        return self.folder / f"{self.stem}{_SUFFIXES[0]}"

    @property
    def done(self) -> Path:
        return self.folder / f"{self.stem}.done"

    def look(self) -> Look | None:
        """The first file that could be taken, or else the first that should be an answer and cannot."""
        found = [look for suffix in _SUFFIXES if (look := _look(self.folder / f"{self.stem}{suffix}"))]
        return next((look for look in found if not look.wrong), found[0] if found else None)


def places(folder: Path) -> tuple[Place, ...]:
    """Every question of a folder, the oldest first; none where the folder does not exist."""
    try:
        names = sorted(file.name for file in folder.iterdir())
    except OSError:
        return ()
    found = [match for name in names if (match := _NAME.fullmatch(name))]
    return tuple(
        sorted((Place(folder, int(one[1]), one[2], one[3]) for one in found), key=lambda one: one.number)
    )


def place_for(folder: Path, kind: str, digest: str) -> Place:
    """Where a call's question stands, or the next free place."""
    known = places(make_folder(folder))
    for place in known:
        if (place.kind, place.digest) == (kind, digest):
            return place
    return Place(folder, known[-1].number + 1 if known else 1, kind, digest)


def decoded(raw: bytes) -> str:
    """An answer's text. Raises UsageError for what is too long or not UTF-8."""
    if len(raw) > MOST_BYTES:
        raise UsageError(f"It has more than {MOST_BYTES:,} bytes.", "Only the answer is wanted; be brief.")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as cause:
        raise UsageError(
            f"It is not UTF-8 text (byte {cause.start}).", "Save it again with the encoding UTF-8."
        ) from None


def declined(text: str) -> str | None:
    """Why the one who answers leaves the question to others (``refuse: why``), or ``None`` for an answer."""
    first, _, rest = text.strip().partition("\n")
    match = _REFUSE.fullmatch(first)
    if match is None:
        return None
    return match[1].strip() or " ".join(rest.split()) or "no reason was given"


def slip(text: str, *, code: bool) -> ReplyRejected | None:
    """What is wrong with an answer at first sight; whether its content holds is judged by the run alone."""
    if declined(text) is not None:
        return None
    try:
        parse_code(text) if code else parse_object(text)
    except ReplyRejected as cause:
        return cause
    return None


def leave(place: Place, text: str) -> Path:
    """Puts an answer beside its question. The first one stays: raises UsageError where there is one already."""
    from filelock import FileLock, Timeout

    try:
        with FileLock(str(place.folder / ".answering.lock"), timeout=_PATIENCE):
            check_open(place)
            write_atomic(place.answer, text)
    except Timeout as cause:
        raise WorkspaceError(
            f"Somebody else is writing into {place.folder}.", "Try again in a moment."
        ) from cause
    return place.answer


def check_open(place: Place) -> None:
    """Raises UsageError where an answer stands already, or was taken."""
    if place.done.exists():
        raise UsageError(
            f"Question {place.number} was answered already, and the run has taken the answer.",
            "Look for the next question with: experimenter answer --list",
        )
    found = place.look()
    if found is not None and not found.wrong:
        raise UsageError(
            f"Question {place.number} has an answer already: {found.file}",
            "The first one counts. To change it before the run takes it, edit that file.",
        )


def _look(path: Path) -> Look | None:
    """``None`` for a file that is not there, or is empty: nothing was said yet."""
    try:
        mark = _mark(path.lstat())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as cause:
        return Look(path, (0, 0, 0), wrong=_unreadable(cause))
    real = Path(os.path.realpath(path))
    if not real.is_relative_to(os.path.realpath(path.parent)):
        return Look(path, mark, wrong="It is a link that leads out of its folder. Put a copy there.")
    try:
        descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as cause:
        return Look(path, mark, wrong=_unreadable(cause))
    try:
        return _read(path, descriptor)
    except OSError as cause:
        return Look(path, mark, wrong=_unreadable(cause))
    finally:
        os.close(descriptor)


def _read(path: Path, descriptor: int) -> Look | None:
    state = os.fstat(descriptor)
    mark = _mark(state)
    if not stat.S_ISREG(state.st_mode):
        return Look(path, mark, wrong="It is no ordinary file. Put a text file there.")
    with os.fdopen(os.dup(descriptor), "rb") as handle:
        raw = handle.read(MOST_BYTES + 1)
    try:
        text = decoded(raw)
    except UsageError as error:
        return Look(path, mark, wrong=str(error))
    return Look(path, mark, text=text) if text.strip() else None


def _mark(state: os.stat_result) -> tuple[int, int, int]:
    return state.st_ino, state.st_size, state.st_mtime_ns


def _unreadable(cause: OSError) -> str:
    return f"It cannot be read: {cause.strerror or cause}. Give the run read access to it."
