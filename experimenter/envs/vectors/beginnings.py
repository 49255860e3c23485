"""How rows of Gymnasium's batched environments begin again within the step, one class for each way of theirs.

Gymnasium knows three: an environment resets on the step after an episode's end (a masked step, which is never to be
learned from), within the step, or when asked to. Here all of them come to the same: the true final observation first,
then the first one of the next episode, from the row's own generator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, Protocol

import numpy as np

from experimenter.envs.checks import Batch
from experimenter.envs.faults import foreign
from experimenter.envs.vectors.batches import BatchReader
from experimenter.envs.vectors.generators import RowGenerators, copied, generators
from experimenter.errors import EnvironmentFault

__all__ = ["Beginning", "Masked", "Rows", "SameStep", "Stepped", "Written", "beginning"]

Build = Callable[[int], Any]


class Stepped(NamedTuple):
    """One step, unchecked but for observations: ``final`` is the true next one, where an episode ended as well."""

    final: Batch
    rewards: Any
    terminated: Any
    truncated: Any
    infos: dict[str, Any]


class Rows(NamedTuple):
    """Where some rows stand: state (k, n), steps of the episode int32 (n,), and their generators.

    Whoever takes them over copies a generator before drawing from it, so that who gave them stands where it stood.
    """

    state: np.ndarray
    elapsed: np.ndarray
    generators: list[np.random.Generator]


class Beginning(Protocol):
    """Steps the environment and begins episodes in it."""

    def reset(self, seeds: Sequence[int]) -> Batch:
        """Begins an episode in every row."""
        ...

    def step(self, actions: np.ndarray) -> Stepped:
        """One step of every row."""
        ...

    def begin(self, batch: Batch, rows: np.ndarray) -> None:
        """Begins the next episode of the rows that ended, and writes their first observations into ``batch``."""
        ...


def beginning(env: Any, build: Build, reader: BatchReader) -> Beginning | str:
    """The way that fits ``env``, or why none does."""
    from gymnasium.vector import AutoresetMode

    mode = env.metadata.get("autoreset_mode")
    if mode is AutoresetMode.NEXT_STEP:
        missing = [name for name in ("steps", "prev_done") if not _counts(env, name)]
        if missing or not hasattr(env, "state"):
            return (
                "it resets on the step after an episode's end, and keeps no state, steps and prev_done of its rows "
                "that could be written to reset them at once"
            )
        return Written(env, build, reader)
    if mode is AutoresetMode.SAME_STEP:
        return SameStep(env, reader)
    if mode is AutoresetMode.DISABLED:
        return Masked(env, reader)
    return "it does not say how its rows begin again after an episode's end"


def _counts(env: Any, name: str) -> bool:
    value = getattr(env, name, None)
    return isinstance(value, np.ndarray) and value.shape == (env.num_envs,)


class Written:
    """For environments that reset on the next step and keep ``state (k, n)``, ``steps`` and ``prev_done``.

    The rows that ended are reset at once, in a second environment as wide as they are many, and its state is written
    over theirs; the step that would have been masked never comes.
    """

    def __init__(self, env: Any, build: Build, reader: BatchReader) -> None:
        self._env, self._nursery, self._reader = env, build(1), reader
        self._own, self._theirs = RowGenerators(last=True), RowGenerators(last=True)
        env.np_random, self._nursery.np_random = self._own, self._theirs
        self._own.rows = _Lent(self)
        self._generators: list[np.random.Generator] = []
        self._foreign = np.zeros(int(env.num_envs), dtype=bool)

    def reset(self, seeds: Sequence[int]) -> Batch:
        self._generators = generators(seeds)
        self._foreign[:] = False
        observations, _ = self._env.reset()
        state = self._env.state
        if not (isinstance(state, np.ndarray) and state.ndim == 2 and state.shape[1] == len(seeds)):
            raise EnvironmentFault(
                "The batched environment keeps a state that is not of shape (k, n).",
                "Use the synchronous vector environment.",
            )
        return self._reader.read(observations)

    def step(self, actions: np.ndarray) -> Stepped:
        observations, rewards, terminated, truncated, infos = self._env.step(actions)
        return Stepped(self._reader.read(observations), rewards, terminated, truncated, infos)

    def begin(self, batch: Batch, rows: np.ndarray) -> None:
        env, nursery = self._env, self._nursery
        self._theirs.rows = [self.generator(row) for row in rows.tolist()]
        nursery.num_envs = len(rows)
        observations, _ = nursery.reset()
        env.state[:, rows] = nursery.state
        env.steps[rows] = 0
        env.prev_done[rows] = False
        for name, array in self._reader.read(observations, len(rows)).items():
            batch[name][rows] = array

    def rows(self, columns: slice) -> Rows:
        """Where the rows stand, to be put into another environment of the same specification."""
        env = self._env
        return Rows(env.state[:, columns].copy(), env.steps[columns].copy(), self._generators[columns])

    def put_rows(self, parts: Sequence[Rows]) -> None:
        """Goes on from where other rows stand, as many in all as there are here."""
        env = self._env
        if not self._generators:
            self.reset(range(int(env.num_envs)))
        env.state = np.concatenate([part.state for part in parts], axis=1)
        env.steps[:] = np.concatenate([part.elapsed for part in parts])
        env.prev_done[:] = False
        self._generators = [generator for part in parts for generator in part.generators]
        self._foreign[:] = True

    @property
    def counted(self) -> Sequence[np.random.Generator]:
        """The rows' generators, not to be drawn from."""
        return self._generators

    def generator(self, row: int) -> np.random.Generator:
        """A row's own generator, to be drawn from."""
        if self._foreign[row]:
            self._generators[row] = copied(self._generators[row])
            self._foreign[row] = False
        return self._generators[row]


