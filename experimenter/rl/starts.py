"""Where a phase's episodes begin when a start method chooses: snapshots replayed, counted, and learned from.

A snapshot is a reset's seed and the actions since, so it is reached by repeating them in the training's own
environment. Every repeated step counts as a step of the training: it shortens the chunk that it happens in, and never
lengthens it. All draws come from (seed, chunk), and what the method knows lives in the checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from experimenter.contracts import EpisodeTrace, Snapshot, StartStates
from experimenter.envs.features import FeatureExtractor
from experimenter.envs.vector import SyncVector, VectorStep
from experimenter.identity import role_of, seeds
from experimenter.rl.job import TrainJob
from experimenter.rl.schedule import Chunk, rollouts_per_chunk
from experimenter.rl.state import TrainingState
from experimenter.rl.success import Success

__all__ = ["NO_REPLAYS", "Replays", "Starts"]

STREAM: Final = 3
SEEDS_AT_ONCE: Final = 64
Flags = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Replays:
    """What replaying did during one rollout: ``steps`` of environments, and ``flags``, by the name of each flag that
    an ``ever`` feature remembers: float32 (T, N), one where an episode begins that had the flag on before."""

    steps: int
    flags: Flags


NO_REPLAYS: Final = Replays(0, {})


@dataclass(slots=True)
class _Running:
    """One environment's current episode: how it began, since which step of the chunk, and what it earned."""

    seed: int
    prefix: NDArray[Any] | None = None
    since: int = 0
    native: float = 0.0
    told: bool = False


