"""Answers kept in a file, so that a row of hours that was interrupted goes on where it was."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

__all__ = ["Kept", "SpoiltFile"]

Answered = dict[str, Any]


_BEGINNING: Final = b'{"asked": '


class SpoiltFile(Exception):
    """The file with kept answers cannot be read or written; says which line and why."""


class Kept:
    """One JSON line for each answer under what was asked, written through to the disk at once.

    A kept answer stands for a run only where all of its question is the same. Of the code it knows nothing: keep
    one file for one state of the code. A last line cut off in mid-word, as by a power failure, is asked again.
    """

    def __init__(self, path: Path | None) -> None:
        """Raises SpoiltFile where ``path`` is not such a file."""
        self._path = path
        self._answers: dict[str, Answered] = {}
        if path is not None:
            self._read(path)

    def get(self, question: dict[str, Any], ask: Callable[[], Answered]) -> Answered:
        """What was answered before, or what ``ask`` answers now. Raises what ``ask`` raises, and SpoiltFile."""
        key = _key(question)
        if key not in self._answers:
            self._answers[key] = ask()
            self._write(key)
        return self._answers[key]

    def _read(self, path: Path) -> None:
        try:
            written = path.read_bytes() if path.exists() else b""
            whole = written[: written.rfind(b"\n") + 1]
            lines = whole.decode().splitlines()
        except (OSError, UnicodeDecodeError) as failure:
            raise SpoiltFile(f"{path} cannot be used: {failure}") from failure
        for number, line in enumerate(lines, 1):
            try:
                self._answers |= {_key(entry["asked"]): entry["answer"] for entry in [json.loads(line)]}
            except (ValueError, KeyError, TypeError):
                raise _spoilt(path, number) from None
        if cut := written[len(whole) :]:
            if not cut.startswith(_BEGINNING[: len(cut)]):
                raise _spoilt(path, len(lines) + 1)
            os.truncate(path, len(whole))

    def _write(self, key: str) -> None:
        if self._path is None:
            return
        line = json.dumps({"asked": json.loads(key), "answer": self._answers[key]})
        try:
            with self._path.open("a") as file:
                file.write(line + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as failure:
            raise SpoiltFile(f"{self._path} cannot be written: {failure}") from failure


def _spoilt(path: Path, line: int) -> SpoiltFile:
    return SpoiltFile(f"{path}, line {line}: not an answer that was kept")


def _key(question: Any) -> str:
    return json.dumps(question, sort_keys=True)
