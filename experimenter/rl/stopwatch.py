"""How long one training was at work: neither the time in which it waited for others, nor what was done for them."""

from __future__ import annotations

import time
from types import TracebackType

__all__ = ["Stopwatch"]


class Stopwatch:
    """Monotonic seconds while it runs (``with watch:``), and shares of what was done for several at once."""

    def __init__(self) -> None:
        self._counted = 0.0
        self._since: float | None = None

    def __enter__(self) -> Stopwatch:
        self._since = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._since is not None:
            self._counted += time.monotonic() - self._since
        self._since = None

    def add(self, seconds: float) -> None:
        """What somebody else did for it."""
        self._counted += seconds

    def lap(self) -> float:
        """Seconds since the last lap, or since the beginning."""
        now = time.monotonic()
        running = 0.0 if self._since is None else now - self._since
        self._since = None if self._since is None else now
        counted, self._counted = self._counted + running, 0.0
        return counted