class Starts:
    """Chooses the beginnings of a phase's episodes, and hears how they end."""

    def __init__(self, job: TrainJob, phase: int, states: StartStates) -> None:
        self._job, self._phase, self._states = job, job.design.phases[phase], states
        self._success = Success(job.judge)
        self._extractor = FeatureExtractor(job.features)

    def attach(self, vector: SyncVector, split: tuple[int, ...]) -> None:
        """From now on this vector's episodes begin as chosen here; ``split``: which environment each row is."""
        self._vector, self._split = vector, split
        vector.beginner = self._begin

    def enter(self, chunk: Chunk, state: TrainingState) -> None:
        """At a chunk's beginning, before its first reset, with what the last one left."""
        if state.starts is not None:
            self._states.restore(state.starts)
        self._rng = np.random.default_rng(np.random.SeedSequence([self._job.seed, STREAM, state.chunk]))
        self._fresh_seeds = _fresh_seeds(self._job.seed, state.chunk)
        self._done = chunk.done
        self._size = chunk.num_steps * self._phase.hyperparameters.num_envs
        self._planned = self._plan(chunk, self._job.until - state.env_steps)
        self._spent = self._taken = self._replayed = 0
        self._executed: list[NDArray[Any]] = []
        self._running: dict[int, _Running] = {}
        self._waiting: dict[int, _Running] = {}
        self._flags: list[tuple[int, int, dict[str, float]]] = []

    def _plan(self, chunk: Chunk, left: int) -> int:
        """How many steps the chunk may take: its own, and what replays left unspent of the one before.

        So chunks end near the same steps with replays as without, and a training that goes on from a shorter one
        is the same as one that was never interrupted.
        """
        usual = rollouts_per_chunk(self._phase, self._job.chunk_steps) * self._phase.hyperparameters.rollout
        unspent = -chunk.done % usual
        wanted = chunk.rollouts * self._size + (unspent if unspent < self._size else 0)
        return max(chunk.rollouts * self._size, min(wanted, left, self._phase.steps - chunk.done))

    def room(self) -> bool:
        """Whether another rollout fits into the chunk."""
        return self._spent + self._size <= self._planned

    def saw(self, step: VectorStep, executed: NDArray[Any]) -> None:
        """One step of every environment, after which those that ended have begun anew."""
        self._executed.append(executed)
        self._spent += len(executed)
        self._taken += len(executed)
        for row, running in self._running.items():
            running.native += float(step.reward[row])
            running.told |= self._success.told(step.infos[row])
        for row in np.flatnonzero(step.terminated | step.truncated).tolist():
            self._end(row, bool(step.terminated[row]), step.infos[row])
            self._running[row] = self._waiting.pop(row)
            self._running[row].since = len(self._executed)

    def replays(self, steps: int) -> Replays:
        """What happened in the rollout of ``steps`` steps that is over; the next one begins."""
        found = Replays(self._replayed, self._raised(steps))
        self._taken = self._replayed = 0
        self._flags = [(at - steps, row, flags) for at, row, flags in self._flags if at >= steps]
        return found

    def state(self) -> dict[str, Any]:
        """What the method knows, for the checkpoint."""
        return self._states.state()

    def _begin(self, row: int, seed: int | None) -> Any:
        """The first observation of ``row``'s next episode. ``seed`` is given at a chunk's beginning only."""
        started = self._from_snapshot(row, at_once=seed is not None)
        if started is None:
            fresh = next(self._fresh_seeds) if seed is None else seed
            started = _Running(fresh), self._vector.begin(row, fresh)
        (self._waiting if seed is None else self._running)[row] = started[0]
        return started[1]

    def _from_snapshot(self, row: int, *, at_once: bool) -> tuple[_Running, Any] | None:
        progress = min(1.0, (self._done + self._spent) / self._phase.steps)
        chosen = self._states.choose(self._rng, self._split[row], progress)
        if chosen is None or not len(chosen.actions) or not self._fits(len(chosen.actions)):
            return None
        met = [self._vector.begin(row, chosen.seed)]
        running = self._replay(row, chosen, met)
        if running is not None:
            first_row = 0 if at_once else self._taken // len(self._split) + 1
            self._remember(first_row, row, met)
        return None if running is None else (running, met[-1])

    def _fits(self, steps: int) -> bool:
        """Whether so many more steps leave the rest of this rollout within the chunk's plan."""
        return self._spent + (self._size - self._taken) + steps <= self._planned

    def _replay(self, row: int, snapshot: Snapshot, met: list[Any]) -> _Running | None:
        """Repeats the snapshot's actions, adding observations to ``met``.

        ``None`` where the episode ends on the way: the environment does not repeat itself, and the snapshot is
        dropped.
        """
        running = _Running(snapshot.seed, snapshot.actions)
        for action in snapshot.actions:
            played = self._vector.play(row, action)
            met.append(played.observation)
            running.native += played.reward
            running.told |= self._success.told(played.info)
            self._spent += 1
            self._replayed += 1
            if played.over:
                self._states.drop(snapshot)
                return None
        return running

    def _remember(self, at: int, row: int, met: list[Any]) -> None:
        """Which flags were on during a replay: programs that ask whether one ever was must not forget it."""
        if self._extractor.ever:
            features = self._extractor.extract(self._vector.stacked(met))
            flags = {flag: float(features[flag].max()) for flag in self._extractor.ever.values()}
            self._flags.append((at, row, flags))

    def _raised(self, steps: int) -> Flags:
        raised: Flags = {}
        for at, row, flags in self._flags:
            for name, value in flags.items() if at < steps else ():
                empty = np.zeros((steps, len(self._split)), dtype=np.float32)
                raised.setdefault(name, empty)[at, row] = value
        return raised

    def _end(self, row: int, terminated: bool, info: Mapping[str, Any]) -> None:
        running = self._running[row]
        played = np.array([executed[row] for executed in self._executed[running.since :]])
        actions = played if running.prefix is None else np.concatenate([running.prefix, played])
        environment = self._split[row]
        succeeded = self._success.of(
            self._phase.environments[environment].environment,
            score=running.native, length=len(actions), terminated=terminated, info=info, told=running.told,
        )  # fmt: skip
        self._states.ended(EpisodeTrace(environment, running.seed, actions, running.native, succeeded))


def _fresh_seeds(seed: int, chunk: int) -> Iterator[int]:
    """Seeds for ordinary resets within a chunk, in the role of the training's own seed; without end."""
    for block in count():
        yield from seeds(seed, role_of(seed), SEEDS_AT_ONCE, "start", chunk, block)
