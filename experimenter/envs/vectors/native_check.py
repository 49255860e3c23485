"""Whether Gymnasium's batched version of an environment is the same environment as the Python one, found by trying.

Where the state can be copied the test is exact: the same state in, the same transition out, to float32's rounding.
Elsewhere episodes of blind play are compared (``likeness``). In both cases rows must not know of each
other, and episodes must be cut at the same step. Everything is drawn from fixed seeds, so that the answer is the same
in every process; it is kept for as long as the process lives.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from experimenter.envs.gymnasium_family import find
from experimenter.envs.limits import declared_limit
from experimenter.envs.make import make
from experimenter.envs.vector import SyncVector
from experimenter.envs.vectors.beginnings import Written
from experimenter.envs.vectors.likeness import ROWS, difference_of_play, random_play
from experimenter.envs.vectors.native import NativeVector
from experimenter.errors import EnvironmentFault, NotFound, UsageError
from experimenter.records import EnvSpec

__all__ = ["why_not_native"]

TRANSITIONS: Final = 400
CLOSE: Final = 1e-5
TINY: Final = 1e-7
_known: dict[str, str | None] = {}


def why_not_native(spec: EnvSpec) -> str | None:
    """Why the native version must not be used in place of the Python one, in a sentence; ``None``: it may."""
    if spec.hash not in _known:
        _known[spec.hash] = _why_not(spec)
    return _known[spec.hash]


def _why_not(spec: EnvSpec) -> str | None:
    if spec.family != "gymnasium" or find(spec.id).vector_entry_point is None:
        return f"Gymnasium registers no batched version of {spec.id}"
    try:
        vectors = [NativeVector(spec, n) for n in (2, 5)]
    except (UsageError, EnvironmentFault, NotFound) as error:
        return f"the batched version of {spec.id} cannot be used: {error.message}"
    python = make(spec)
    try:
        return (
            _spaces(python, vectors[0])
            or _rows_apart(*vectors)
            or (_exactly(python, vectors[1]) if _copies(python, vectors[1]) else _alike(spec))
            or _limit(python, vectors[1])
        )
    except EnvironmentFault as error:
        return f"the batched version failed while it was compared: {error.message}"
    finally:
        python.close()
        for vector in vectors:
            vector.close()


def _spaces(python: Any, native: NativeVector) -> str | None:
    if python.observation_space != native.observation_space or python.action_space != native.action_space:
        return "its spaces differ from the Python version's"
    return None


def _rows_apart(few: NativeVector, more: NativeVector) -> str | None:
    """Rows with the same seeds and actions must live the same lives beside others, in another order."""
    rng, draw = np.random.default_rng(0), random_play(few.action_space)
    seeds = (101, 102, 103, 104, 105)
    pick = [3, 1]
    for _ in range(2):
        one, other = few.reset([seeds[row] for row in pick]), more.reset(seeds)
        if not _same(one, other, pick):
            return "what a row meets depends on the rows beside it"
        for _ in range(TRANSITIONS // 2):
            actions = draw(rng, more.num_envs)
            a, b = few.step(actions[pick]), more.step(actions)
            told = [(a.reward, b.reward), (a.terminated, b.terminated), (a.truncated, b.truncated)]
            if not _same(a.obs, b.obs, pick) or not all(np.array_equal(x, y[pick]) for x, y in told):
                return "what a row meets depends on the rows beside it"
    return None


def _same(one: Any, other: Any, pick: list[int]) -> bool:
    if isinstance(one, dict):
        return all(np.array_equal(one[name], other[name][pick]) for name in one)
    return bool(np.array_equal(one, other[pick]))


def _copies(python: Any, native: NativeVector) -> bool:
    """Whether one row's state can be put into the Python version."""
    python.reset(seed=0)
    native.reset(range(native.num_envs))
    theirs: Any = getattr(python.unwrapped, "state", None)
    if theirs is None or not isinstance(native.way, Written):
        return False
    return bool(np.shape(theirs) == np.shape(native.env.state[:, 0]))


def _exactly(python: Any, native: NativeVector) -> str | None:
    rng, draw = np.random.default_rng(1), random_play(native.action_space)
    first: Any = native.reset(seeds := tuple(range(200, 200 + native.num_envs)))
    if not np.allclose(first[0], python.reset(seed=seeds[0])[0], CLOSE, TINY):
        return "its episodes begin elsewhere than the Python version's with the same seed"
    steps, inner = native.step, python.unwrapped
    for _ in range(TRANSITIONS // native.num_envs):
        before, actions = native.env.state.copy(), draw(rng, native.num_envs)
        told: Any = steps(actions)
        for row in range(native.num_envs):
            python.reset()
            inner.state = before[:, row].copy()
            obs, reward, terminated, _, _ = inner.step(_one(actions[row]))
            same = (
                np.allclose(told.next_obs[row], obs, CLOSE, TINY) and abs(told.reward[row] - reward) < CLOSE
            )
            if not same or bool(told.terminated[row]) != bool(terminated):
                return "the same state and action lead elsewhere than in the Python version"
    return None


def _one(action: Any) -> Any:
    return int(action) if np.ndim(action) == 0 and isinstance(action, np.integer) else action


def _alike(spec: EnvSpec) -> str | None:
    python, native = SyncVector(spec, ROWS), NativeVector(spec, ROWS)
    try:
        return difference_of_play(python, native)
    finally:
        python.close()
        native.close()


def _limit(python: Any, native: NativeVector) -> str | None:
    """Where steps are counted in the open, the last ones before the limit are played; else lengths were compared."""
    limit = declared_limit(python)
    if limit is None:
        return "the Python version declares no time limit, so nobody knows that both cut episodes at the same step"
    if not isinstance(native.way, Written):
        return None
    native.reset(range(native.num_envs))
    native.env.steps[:] = limit - 2
    draw, rng = random_play(native.action_space), np.random.default_rng(2)
    cut = [bool(native.step(draw(rng, native.num_envs)).truncated.all()) for _ in range(2)]
    return None if cut == [False, True] else "it cuts episodes at another step than the Python version"
