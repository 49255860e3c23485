"""Our end of the line to the process that owns the index: starts it, listens without waiting, gives up on silence."""

from __future__ import annotations

import base64
import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np

__all__ = ["IndexProcess"]

_STARTS: Final = 3
_PATIENCE: Final = 2.0
# The owner asks for its lock twice a second: so long it may look held although it was just given back.
_GRACE: Final = 1.5


class IndexProcess:
    """An index that may be absent at any time: still building, owned by another process, or dead.

    ``nearest`` then answers ``None``, and whoever asked scans.
    """

    def __init__(self, root: Path, embedder_id: str, size: int) -> None:
        self._arguments = [str(root), embedder_id, str(size)]
        self._process: subprocess.Popen[bytes] | None = None
        self._starts = 0
        self._asked = 0
        self._waiting = b""
        self._seq, self._fit = 0, False
        self.held_elsewhere = False

    def poll(self) -> None:
        """Starts the process where there is none, and hears what it said since. Never waits."""
        if self._process is None and self._starts < _STARTS:
            self._start()
        for line in self._lines(0.0):
            self._hear(line)

    def covers(self, seq: int) -> bool:
        """Whether it has followed every vector up to ``seq`` and passed its audit."""
        return self._process is not None and self._fit and self._seq >= seq

    def settled(self, seq: int, seconds: float) -> bool:
        """Waits up to ``seconds`` until it covers ``seq``, or is known not to; says whether it does."""
        began = time.monotonic()
        deadline, grace = began + seconds, began + min(seconds, _GRACE)
        self.poll()
        while not self.covers(seq) and self._process is not None and time.monotonic() < deadline:
            if self._seq >= seq and not self._fit:
                break
            if self.held_elsewhere and time.monotonic() > grace:
                break
            for line in self._lines(0.05):
                self._hear(line)
        return self.covers(seq)

    def nearest(self, question: np.ndarray, count: int) -> list[tuple[str, float]] | None:
        """Text hashes with their cosines, the nearest first, or ``None`` when the index cannot say."""
        self._asked += 1
        vector = base64.b64encode(question.astype("<f4").tobytes()).decode()
        if not self._send({"id": self._asked, "vector": vector, "count": count}):
            return None
        deadline = time.monotonic() + _PATIENCE
        while self._process is not None and (left := deadline - time.monotonic()) > 0:
            for line in self._lines(left):
                if line.get("id") == self._asked:
                    return [(str(name), float(cosine)) for name, cosine in line["found"]]
                self._hear(line)
        self._end(kill=True)
        return None

    def close(self, seconds: float = 10.0) -> None:
        """Ends the process, leaving the index to the next owner."""
        if self._process is not None:
            self._end(kill=False, seconds=seconds)

    def _start(self) -> None:
        self._starts += 1
        command = [sys.executable, "-P", "-m", "experimenter_memory.worker", *self._arguments]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,
            )
        except OSError:
            self._starts = _STARTS

    def _send(self, words: dict[str, Any]) -> bool:
        if self._process is None or self._process.stdin is None:
            return False
        try:
            self._process.stdin.write(json.dumps(words).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            self._end(kill=True)
            return False
        return True

    def _lines(self, seconds: float) -> list[dict[str, Any]]:
        if self._process is None or self._process.stdout is None:
            return []
        pipe = self._process.stdout.fileno()
        while select.select([pipe], [], [], seconds)[0]:
            read = os.read(pipe, 1 << 16)
            if not read:
                self._end(kill=True)
                break
            self._waiting += read
            seconds = 0.0 if b"\n" in self._waiting else seconds
        *whole, self._waiting = self._waiting.split(b"\n")
        return [json.loads(line) for line in whole]

    def _hear(self, line: dict[str, Any]) -> None:
        self.held_elsewhere = bool(line.get("held", False))
        if "seq" in line:
            self._seq, self._fit = int(line["seq"]), bool(line["fit"])

    def _end(self, *, kill: bool, seconds: float = 5.0) -> None:
        process, self._process = self._process, None
        self._waiting, self._seq, self._fit, self.held_elsewhere = b"", 0, False, False
        if process is None:
            return
        if kill:
            process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    continue
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
