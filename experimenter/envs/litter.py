"""Keeps a physics engine from leaving files in the folder where a person happens to work.

MuJoCo adds each of its warnings (a simulation that became unstable) to ``MUJOCO_LOG.TXT`` in the current folder,
besides saying it on standard error, and learning agents provoke many. What it says stays; the file is not written.
"""

from __future__ import annotations

import sys
from typing import Any, Final

__all__ = ["keep_folder_clean"]

_LOG: Final = "MUJOCO_LOG.TXT"


def keep_folder_clean() -> None:
    """Called when an environment was built, which may have loaded MuJoCo. What a person set up otherwise stays."""
    mujoco: Any = sys.modules.get("mujoco")
    if hasattr(mujoco, "MjLogConfig"):
        config = mujoco.MjLogConfig.get()
        if config.logto_file and config.logfile == _LOG:
            config.logto_file = False
            config.set()
    elif hasattr(mujoco, "set_mju_user_warning") and mujoco.get_mju_user_warning() is None:
        mujoco.set_mju_user_warning(_say)


def _say(words: str) -> None:
    """Releases before MjLogConfig write the file only where nobody hears their warnings."""
    print(f"WARNING: {words}", file=sys.stderr)
