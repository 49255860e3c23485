"""Options that several commands share, and the settings they add up to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from experimenter.errors import NotFound, UsageError
from experimenter.identity import valid_name

if TYPE_CHECKING:
    from experimenter.config import Settings
    from experimenter.workspace.store import Workspace

__all__ = [
    "AsJson",
    "RunName",
    "Seed",
    "SetValues",
    "WorkspaceFolder",
    "check_name",
    "given_limits",
    "open_workspace",
    "parse_set",
    "resolve",
    "workspace_root",
]

WorkspaceFolder = Annotated[
    Path | None,
    typer.Option("--workspace", metavar="FOLDER", help="Where runs are kept.", show_default="./experiments"),
]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run's name, its beginning, or 'latest'.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, and nothing else.")]
SetValues = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Set a constructor parameter of the environment. Repeatable."
    ),
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Everything random is derived from it.")]


def parse_set(pairs: Sequence[str] | None) -> dict[str, Any]:
    """``key=value`` pairs as a dictionary; a value is JSON where it can be, else a string. Raises UsageError."""
    values: dict[str, Any] = {}
    for pair in pairs or ():
        key, sign, value = pair.partition("=")
        if not sign or not key.isidentifier():
            raise UsageError(f"--set wants KEY=VALUE, not '{pair}'", "For example: --set size=8")
        if key in values:
            raise UsageError(f"--set gives '{key}' twice", "Keep one of them.")
        values[key] = _value(value)
    return values


def _value(text: str) -> Any:
    if text in ("True", "False", "None"):
        text = {"True": "true", "False": "false", "None": "null"}[text]
    try:
        return json.loads(text, parse_constant=_no_constant)
    except ValueError:
        return text


def _no_constant(name: str) -> Any:
    raise UsageError(f"--set cannot take {name}", "Use a finite number.")


def check_name(name: str | None) -> str | None:
    """``name`` when it can name a run. Raises UsageError."""
    if name is not None and not valid_name(name):
        hint = "A name is a lower-case letter, then up to 39 lower-case letters, digits or underscores."
        raise UsageError(f"'{name}' cannot name a run", hint)
    return name


def given_limits(
    steps: int | None, seconds: float | None, tokens: int | None, dollars: float | None
) -> dict[str, float]:
    """The limits that were given, by currency."""
    limits = {"env_steps": steps, "seconds": seconds, "tokens": tokens, "dollars": dollars}
    return {currency: limit for currency, limit in limits.items() if limit is not None}


def resolve(**flags: Any) -> Settings:
    """The settings of this call: the flags that were given, over environment, files and defaults."""
    from experimenter.config import load_settings

    given = {key: value for key, value in flags.items() if value is not None}
    if "workspace" in given:
        given["workspace"] = str(given["workspace"])
    return load_settings(given).settings


def workspace_root(folder: Path | None) -> Path:
    """The workspace's folder, absolute."""
    return Path(resolve(workspace=folder).workspace).expanduser().absolute()


def open_workspace(folder: Path | None) -> Workspace:
    """The existing workspace; raises NotFound, saying how to begin, where there is none."""
    from experimenter.workspace.store import Workspace

    root = workspace_root(folder)
    if not (root / "workspace.sqlite").exists():
        hint = 'Start with: experimenter run "your wish" --env CartPole-v1, or name another with --workspace.'
        raise NotFound(f"there is no workspace in {root}", hint)
    return Workspace.open(root, create=False)
