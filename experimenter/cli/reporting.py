"""What ``experimenter report`` needs to know: its formats, where copies go, and what became of the films."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experimenter.errors import UsageError
from experimenter.report import FORMATS, check_formats

if TYPE_CHECKING:
    from experimenter.workspace.store import Workspace

__all__ = ["copy_report", "film_words", "report_facts", "wanted_reports"]


def wanted_reports(format_: str, output: Path | None) -> tuple[str, ...]:
    """The file names that a format means. Raises UsageError for an unknown one, or for copying several to one file."""
    if format_ == "all":
        if output is not None:
            raise UsageError("--output takes one file, and --format all writes three.", "Name one format.")
        return tuple(FORMATS.values())
    check_formats([format_])
    return (FORMATS[format_],)


def copy_report(written: Mapping[str, Path], wanted: Sequence[str], output: Path | None) -> list[Path]:
    """The paths to show; the only one is copied to ``output`` where that is given.

    Raises UsageError when the model card alone is wanted and there is no policy to write about.
    """
    from experimenter.workspace.files import write_atomic

    found = [written[name] for name in wanted if name in written]
    if not found:
        raise UsageError(
            "This run has no policy yet, so there is no model card.", "See: experimenter report --format html"
        )
    if output is None:
        return found
    write_atomic(output.absolute(), found[0].read_bytes())
    return [output.absolute()]


def report_facts(
    written: Mapping[str, Path], shown: Sequence[Path], output: Path | None
) -> dict[str, str | None]:
    """Where everything is, as plain JSON: ``null`` for the card of a run without a policy, and without a copy."""
    places = {name: str(written[file]) if file in written else None for name, file in FORMATS.items()}
    return {
        "report": places["html"],
        "markdown": places["md"],
        "card": places["card"],
        "copy": None if output is None else str(shown[0]),
    }


def film_words(store: Workspace, run: str) -> list[dict[str, Any]]:
    """Films what is not filmed yet; says on stderr what could not be, and returns the notes as plain JSON."""
    from experimenter.cli.console import say
    from experimenter.execution.filming import film_run

    notes = film_run(store, run)
    if not notes:
        say("There is nothing to film yet: the run has no confirmed policy.")
    for note in notes:
        if note.error:
            say(f"{note.arm} could not be filmed: {note.error}")
    return [note.model_dump(mode="json", exclude={"v"}) for note in notes]
