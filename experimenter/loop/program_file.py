"""A person's reward program, read from a file that may be anything: the bench's first gate."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from experimenter.errors import ProgramRejected, UsageError
from experimenter.identity import slug
from experimenter.records import RewardProgram

__all__ = ["read_program"]

LARGEST: Final = 20_000
_BYTES: Final = 4 * LARGEST
_NAME_IT: Final = "Name a Python file with def reward(t)."


def read_program(path: Path) -> RewardProgram:
    """The program in ``path``, named after the file.

    Raises UsageError when there is no such file, when it is no plain file or may not be read: then the command is
    wrong. Raises ProgramRejected (layer ``file``) for a file that can be read and holds no text of a program's size:
    then the program is.
    """
    data = _read(path)
    if len(data) > _BYTES:
        raise _refuse(path, "is too large for a reward program", f"Keep it under {LARGEST:,} characters.")
    try:
        source = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _refuse(path, "is not text in UTF-8", _NAME_IT) from None
    if not source.strip():
        raise _refuse(path, "is empty", _NAME_IT)
    try:
        return RewardProgram(name=slug(path.stem, "reward"), source=source, origin="person")
    except ValidationError:
        hint = f"Keep it under {LARGEST:,} characters."
        raise _refuse(path, f"has {len(source):,} characters, too many for a reward program", hint) from None


def _read(path: Path) -> bytes:
    """At most one byte more than a program may have; never waits at a pipe or a device."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UsageError(f"{path} is not a plain file.", _NAME_IT)
        with path.open("rb") as file:
            return file.read(_BYTES + 1)
    except OSError as cause:
        raise UsageError(f"{path} cannot be read: {cause.strerror or cause}.", _NAME_IT) from cause
    except ValueError as cause:
        raise UsageError(f"No file can have this name: {cause}.", _NAME_IT) from cause


def _refuse(path: Path, words: str, hint: str) -> ProgramRejected:
    return ProgramRejected(f"{path.name} {words}.", hint, "file")
