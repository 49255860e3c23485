"""Every setting, typed and explained, and where its value comes from: flag, variable, files, default."""

from __future__ import annotations

from experimenter.config.loading import (
    NAMES,
    PREFIX,
    PROJECT_FILE,
    Resolved,
    SettingLine,
    describe_settings,
    load_settings,
    user_file,
)
from experimenter.config.models import Settings

__all__ = [
    "NAMES",
    "PREFIX",
    "PROJECT_FILE",
    "Resolved",
    "SettingLine",
    "Settings",
    "describe_settings",
    "load_settings",
    "user_file",
]
