"""One worker process of ``WorkerVector``: steps its rows when told to, and ends with the process that started it.

Run as ``python -m experimenter.envs.vectors.worker COMMANDS REPLIES MEMORY PARENT``: three inherited file
descriptors, and the process that it must not outlive.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from typing import Any, Final

import numpy as np

from experimenter.envs.faults import foreign
from experimenter.envs.vector import SyncVector
from experimenter.envs.vectors.shared import SharedArrays
from experimenter.errors import ExperimenterError
from experimenter.records import EnvSpec

__all__ = ["DONE", "FAILED", "RESET", "STEP", "main", "read_exactly", "read_json", "write_json"]

RESET, STEP, DONE, FAILED = b"r", b"s", b"k", b"e"
_PDEATHSIG, _SIGKILL = 1, 9
_LENGTH: Final = 4


def main() -> None:
    commands, replies, memory = (int(word) for word in sys.argv[1:4])
    _end_with_parent(int(sys.argv[4]))
    os.dup2(2, 1)
    try:
        with foreign("A worker of the vector environment", "outside its environments"):
            _serve(commands, replies, memory)
    except ExperimenterError as error:
        os.write(replies, FAILED)
        write_json(replies, {"message": error.message, "hint": error.hint})


def _serve(commands: int, replies: int, memory: int) -> None:
    setup = read_json(commands)
    if setup is None:
        return
    first, total = int(setup["first"]), int(setup["total"])
    vector = SyncVector(
        [EnvSpec.model_validate(spec) for spec in setup["specs"]], len(setup["specs"]), hastened=True
    )
    shared = SharedArrays(memory, total, vector.observation_space, vector.action_space)
    rows = slice(first, first + vector.num_envs)
    os.write(replies, DONE)
    while command := os.read(commands, 1):
        if command == RESET:
            _put(shared.now, rows, vector.reset(shared.seeds[rows].tolist()))
        else:
            _step(vector, shared, rows)
        os.write(replies, DONE)


def _step(vector: SyncVector, shared: SharedArrays, rows: slice) -> None:
    step = vector.step(shared.actions[rows])
    _put(shared.met, rows, step.next_obs)
    _put(shared.now, rows, step.obs)
    shared.reward[rows], shared.terminated[rows] = step.reward, step.terminated
    shared.truncated[rows] = step.truncated


def _put(places: dict[str, np.ndarray], rows: slice, observations: Any) -> None:
    for name, array in places.items():
        array[rows] = observations[name] if isinstance(observations, dict) else observations


def _end_with_parent(parent: int) -> None:
    """The end of the pipe says it too, but not to an environment that never returns."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PDEATHSIG, _SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def write_json(pipe: int, value: Any) -> None:
    """One length-prefixed JSON value."""
    body = json.dumps(value).encode()
    left = memoryview(len(body).to_bytes(_LENGTH, "big") + body)
    while left:
        left = left[os.write(pipe, left) :]


def read_json(pipe: int) -> Any:
    """The next JSON value; ``None`` where the other side is gone."""
    head = read_exactly(pipe, _LENGTH)
    body = read_exactly(pipe, int.from_bytes(head, "big")) if len(head) == _LENGTH else b""
    return json.loads(body) if body else None


def read_exactly(pipe: int, count: int) -> bytes:
    """``count`` bytes, fewer where the other side is gone."""
    found = b""
    while len(found) < count and (more := os.read(pipe, count - len(found))):
        found += more
    return found


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, BrokenPipeError):
        os._exit(1)