class _Lent(Sequence[np.random.Generator]):
    """Every row's generator, each looked up when something is drawn: rows may have come from elsewhere by then."""

    def __init__(self, way: Written) -> None:
        self._way = way

    def __len__(self) -> int:
        return len(self._way.counted)

    def __getitem__(self, row: Any) -> Any:
        return self._way.generator(range(len(self))[row])


class _Seeded:
    """The first reset of environments that take a list of seeds, or else draw from ``np_random`` alone."""

    def __init__(self, env: Any, reader: BatchReader) -> None:
        self._env, self._reader = env, reader
        self._own = RowGenerators(last=False)
        self._generators: list[np.random.Generator] = []
        self._listed = self._takes_lists()

    def _takes_lists(self) -> bool:
        try:
            with foreign("the batched environment", "when it was seeded by row"):
                self._env.reset(seed=[0] * int(self._env.num_envs))
        except EnvironmentFault:
            return False
        return True

    def _first(self, seeds: Sequence[int]) -> Any:
        if self._listed:
            return self._env.reset(seed=[int(seed) for seed in seeds])[0]
        self._generators = self._own.rows = generators(seeds)
        self._env.np_random = self._own
        return self._env.reset()[0]

    def reset(self, seeds: Sequence[int]) -> Batch:
        return self._reader.read(self._first(seeds))


class SameStep(_Seeded):
    """For environments that reset within the step and tell the final observation in ``info["final_obs"]``."""

    def __init__(self, env: Any, reader: BatchReader) -> None:
        super().__init__(env, reader)
        self._now: Any = None

    def step(self, actions: np.ndarray) -> Stepped:
        observations, rewards, terminated, truncated, infos = self._env.step(actions)
        final = self._now = self._reader.read(observations)
        done = np.flatnonzero(np.asarray(terminated) | np.asarray(truncated))
        if done.size:
            final = {name: array.copy() for name, array in final.items()}
            if "final_obs" not in infos:
                raise EnvironmentFault(
                    "The batched environment hides the final observation of an episode.",
                    "Use the synchronous vector environment.",
                )
            for row in done.tolist():
                self._reader.store(final, row, _row(infos["final_obs"], row))
        told = {key: value for key, value in infos.items() if key not in _FINAL}
        return Stepped(final, rewards, terminated, truncated, told)

    def begin(self, batch: Batch, rows: np.ndarray) -> None:
        for name, array in self._now.items():
            batch[name][rows] = array[rows]


_FINAL: Final = frozenset({"final_obs", "_final_obs", "final_info", "_final_info"})


def _row(final: Any, row: int) -> Any:
    return {key: _row(value, row) for key, value in final.items()} if isinstance(final, dict) else final[row]


class Masked(_Seeded):
    """For environments that reset only when asked, by ``reset(options={"reset_mask": …})``."""

    def step(self, actions: np.ndarray) -> Stepped:
        self._own.rows = self._generators
        observations, rewards, terminated, truncated, infos = self._env.step(actions)
        return Stepped(self._reader.read(observations), rewards, terminated, truncated, infos)

    def begin(self, batch: Batch, rows: np.ndarray) -> None:
        mask = np.zeros(int(self._env.num_envs), dtype=bool)
        mask[rows] = True
        if not self._listed:
            self._own.rows = [self._generators[row] for row in rows.tolist()]
        observations, _ = self._env.reset(options={"reset_mask": mask})
        for name, array in self._reader.read(observations).items():
            batch[name][rows] = array[rows]
