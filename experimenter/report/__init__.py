"""The report of a run: one HTML file that opens offline, with the verdict first."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from experimenter.workspace.store import Workspace

__all__ = ["write_report"]


def write_report(workspace: Workspace, run_id: str) -> Path:
    """Writes ``runs/<id>/report.html`` atomically and returns its path.

    The report of a run that has not finished, or failed, says what is missing.
    Raises NotFound for an unknown run and WorkspaceError where the file cannot be written.
    """
    from experimenter.report.gather import gather
    from experimenter.report.page import page
    from experimenter.workspace.files import write_atomic

    data = gather(workspace, run_id)
    path = workspace.run_folder(data.record.id) / "report.html"
    write_atomic(path, page(data))
    return path
