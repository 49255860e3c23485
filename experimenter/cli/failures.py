"""The one place where an error becomes words and an exit code. Nothing here shows a traceback unless it is asked to.

Exit codes: see ``EXIT_CODES``, which is also the end of ``experimenter --help``.
"""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from experimenter.errors import ExperimenterError, did_you_mean
from experimenter.report.text import safe_text

__all__ = ["EXIT_CODES", "Failure", "failure_of", "show_failure"]

EXIT_CODES: Final = (
    (0, "done"),
    (1, "something failed; the message says what to do next"),
    (2, "the input is wrong: a command, an option, a setting, a name, a budget"),
    (3, "the environment is at fault: it raises, hangs, or leaves its spaces"),
    (4, "generated code cannot be contained on this machine"),
    (5, "the workspace is unwritable, full, damaged, newer, or held by another process"),
    (130, "stopped on request; what was finished is kept"),
)


@dataclass(frozen=True, slots=True)
class Failure:
    """What a person is told: one line, what to do next, and the exit code."""

    message: str
    hint: str
    exit_code: int


def failure_of(error: BaseException) -> Failure:
    """The failure that ``error`` means. An error that is not ours is written to a log file, which is named."""
    if isinstance(error, ExperimenterError):
        return Failure(error.message, error.hint, error.exit_code)
    if type(error).__name__ == "Abort" or isinstance(error, KeyboardInterrupt):
        return Failure("stopped on request", "Nothing that was finished is lost.", 130)
    if hasattr(error, "format_message"):
        return _misused(error)
    if isinstance(error, OSError):
        what = f"{error.strerror or error}: {error.filename}" if error.filename else str(error)
        return Failure(what, "Check that the path exists, is writable and has room; --workspace moves it.", 5)
    return _unexpected(error)


def show_failure(failure: Failure, *, as_json: bool) -> int:
    """Writes ``failure`` to stderr, and to stdout as one object when ``as_json``. Returns its exit code."""
    print(f"error: {safe_text(failure.message)}", file=sys.stderr)
    if failure.hint:
        print(f"→ {safe_text(failure.hint)}", file=sys.stderr)
    if as_json:
        import json

        print(json.dumps({"error": failure.message, "hint": failure.hint, "exit_code": failure.exit_code}))
    return failure.exit_code


def _misused(error: BaseException) -> Failure:
    """A usage error of the command-line parser: wrong command, option, value or missing argument."""
    context = getattr(error, "ctx", None)
    path = getattr(context, "command_path", "experimenter")
    message = str(error.format_message())  # type: ignore[attr-defined]
    if type(error).__name__ == "NoArgsIsHelpError":
        message = f"'{path}' needs a command"
    message, guess = _without_list(message), _guess(error)
    first = message.rstrip(".")
    hint = f"{guess} See '{path} --help'.".strip()
    return Failure(first[:1].lower() + first[1:], hint, int(getattr(error, "exit_code", 2)))


def _without_list(message: str) -> str:
    for mark in (" (Possible options:", " Did you mean", " Possible options"):
        message = message.split(mark, 1)[0]
    return " ".join(message.split())


def _guess(error: BaseException) -> str:
    context = getattr(error, "ctx", None)
    command = getattr(context, "command", None)
    option = getattr(error, "option_name", None)
    if type(error).__name__ == "NoSuchOption" and command is not None and option:
        known = [name for parameter in command.params for name in parameter.opts if name.startswith("--")]
        return did_you_mean(option, known)
    if "No such command" in str(getattr(error, "message", "")) and command is not None:
        word = str(getattr(error, "message", "")).split("'")
        return did_you_mean(word[1], getattr(command, "commands", ())) if len(word) > 1 else ""
    return ""


def _unexpected(error: BaseException) -> Failure:
    """An error nobody foresaw: the traceback goes to a file, or to the screen with EXPERIMENTER_DEBUG=1."""
    words = f"{type(error).__name__}: {error}".strip().rstrip(":")
    text = "".join(traceback.format_exception(error))
    if os.environ.get("EXPERIMENTER_DEBUG") == "1":
        print(text, file=sys.stderr)
        return Failure(f"unexpected {words}", "The traceback is above.", 1)
    place = _log(text)
    kept = f"The traceback is in {place}; EXPERIMENTER_DEBUG=1 shows it here." if place else ""
    return Failure(
        f"unexpected {words}", f"This is a fault of the program, please report it. {kept}".strip(), 1
    )


def _log(text: str) -> Path | None:
    home = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "experimenter"
    for folder in (home, Path(tempfile.gettempdir())):
        path = folder / f"error-{os.getpid()}.log"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError:
            continue
        return path
    return None
