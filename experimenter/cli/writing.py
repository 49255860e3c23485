"""Where the text of an answer comes from: a pipe, a file, or an editor; and what is wrong with it at first sight."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from experimenter.cli.console import say
from experimenter.errors import ExperimenterError, UsageError

__all__ = ["CUT", "in_editor", "kept", "looked_over", "pasted", "read_file"]

CUT: Final = "<!-- ✂ Write the answer above this line. The line, and all that follows it, is left out. -->"
_EDITORS: Final = ("nano", "vi", "vim", "emacs")


def pasted() -> str:
    """All of the standard input. Raises UsageError for what is too long or not UTF-8."""
    from experimenter.planners.manual.folder import MOST_BYTES

    if sys.stdin.isatty():
        say("paste the answer, then press Ctrl-D on a line of its own:")
    return _text(sys.stdin.buffer.read(MOST_BYTES + 1), "what was pasted")


def read_file(path: Path) -> str:
    """The text of a file. Raises UsageError for one that cannot be read, is too long, or is not UTF-8."""
    from experimenter.planners.manual.folder import MOST_BYTES

    try:
        with path.open("rb") as handle:
            raw = handle.read(MOST_BYTES + 1)
    except OSError as cause:
        raise UsageError(f"{path} cannot be read: {cause.strerror or cause}", "Check its path.") from cause
    return _text(raw, str(path))


def _text(raw: bytes, what: str) -> str:
    from experimenter.planners.manual.folder import decoded

    try:
        return decoded(raw)
    except UsageError as error:
        raise UsageError(f"{what} cannot be taken. {error.message}", error.hint) from None


def in_editor(page: str) -> str:
    """What the person writes above the question, which the editor shows. Raises UsageError where there is no editor."""
    command = _editor()
    with tempfile.TemporaryDirectory(prefix="experimenter-answer-") as folder:
        draft = Path(folder) / "answer.md"
        draft.write_text(f"\n\n{CUT}\n\n{page}", encoding="utf-8")
        _run(command, draft)
        text, cut, _ = read_file(draft).partition(CUT)
    with kept(text):
        if not cut:
            raise UsageError(
                "the line that marks the end of the answer is gone, so nothing was sent", "Keep that line."
            )
    return text


def _editor() -> list[str]:
    named = os.environ.get("VISUAL") or os.environ.get("EDITOR") or ""
    try:
        words = shlex.split(named) or [name for name in _EDITORS if shutil.which(name)][:1]
    except ValueError:
        words = [named]
    if not words or shutil.which(words[0]) is None:
        missing = f"the editor '{words[0]}' is not there" if words else "no editor is there"
        raise UsageError(missing, "Set VISUAL or EDITOR to one, or answer with --file FILE or --paste.")
    return words


def _run(command: list[str], draft: Path) -> None:
    code = subprocess.run([*command, str(draft)], check=False).returncode
    if code:
        raise UsageError(
            f"the editor '{command[0]}' ended with code {code}, so nothing was sent", "Try again."
        )


def looked_over(text: str, page: str, *, force: bool) -> str:
    """The text, unless it is empty or plainly no answer to the page. Raises UsageError."""
    from experimenter.planners.manual.folder import slip
    from experimenter.planners.manual.page import wants_code

    if not text.strip():
        raise UsageError("the answer is empty, so nothing was sent", "The question stays open.")
    error = None if force else slip(text, code=wants_code(page))
    if error is not None:
        hint = f"{error.hint} Nothing was sent; --force sends it as it is.".strip()
        raise UsageError(f"this does not look like an answer: {error.message}", hint)
    return text


@contextmanager
def kept(text: str) -> Iterator[None]:
    """What was typed is not lost by an error: it stays in a file, which the error names."""
    try:
        yield
    except ExperimenterError as error:
        if not text.strip():
            raise
        with tempfile.NamedTemporaryFile(
            "w", prefix="answer-", suffix=".md", delete=False, encoding="utf-8"
        ) as file:
            file.write(text)
        hint = f"{error.hint} Your text is kept: --file {file.name}"
        raise UsageError(error.message, hint) from error
