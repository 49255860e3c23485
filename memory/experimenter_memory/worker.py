"""The process that owns the index: it waits for the lock, follows the workspace's vectors, and answers questions.

Chroma belongs to one process, and a damaged folder can end that process from within. So it runs in one of its own: when
it dies, memory scans instead, with the same answers. It speaks JSON lines and ends when its input does.

    python -m experimenter_memory.worker WORKSPACE EMBEDDER_ID SIZE
"""

from __future__ import annotations

import base64
import json
import os
import select
import sys
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout

from experimenter.errors import WorkspaceError
from experimenter.workspace.store import Workspace
from experimenter_memory.chroma import ChromaIndex
from experimenter_memory.folder import FOLDER, LOCK

__all__ = ["main", "serve"]

_TICK: Final = 0.5
_CHANGED: Final = 3


class _Input:
    """Lines from the parent, without ever waiting longer than asked."""

    def __init__(self) -> None:
        self._waiting = b""
        self.ended = False

    def lines(self, seconds: float) -> list[dict[str, Any]]:
        if not self.ended and select.select([0], [], [], seconds)[0]:
            read = os.read(0, 1 << 16)
            self.ended = not read
            self._waiting += read
        *whole, self._waiting = self._waiting.split(b"\n")
        return [json.loads(line) for line in whole]


def _say(**words: Any) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


def main(arguments: list[str]) -> int:
    """Serves until the input ends. Returns 0, or 3 when the folder changed under its feet."""
    root, embedder_id, size = Path(arguments[0]), arguments[1], int(arguments[2])
    told, lock = _Input(), FileLock(str(root / LOCK))
    while not told.ended:
        try:
            with lock.acquire(timeout=0):
                _say(held=False)
                return serve(root, embedder_id, size, told)
        except Timeout:
            _say(held=True)
            told.lines(_TICK)
    return 0


def serve(root: Path, embedder_id: str, size: int, told: _Input) -> int:
    """Follows the vectors of one embedder and answers, as the owner of the lock."""
    with Workspace.open(root, create=False) as workspace:
        store = workspace.vector_store("")
        index = ChromaIndex(root / FOLDER, embedder_id, size, store)
        announced = None
        while not told.ended:
            if index.replaced():
                return _CHANGED
            behind = index.advance()
            state = {"seq": index.seq, "fit": index.fit} if not behind else {"seq": 0, "fit": False}
            if state != announced:
                _say(**state)
                announced = state
            for line in told.lines(0.0 if behind else _TICK):
                found = index.nearest(_vector(line["vector"]), int(line["count"]))
                _say(id=line["id"], found=found)
        index.close()
    return 0


def _vector(text: str) -> Any:
    import numpy as np

    return np.frombuffer(base64.b64decode(text), dtype="<f4")


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (BrokenPipeError, KeyboardInterrupt, WorkspaceError):
        sys.exit(1)
