"""Environments in worker processes that share memory: for environments so slow that a message costs nothing beside.

Each worker steps a ``SyncVector`` over a contiguous share of the rows, so results are those of one process, bit for
bit. What moves through pipes is one byte for each command; observations, rewards, flags and actions are shared.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any, Final

import numpy as np

from experimenter.envs.checks import Batch, ObservationReader
from experimenter.envs.pipeline import Observations
from experimenter.envs.vector import SyncVector, VectorStep
from experimenter.envs.vectors.batches import Infos, batched_actions, one_of_all
from experimenter.envs.vectors.shared import SharedArrays, anonymous_file
from experimenter.envs.vectors.worker import DONE, RESET, STEP, read_json, write_json
from experimenter.errors import EnvironmentFault
from experimenter.records import EnvSpec

__all__ = ["WorkerVector"]

PATIENCE: Final = 1.0
# Of the silence after which this process itself is taken for hanging: an environment that hangs must be found out
# before, or its process would end with everybody in it. The rest is for signs of life, which are sent once a second.
STEPPING: Final = 0.5
# Python, numpy and an environment's own libraries are loaded first.
STARTING: Final = 0.75


class WorkerVector:
    """``num_envs`` environments in ``workers`` processes; by default as many as there are cores, at most one a row.

    Follows ``contract.Vector``; ``infos`` are not carried between processes and are empty. ``silence``: seconds after
    which whoever watches this process ends it; workers that do not answer within half of that count as hanging.
    Raises EnvironmentFault that names the rows of a worker that died, hangs or whose environment raised; the workers
    are then gone.
    """

    def __init__(
        self,
        spec_or_specs: EnvSpec | Sequence[EnvSpec],
        num_envs: int,
        workers: int | None = None,
        silence: float = 60.0,
    ) -> None:
        self.specs = one_of_all(spec_or_specs, num_envs)
        self.num_envs = num_envs
        self.observation_space, self.action_space = _spaces(self.specs)
        self._reader = ObservationReader(self.observation_space)
        self._elapsed = np.zeros(num_envs, dtype=np.int32)
        self._nothing: Infos = tuple({} for _ in range(num_envs))
        self._timeout = STEPPING * silence
        file = anonymous_file()
        self._workers: list[_Worker] = []
        try:
            self._shared = SharedArrays(file, num_envs, self.observation_space, self.action_space)
            for rows in _shares(num_envs, workers or os.cpu_count() or 1):
                self._workers.append(_Worker(self.specs, rows, file))
            self._answers("when it was started", STARTING * silence)
        finally:
            os.close(file)

    @property
    def elapsed(self) -> np.ndarray:
        """Steps taken in each environment's current episode, int32 (n,)."""
        return self._elapsed.copy()

    @property
    def processes(self) -> tuple[int, ...]:
        """Process ids of the workers, in the order of their rows."""
        return tuple(worker.process.pid for worker in self._workers)

    def reset(self, seeds: Sequence[int]) -> Observations:
        """Starts an episode in every environment, one seed each; the first observations."""
        if len(seeds) != self.num_envs:
            raise ValueError(f"{len(seeds)} seeds for {self.num_envs} environments")
        self._shared.seeds[:] = [int(seed) for seed in seeds]
        self._tell(RESET, "at reset")
        self._elapsed[:] = 0
        return self._reader.out(_copies(self._shared.now))

    def step(self, actions: np.ndarray) -> VectorStep:
        """One step in every environment; ``actions`` as executed: (n,) integers, or (n, …) in the space's shape."""
        shared = self._shared
        shared.actions[:] = batched_actions(self.action_space, self.num_envs, actions)
        self._tell(STEP, "at a step")
        self._elapsed += 1
        met, terminated, truncated = _copies(shared.met), shared.terminated.copy(), shared.truncated.copy()
        done, now = terminated | truncated, met
        if done.any():
            now = _copies(shared.now)
            self._elapsed[done] = 0
        out = self._reader.out
        return VectorStep(out(met), shared.reward.copy(), terminated, truncated, self._nothing, out(now))

    def close(self) -> None:
        """Ends the workers; they get a moment to close their environments."""
        for worker in self._workers:
            worker.dismiss()
        self._end()

    def __del__(self) -> None:
        if getattr(self, "_workers", None):
            self._end()

    def _tell(self, command: bytes, when: str) -> None:
        if not self._workers:
            raise EnvironmentFault("The vector environment is closed.", "Make a new one.")
        for worker in self._workers:
            worker.tell(command)
        self._answers(when, self._timeout)

    def _answers(self, when: str, timeout: float) -> None:
        end = time.monotonic() + timeout
        try:
            for worker in self._workers:
                worker.answer(when, timeout, end)
        except BaseException:
            self._end()
            raise

    def _end(self) -> None:
        for worker in self._workers:
            worker.kill()
        self._workers = []


