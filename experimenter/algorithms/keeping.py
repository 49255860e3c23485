"""What a library's learner knows beyond the policy (critics, moments), kept beside each checkpoint as plain arrays.

``learner-000012.bin`` is what it knew when chunk 12 began: a digest, then safetensors. It is written before that
chunk's checkpoint, so that whichever checkpoint a killed training goes on from, its file is there.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from experimenter.errors import WorkspaceError

__all__ = ["Arrays", "forget", "keep", "recall"]

Arrays = dict[str, NDArray[Any]]
PATTERN: Final = "learner-*.bin"
# The checkpoint in the making, and the two that are kept: the newest may be damaged.
KEEP: Final = 3


def keep(folder: Path, chunk: int, arrays: Arrays) -> None:
    """Writes what is known as ``chunk`` begins, and drops what no checkpoint needs any more. Raises WorkspaceError."""
    from safetensors.numpy import save

    from experimenter.workspace.files import write_atomic

    body = save({name: np.array(array, order="C") for name, array in arrays.items()})
    write_atomic(_path(folder, chunk), hashlib.blake2b(body, digest_size=32).digest() + body)
    for path in folder.glob(PATTERN):
        if not chunk - KEEP < _number(path) <= chunk:
            path.unlink(missing_ok=True)


def recall(folder: Path, chunk: int) -> Arrays:
    """What was known as ``chunk`` began. Raises WorkspaceError where its file is missing or damaged."""
    from safetensors.numpy import load

    path = _path(folder, chunk)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _damaged(path, f"it cannot be read ({error.strerror})") from error
    if hashlib.blake2b(data[32:], digest_size=32).digest() != data[:32]:
        raise _damaged(path, "its digest does not match")
    return {name: np.array(array) for name, array in load(data[32:]).items()}


def forget(folder: Path) -> None:
    """Deletes every file: the training is over for good."""
    for path in folder.glob(PATTERN):
        path.unlink(missing_ok=True)


def _path(folder: Path, chunk: int) -> Path:
    return folder / f"learner-{chunk:06d}.bin"


def _number(path: Path) -> int:
    return int(path.stem.partition("-")[2])


def _damaged(path: Path, why: str) -> WorkspaceError:
    return WorkspaceError(
        f"the learner's file {path} is damaged: {why}",
        "Delete the training's folder, so that it starts anew, or restore the file from a backup.",
    )
