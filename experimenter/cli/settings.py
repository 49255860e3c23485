"""``experimenter config``: every setting with its value and where the value comes from."""

from __future__ import annotations

import typer

from experimenter.cli.options import AsJson

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Show settings, and where each value comes from.")


@app.command("show")
def show(as_json: AsJson = False) -> None:
    """Show every setting, its value, its origin and what it means."""
    from experimenter.cli.console import print_json, screen
    from experimenter.cli.tables import plain_table
    from experimenter.config import describe_settings, load_settings
    from experimenter.report.text import safe_text

    lines = describe_settings(load_settings({}))
    if as_json:
        print_json({line.name: {"value": line.value, "origin": line.origin} for line in lines})
        return
    table = plain_table("setting", "value", "from", "what it is")
    for line in lines:
        value = "none" if line.value is None else line.value
        table.add_row(line.name, safe_text(value), safe_text(line.origin), line.description)
    screen().print(table)


@app.command("path")
def path(as_json: AsJson = False) -> None:
    """Say which files are read, the stronger one first."""
    from pathlib import Path

    from experimenter.cli.console import print_json
    from experimenter.config import PROJECT_FILE, user_file

    files = (Path(PROJECT_FILE).absolute(), user_file())
    if as_json:
        print_json([{"path": str(file), "exists": file.exists()} for file in files])
        return
    for file in files:
        print(f"{file}{'' if file.exists() else '  (not there)'}")
