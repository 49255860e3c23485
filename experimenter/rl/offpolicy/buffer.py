"""The replay buffer, in memory and in files: what a training collected must survive as its weights do.

Each chunk's transitions are written once, as one file, which is never touched again; a training that goes on reads
the newest of them back and stands exactly where it stood. Files that the buffer has forgotten are deleted.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from experimenter.errors import WorkspaceError
from experimenter.identity import canonical_json
from experimenter.rl.offpolicy.batch import Batch

__all__ = ["ReplayBuffer", "ReplayFiles", "Transitions"]

Floats = NDArray[np.float32]
PATTERN: Final = "replay-*.bin"
FIRST_ROOM: Final = 4096


@dataclass(frozen=True, slots=True)
class Transitions:
    """n transitions, oldest first: observations (n, inputs), in bytes where all of them are zeros and ones, and the
    rest as in ``Batch``."""

    obs: NDArray[Any]
    next_obs: NDArray[Any]
    action: Floats
    reward: Floats
    keep: Floats

    def __len__(self) -> int:
        return len(self.reward)

    @classmethod
    def joined(cls, parts: list[Transitions]) -> Transitions:
        """One after the other; at least one part."""
        names = ("obs", "next_obs", "action", "reward", "keep")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


class ReplayBuffer:
    """The newest ``capacity`` transitions. ``total`` counts all that were ever added, also those forgotten.

    A transition's place depends on its number alone, so that a buffer read back from files equals the one that was
    lost. Room grows as it is needed: a capacity of a million costs nothing until it is used.
    """

    def __init__(self, capacity: int, inputs: int, action_width: int, obs_dtype: Any = np.float32) -> None:
        self.capacity, self.inputs, self.action_width = capacity, inputs, action_width
        self._obs = np.empty((0, 2 * inputs), obs_dtype)
        self._rest = np.empty((0, action_width + 2), np.float32)
        self.total = 0

    def __len__(self) -> int:
        return min(self.total, self.capacity)

    def clear(self) -> None:
        """Forgets everything, and counts from zero."""
        self.total = 0

    def add(self, new: Transitions) -> None:
        """Takes in transitions, oldest first, in the place of the oldest where there is no more room."""
        first = max(0, len(new) - self.capacity)
        places = (self.total + np.arange(first, len(new))) % self.capacity
        self._make_room(min(self.total + len(new), self.capacity))
        self._obs[places, : self.inputs] = new.obs[first:]
        self._obs[places, self.inputs :] = new.next_obs[first:]
        self._rest[places, : self.action_width] = new.action[first:]
        self._rest[places, -2] = new.reward[first:]
        self._rest[places, -1] = new.keep[first:]
        self.total += len(new)

    def batch(self, places: NDArray[np.int64]) -> Batch:
        """The transitions at some places, each 0 … len − 1."""
        seen, rest = self._obs.take(places, axis=0), self._rest.take(places, axis=0)
        if seen.dtype != np.float32:
            seen = seen.astype(np.float32)
        inputs, width = self.inputs, self.action_width
        return Batch(seen[:, :inputs], rest[:, :width], rest[:, -2], rest[:, -1], seen[:, inputs:])

    def _make_room(self, needed: int) -> None:
        if needed <= len(self._rest):
            return
        room = min(self.capacity, max(FIRST_ROOM, 2 * len(self._rest), needed))
        for name in ("_obs", "_rest"):
            old = getattr(self, name)
            grown = np.empty((room, old.shape[1]), old.dtype)
            grown[: len(old)] = old
            setattr(self, name, grown)


class ReplayFiles:
    """The files ``replay-000012.bin`` of one training's ``folder``: what chunk 12 added to its buffer.

    ``key`` names what the stored rewards belong to; a buffer is read back only as far as its files carry the same.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._heads: dict[int, dict[str, Any]] = {}

    def write(self, chunk: int, key: str, before: int, new: Transitions) -> None:
        """Keeps a chunk's transitions, of which ``before`` others came first. Raises WorkspaceError."""
        from safetensors.numpy import save

        from experimenter.workspace.files import write_atomic

        self._heads[chunk] = {"v": 1, "key": key, "before": before, "rows": len(new)}
        head = canonical_json(self._heads[chunk]).encode()
        arrays = {
            "obs": new.obs, "next_obs": new.next_obs, "action": new.action, "reward": new.reward, "keep": new.keep,
            "head": np.frombuffer(head, dtype=np.uint8),
        }  # fmt: skip
        body = save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
        write_atomic(self._path(chunk), hashlib.blake2b(body, digest_size=32).digest() + body)

    def drop(self, chunk: int, key: str, before: int, capacity: int) -> None:
        """Deletes what a buffer that had ``before`` transitions in it when ``chunk`` began no longer needs.

        The chunk before stays whatever it holds: until this chunk's checkpoint is written, and should it be damaged,
        the training goes on from the one before.
        """
        for path in sorted(self.folder.glob(PATTERN)):
            number = int(path.stem.partition("-")[2])
            if number >= chunk - 1:
                continue
            head = self._heads.get(number) or self._read(path)[0]
            if head["key"] != key or head["before"] + head["rows"] <= before - capacity:
                path.unlink(missing_ok=True)

    def forget(self) -> None:
        """Deletes every file: the training is over for good."""
        for path in self.folder.glob(PATTERN):
            path.unlink(missing_ok=True)

    def read_back(self, buffer: ReplayBuffer, chunk: int, key: str) -> None:
        """Fills ``buffer`` as it was when ``chunk`` began. Raises WorkspaceError where a file is missing or damaged."""
        buffer.clear()
        found, needed = list[tuple[int, Transitions]](), 0
        for number in range(chunk - 1, -1, -1):
            head, part = self._read(self._path(number))
            if head["key"] != key:
                break
            if not found:
                needed = max(0, head["before"] + head["rows"] - buffer.capacity)
            found.append((head["before"], part))
            if head["before"] <= needed:
                break
        for before, part in reversed(found):
            buffer.total = before
            buffer.add(part)

    def _path(self, chunk: int) -> Path:
        return self.folder / f"replay-{chunk:06d}.bin"

    def _read(self, path: Path) -> tuple[dict[str, Any], Transitions]:
        from safetensors.numpy import load

        try:
            data = path.read_bytes()
        except OSError as error:
            raise _damaged(path, f"it cannot be read ({error.strerror})") from error
        if hashlib.blake2b(data[32:], digest_size=32).digest() != data[:32]:
            raise _damaged(path, "its digest does not match")
        arrays = load(data[32:])
        head: dict[str, Any] = json.loads(arrays.pop("head").tobytes())
        self._heads[int(path.stem.partition("-")[2])] = head
        return head, Transitions(**arrays)


def _damaged(path: Path, why: str) -> WorkspaceError:
    return WorkspaceError(
        f"the replay buffer's file {path} is damaged: {why}",
        "Delete the training's folder, so that it starts anew, or restore the file from a backup.",
    )
