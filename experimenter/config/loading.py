"""Where each setting's value comes from: flag, variable, files, default."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from experimenter.config.models import Settings
from experimenter.errors import ConfigError, did_you_mean

__all__ = [
    "NAMES",
    "PREFIX",
    "PROJECT_FILE",
    "Resolved",
    "SettingLine",
    "describe_settings",
    "load_settings",
    "user_file",
]

PREFIX: Final = "EXPERIMENTER_"
PROJECT_FILE: Final = "experimenter.toml"
_OTHER_VARIABLES: Final = frozenset(
    {
        "EXPERIMENTER_DEBUG",
        "EXPERIMENTER_OPENAI_API",
        "EXPERIMENTER_COMPAT_BASE_URL",
        "EXPERIMENTER_COMPAT_API_KEY",
    }
)


NAMES: Final = tuple(name for name in Settings.model_fields if name != "v")
_MAY_BE_NOTHING: Final = frozenset(
    {"budget_steps", "budget_seconds", "budget_tokens", "budget_dollars", "model", "model_temperature"}
)


_FLAGS: Final = {"models": "role", "routes": "route", "notes": "note"}
"""Flags that are given once for each entry."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """The settings with the origin of each: ``flag``, a variable's name, a file's path, or ``default``."""

    settings: Settings
    origins: dict[str, str]


@dataclass(frozen=True, slots=True)
class SettingLine:
    """One line of ``config show``."""

    name: str
    value: Any
    origin: str
    description: str


def user_file() -> Path:
    """The user's own configuration file, whether or not it exists."""
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path("~/.config").expanduser())
    return Path(base) / "experimenter" / "config.toml"


def load_settings(flags: Mapping[str, Any], *, directory: Path = Path()) -> Resolved:
    """Settings by precedence: flag, variable, ``directory/experimenter.toml``, the user's file, default.

    A flag of ``None`` was not given. Raises ConfigError naming the origin and the key of whatever is wrong,
    also where a stronger origin overrides it: a mistake that is found early costs least.
    """
    values: dict[str, Any] = {}
    origins = dict.fromkeys(NAMES, "default")
    for origin, found in _layers(flags, directory):
        _check(origin, found)
        values |= {key: _nothing_or(key, value) for key, value in found.items()}
        origins |= {key: _name_of(origin, key) for key in found}
    return Resolved(Settings(**values), origins)


def describe_settings(resolved: Resolved) -> tuple[SettingLine, ...]:
    """Name, value, origin and description of every setting, in the order in which they are declared."""
    fields = Settings.model_fields
    return tuple(
        SettingLine(
            name, getattr(resolved.settings, name), resolved.origins[name], fields[name].description or ""
        )
        for name in NAMES
    )


def _layers(flags: Mapping[str, Any], directory: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """From the weakest to the strongest."""
    for path in (user_file(), directory / PROJECT_FILE):
        yield str(path), _from_file(path)
    yield PREFIX, _from_variables(os.environ)
    yield "flag", {key: value for key, value in flags.items() if value is not None}


def _name_of(origin: str, key: str) -> str:
    return PREFIX + key.upper() if origin == PREFIX else origin


def _from_file(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as cause:
        raise ConfigError(f"{path} cannot be read: {cause}.", "Repair the file, or move it away.") from cause
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as cause:
        raise ConfigError(f"{path} is not valid TOML: {cause}.", "Write settings as: key = value") from cause


def _from_variables(environ: Mapping[str, str]) -> dict[str, Any]:
    """An empty variable counts as one that is not set, as shells have it."""
    mine = {key: value for key, value in environ.items() if key.startswith(PREFIX) and value}
    return {key.removeprefix(PREFIX).lower(): mine[key] for key in sorted(mine.keys() - _OTHER_VARIABLES)}


def _nothing_or(key: str, value: Any) -> Any:
    """``none`` is how a variable or a file, which know no null, lift a limit."""
    return None if key in _MAY_BE_NOTHING and value == "none" else value


def _check(origin: str, found: Mapping[str, Any]) -> None:
    """Checks one layer by itself, so that the message can say where the mistake stands."""
    for key in found:
        if key not in NAMES:
            raise ConfigError(f"{_where(origin, key)} is not a setting.", _what_is_known(key))
    try:
        Settings(**{key: _nothing_or(key, value) for key, value in found.items()})
    except ValidationError as cause:
        first = cause.errors()[0]
        key = str(first["loc"][0])
        field = Settings.model_fields[key]
        raise ConfigError(
            f"{_where(origin, key)} = {found[key]!r} is refused: {first['msg'].removeprefix('Value error, ')}.",
            f"{key}: {field.description} The default is {field.get_default(call_default_factory=True)!r}.",
        ) from cause


def _where(origin: str, key: str) -> str:
    if origin == "flag":
        return f"--{_FLAGS.get(key, key).replace('_', '-')}"
    return PREFIX + key.upper() if origin == PREFIX else f"{origin}: {key}"


def _what_is_known(key: str) -> str:
    return did_you_mean(key, NAMES) or "See all of them with: experimenter config show."
