"""The report of a run: a page that opens offline, the same as Markdown, and the model card of its policy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from experimenter.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from pathlib import Path

    from experimenter.workspace.store import Workspace

__all__ = ["CARD", "FORMATS", "MARKDOWN", "PAGE", "check_formats", "write_report", "write_reports"]

PAGE, MARKDOWN, CARD = "report.html", "report.md", "MODEL_CARD.md"
FORMATS: Final = {"html": PAGE, "md": MARKDOWN, "card": CARD}


def check_formats(formats: Iterable[str]) -> None:
    """Passes for names out of ``FORMATS``. Raises UsageError, with did-you-mean."""
    for name in formats:
        if name not in FORMATS:
            hint = did_you_mean(name, [*FORMATS, "all"]) or "It is html, md, card, or all."
            raise UsageError(f"There is no report format '{name[:40]}'.", hint)


def write_report(workspace: Workspace, run_id: str) -> Path:
    """Writes all files of ``write_reports`` and returns the path of ``report.html``."""
    return write_reports(workspace, run_id)[PAGE]


def write_reports(workspace: Workspace, run_id: str) -> dict[str, Path]:
    """Writes ``report.html``, ``report.md`` and ``MODEL_CARD.md`` into ``runs/<id>``, each atomically.

    Returns their paths by file name; the card is left out, and an old one removed, while the run has no policy. The
    report of a run that has not finished, or failed, says what is missing. Runs nothing: it shows the films that are
    there. Raises NotFound for an unknown run and WorkspaceError where a file cannot be written.
    """
    from experimenter.report.document import document
    from experimenter.report.gather import gather
    from experimenter.report.model_card import model_card
    from experimenter.report.more import look_further
    from experimenter.report.page import page
    from experimenter.workspace.files import write_atomic

    data = gather(workspace, run_id)
    more = look_further(workspace, data)
    folder = workspace.run_folder(data.record.id)
    texts = {PAGE: page(data, more), MARKDOWN: document(data, more), CARD: model_card(data, more)}
    for name, text in texts.items():
        if text is None:
            (folder / name).unlink(missing_ok=True)
        else:
            write_atomic(folder / name, text)
    return {name: folder / name for name, text in texts.items() if text is not None}
