"""``experimenter tui``: the Textual application, found as a face through its entry point."""

from __future__ import annotations

from experimenter.cli.options import WorkspaceFolder, open_workspace, workspace_root

__all__ = ["tui"]


def tui(workspace: WorkspaceFolder = None) -> None:
    """Open the workspace's runs in a full-screen view."""
    from experimenter.plugins import load

    open_workspace(workspace).close()
    load("faces", "tui")(workspace_root(workspace)).run()
