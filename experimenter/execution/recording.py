"""Plays a policy in the pristine environment and keeps what a reward program would be given of every step.

No generated code is in this process: a success test reads the files afterwards, contained, in another one. Only the
fields that the test names are kept, in parts of bounded size, as numpy files, which are data and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, NoReturn

import numpy as np
from numpy.typing import NDArray

from experimenter.envs.records import Feature
from experimenter.envs.vector import SyncVector, VectorStep
from experimenter.errors import ProgramRejected
from experimenter.execution.idling import Actor, actors_for
from experimenter.records import EnvSpec, Hyperparameters, Record
from experimenter.rl.rollout import Experience, RawObs
from experimenter.rl.shaping import Shaper

__all__ = ["GAMMA", "MOST_BYTES", "RecordOrder", "Recorded", "RecordedEpisode", "read_parts", "record"]

Progress = Callable[[dict[str, Any]], None]
GAMMA: Final = Hyperparameters().gamma
"""What a success test reads as ``t.gamma``: the shipped default, for it belongs to no training."""
MOST_BYTES: Final = 256 << 20
_PART_BYTES: Final = 8 << 20
_PART_ROWS: Final = 4096
_EPISODE: Final = "episode"
_LEAF: Final = "|"


class RecordOrder(Record):
    """Episodes to play, one per seed and policy, into ``folder``.

    ``who``: random actions; every way to do nothing (``idling``); or the stored policy, which acts just as the judge
    lets it act. ``fields`` are what a test reads. After ``most_steps`` steps a policy begins no further step.
    """

    environment: EnvSpec
    who: Literal["random", "idle", "policy"]
    seeds: tuple[int, ...]
    features: tuple[Feature, ...]
    fields: tuple[str, ...]
    folder: str
    policy_folder: str = ""
    policy_hash: str = ""
    most_steps: int | None = None
    most_bytes: int = MOST_BYTES


class RecordedEpisode(Record):
    """One episode: who played it, its steps and native return, and whether it was played to its end."""

    name: str
    length: int
    native_return: float
    whole: bool = True


class Recorded(Record):
    """What was written; the rows' ``episode`` counts these from 0."""

    episodes: tuple[RecordedEpisode, ...]
    parts: int
    bytes: int

    @property
    def steps(self) -> int:
        return sum(one.length for one in self.episodes)


def record(order: RecordOrder, progress: Progress) -> Recorded:
    """Plays and writes. Raises EnvironmentFault; WorkspaceError for a damaged policy; ProgramRejected where the test
    names a feature that is not there, or its fields take more than ``most_bytes``."""
    vector = SyncVector(order.environment, 1)
    try:
        writer = _Writer(order)
        episodes: list[RecordedEpisode] = []
        for actor in actors_for(order.who, vector.action_space, order.policy_folder, order.policy_hash):
            episodes += _play(vector, actor, order, writer, len(episodes), progress)
            writer.flush(forget=True)
        return Recorded(episodes=tuple(episodes), parts=writer.parts, bytes=writer.bytes)
    finally:
        vector.close()


def _play(
    vector: SyncVector, actor: Actor, order: RecordOrder, writer: _Writer, first: int, progress: Progress
) -> list[RecordedEpisode]:
    """The episodes of one policy, numbered from ``first``."""
    played: list[RecordedEpisode] = []
    left = order.most_steps
    for number, seed in enumerate(order.seeds, start=first):
        if left is not None and left <= 0:
            break
        found = _episode(vector, actor, seed, number, left, writer, progress)
        left = None if left is None else left - found.length
        played.append(found)
    return played


def _episode(
    vector: SyncVector,
    actor: Actor,
    seed: int,
    number: int,
    most: int | None,
    writer: _Writer,
    progress: Progress,
) -> RecordedEpisode:
    obs, length, total, over = vector.reset([seed]), 0, 0.0, False
    actor.begin(seed)
    while not over and (most is None or length < most):
        action = actor.choose(obs)
        step = vector.step(action)
        writer.add(number, obs, action, length, step)
        over = bool(step.terminated[0] | step.truncated[0])
        obs, length, total = step.obs, length + 1, total + float(step.reward[0])
        progress({"episodes": number, "steps": length})
    return RecordedEpisode(name=actor.name, length=length, native_return=total, whole=over)


@dataclass(frozen=True, slots=True)
class _Names:
    """Stands for the test where only what it reads is asked for."""

    fields: frozenset[str]
    level: str = "none needed"

    def call(self, batch: Any) -> NoReturn:
        raise NotImplementedError("a recording runs no program")

    begin = call


