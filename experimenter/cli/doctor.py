"""``experimenter doctor``: what this machine offers, and what to do about what is missing."""

from __future__ import annotations

import typer

from experimenter.cli.options import AsJson, WorkspaceFolder, workspace_root

__all__ = ["doctor"]


def doctor(workspace: WorkspaceFolder = None, as_json: AsJson = False) -> None:
    """Check Python, packages, machine, workspace and containment; exit code 1 when a run could not work."""
    from experimenter.cli.checks import all_checks
    from experimenter.cli.console import print_json, screen
    from experimenter.cli.tables import plain_table
    from experimenter.report.text import safe_text

    checks = all_checks(workspace_root(workspace))
    sound = all(check.state != "bad" for check in checks)
    if as_json:
        facts = {c.name: {"state": c.state, "words": c.words, "hint": c.hint} for c in checks}
        print_json({"ok": sound, "checks": facts})
    else:
        table = plain_table("", "check", "found", "what to do")
        for check in checks:
            mark = {"good": "✓", "note": "·", "bad": "✗"}[check.state]
            table.add_row(mark, check.name, safe_text(check.words), safe_text(check.hint))
        screen().print(table)
    if not sound:
        raise typer.Exit(1)