def _copies(batch: Batch) -> Batch:
    return {name: array.copy() for name, array in batch.items()}


def _shares(rows: int, workers: int) -> list[range]:
    """Contiguous shares that differ by one row at most."""
    bounds = np.linspace(0, rows, min(rows, max(1, workers)) + 1).round().astype(int).tolist()
    return [range(a, b) for a, b in pairwise(bounds)]


def _spaces(specs: Sequence[EnvSpec]) -> tuple[Any, Any]:
    """The spaces of all rows, after checking that they are the same."""
    different = {spec.hash: spec for spec in specs}
    looked_at = SyncVector(list(different.values()), len(different))
    try:
        return looked_at.observation_space, looked_at.action_space
    finally:
        looked_at.close()


class _Worker:
    """One process with its rows, and the two ends of its pipes that are ours."""

    def __init__(self, specs: Sequence[EnvSpec], rows: range, memory: int) -> None:
        self._rows, self._id = rows, specs[rows[0]].id
        theirs_in, self._commands = os.pipe()
        self._replies, theirs_out = os.pipe()
        self._heard = select.poll()
        self._heard.register(self._replies, select.POLLIN | select.POLLHUP)
        paths = os.pathsep.join(dict.fromkeys([*(path for path in sys.path if path), "."]))
        # -P: a folder where a person's own files lie is searched last, see execution.local.worker_environment.
        words = [sys.executable, "-P", "-m", "experimenter.envs.vectors.worker"]
        try:
            self.process = subprocess.Popen(
                [*words, *(str(n) for n in (theirs_in, theirs_out, memory, os.getpid()))],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs_in, theirs_out, memory),
                env={**os.environ, "PYTHONPATH": paths},
            )
        finally:
            os.close(theirs_in)
            os.close(theirs_out)
        setup = {"first": rows[0], "total": len(specs)}
        # Where the process is gone already, its answer says why.
        with suppress(BrokenPipeError):
            write_json(self._commands, {**setup, "specs": [specs[i].model_dump(mode="json") for i in rows]})

    def tell(self, command: bytes) -> None:
        with suppress(BrokenPipeError):
            os.write(self._commands, command)

    def answer(self, when: str, timeout: float, end: float) -> None:
        """Returns when the worker has done what it was told, ``timeout`` seconds after all were told, at ``end`` of the
        monotonic clock. Raises EnvironmentFault."""
        if not self._heard.poll(1000 * max(0.0, end - time.monotonic())):
            raise EnvironmentFault(
                f"{self._name} did not answer within {timeout:g} s {when}.",
                "Look for an endless loop in the environment. If a step of it really takes that long, raise "
                "silence_seconds.",
            )
        reply = os.read(self._replies, 1)
        if reply == DONE:
            return
        told = read_json(self._replies) if reply else None
        if told is None:
            raise EnvironmentFault(
                f"{self._name} ended with {self._how()} {when}.",
                "Often this is a crash inside the environment's own native code, or too little memory.",
            )
        raise EnvironmentFault(f"{told['message']} ({self._name})", told["hint"])

    @property
    def _name(self) -> str:
        first, last = self._rows[0] + 1, self._rows[-1] + 1
        which = f"environment {first}" if first == last else f"environments {first} to {last}"
        return f"The worker process of {which} ({self._id})"

    def _how(self) -> str:
        code = self.process.wait()
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    def dismiss(self) -> None:
        """Closes the pipe of commands, whose end it waits for, and waits a moment."""
        os.close(self._commands)
        self._commands = -1
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(PATIENCE)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self._commands, self._replies):
            if pipe >= 0:
                os.close(pipe)
        self._commands = self._replies = -1
