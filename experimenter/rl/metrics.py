"""A training's own log: one JSON line per update in ``metrics.jsonl``, under CleanRL's names."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import IO, Any

__all__ = ["MetricsLog", "spent"]


class MetricsLog:
    """Appends lines; at a resume it drops those after the checkpoint and says how many steps they had counted."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "metrics.jsonl"
        self._file: IO[str] | None = None

    def rewind(self, env_steps: int) -> int:
        """Drop lines beyond ``env_steps`` and a torn last line; returns the steps that were lost (0 or more)."""
        from experimenter.workspace.files import write_atomic

        if not self.path.exists():
            return 0
        kept, last = [], env_steps
        for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
            at = _env_steps(line)
            if at is None:
                continue
            last = max(last, at)
            if at <= env_steps:
                kept.append(line)
        write_atomic(self.path, "".join(line + "\n" for line in kept))
        return last - env_steps

    def write(self, plain: dict[str, Any], **groups: dict[str, Any]) -> None:
        """One line: ``plain`` values, and each group's under ``group/name``."""
        grouped = {f"{group}/{k}": v for group, values in groups.items() for k, v in values.items()}
        values = {k: v for k, v in (plain | grouped).items() if not isinstance(v, float) or math.isfinite(v)}
        if self._file is None:
            self._file = self.path.open("a", encoding="utf-8")
        self._file.write(json.dumps(values, sort_keys=True) + "\n")
        self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def spent(folder: Path) -> int:
    """Environment steps of the training in ``folder``, by the last whole line of its log; 0 where it has none."""
    try:
        lines = (folder / "metrics.jsonl").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return 0
    return next((at for line in reversed(lines) if (at := _env_steps(line)) is not None), 0)


def _env_steps(line: str) -> int | None:
    try:
        return int(json.loads(line)["env_steps"])
    except (ValueError, KeyError, TypeError):
        return None