@dataclass
class _Rows:
    """Steps that are not yet written."""

    episode: list[int] = field(default_factory=list)
    obs: list[Any] = field(default_factory=list)
    action: list[NDArray[Any]] = field(default_factory=list)
    elapsed: list[int] = field(default_factory=list)
    steps: list[VectorStep] = field(default_factory=list)


class _Writer:
    """Turns steps into exactly what the trainer would offer of them (``Shaper.batch``), part by part."""

    def __init__(self, order: RecordOrder) -> None:
        self._folder = Path(order.folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._shaper = Shaper(_Names(frozenset(order.fields)), order.features, 1, GAMMA)
        self._rows, self._most = _Rows(), order.most_bytes
        self.parts = self.bytes = 0

    def add(self, episode: int, obs: Any, action: NDArray[Any], elapsed: int, step: VectorStep) -> None:
        rows = self._rows
        rows.episode.append(episode)
        rows.obs.append(obs)
        rows.action.append(action)
        rows.elapsed.append(elapsed)
        rows.steps.append(step)
        if len(rows.steps) >= min(_PART_ROWS, max(1, _PART_BYTES // _size(obs))):
            self.flush()

    def flush(self, *, forget: bool = False) -> None:
        """Writes what there is; ``forget`` where the next step begins an episode whatever the last one said."""
        if self._rows.steps:
            self._write(self._rows)
            self._rows = _Rows()
        if forget:
            self._shaper.restart()

    def _write(self, rows: _Rows) -> None:
        experience = _experience(rows)
        following = self._shaper.extract(_flat([step.next_obs for step in rows.steps]))
        batch = self._shaper.batch(experience, following)
        arrays = {_EPISODE: np.array(rows.episode, dtype=np.int32), **_plain(batch)}
        self.bytes += sum(array.nbytes for array in arrays.values())
        if self.bytes > self._most:
            raise ProgramRejected(
                f"What this test reads takes more than {self._most >> 20} MB to record.",
                "Let it read features, as t.next.NAME, and no whole observations.",
                "limits",
            )
        np.savez(self._folder / f"part_{self.parts:05}.npz", **arrays)  # type: ignore[arg-type, unused-ignore]
        self.parts += 1


def _size(obs: Any) -> int:
    arrays = obs.values() if isinstance(obs, dict) else (obs,)
    return max(1, sum(int(array.nbytes) for array in arrays))


def _experience(rows: _Rows) -> Experience:
    """The steps as a rollout of one environment; what only a learner reads is left empty."""
    nothing, nowhere = np.empty((len(rows.steps), 1, 0), np.float32), np.empty(0, np.int64)
    return Experience(
        obs_raw=_stacked(rows.obs),
        next_raw=_stacked([step.next_obs for step in rows.steps]),
        inputs=nothing,
        raw=nothing,
        executed=np.stack(rows.action),
        native=np.stack([step.reward for step in rows.steps]),
        terminated=np.stack([step.terminated for step in rows.steps]),
        truncated=np.stack([step.truncated for step in rows.steps]),
        elapsed=np.array(rows.elapsed, dtype=np.int32)[:, None],
        final_inputs=np.empty((0, 0), np.float32),
        final_at=(nowhere, nowhere),
        last_inputs=np.empty((1, 0), np.float32),
    )


def _stacked(observations: list[Any]) -> RawObs:
    """Batches of one, (T, 1, …)."""
    if isinstance(observations[0], dict):
        return {key: np.stack([one[key] for one in observations]) for key in observations[0]}
    return np.stack(observations)


def _flat(observations: list[Any]) -> RawObs:
    """The same, (T, …)."""
    if isinstance(observations[0], dict):
        return {key: np.concatenate([one[key] for one in observations]) for key in observations[0]}
    return np.concatenate(observations)


def _plain(batch: dict[str, Any]) -> dict[str, NDArray[Any]]:
    """Arrays under flat names; ``gamma`` is the same everywhere and is left out."""
    found: dict[str, NDArray[Any]] = {}
    for name, value in batch.items():
        if isinstance(value, dict):
            found |= {f"{name}{_LEAF}{leaf}": array for leaf, array in value.items()}
        elif isinstance(value, np.ndarray):
            found[name] = value
    return found


def read_parts(folder: Path) -> Iterator[tuple[NDArray[np.int32], dict[str, Any]]]:
    """Each part's episode numbers (n,), and its batch as ``ContainedProgram.call`` takes it, in order."""
    for path in sorted(folder.glob("part_*.npz")):
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        episode = arrays.pop(_EPISODE)
        batch: dict[str, Any] = {"gamma": GAMMA}
        for name, array in arrays.items():
            outer, mark, leaf = name.partition(_LEAF)
            if mark:
                batch.setdefault(outer, {})[leaf] = array
            else:
                batch[name] = array
        yield episode, batch
