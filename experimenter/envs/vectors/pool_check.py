"""Whether EnvPool's environment is the same as the Python one, found by trying before it is ever used.

Spaces must agree. Where the observation is the state, the same state and action must lead to the same transition.
Everywhere, episodes of blind play must be alike (``likeness``). Learning has been seen to stall on an
environment of EnvPool's that real agents solve in Python: hence the test, and hence it is never chosen unasked.
Everything is drawn from fixed seeds; the answer is kept for as long as the process lives.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from experimenter.envs.make import make
from experimenter.envs.spaces import leaves
from experimenter.envs.vector import SyncVector
from experimenter.envs.vectors.likeness import ROWS, difference_of_play, random_play
from experimenter.envs.vectors.pool import (
    INSTALL,
    EnvPoolVector,
    has_environment,
    installed,
    pool_spaces,
    same_kind,
)
from experimenter.errors import EnvironmentFault
from experimenter.records import EnvSpec

__all__ = ["may_be_asked_for", "why_not_envpool"]

TRANSITIONS: Final = 300
CLOSE: Final = 1e-4
TINY: Final = 1e-6
MORE: Final = 4
_known: dict[str, str | None] = {}


def may_be_asked_for(spec: EnvSpec) -> str | None:
    """Why EnvPool is out of question for ``spec``, without any test of what it does; ``None``: it is not."""
    if not installed():
        return f"EnvPool is not installed. {INSTALL}"
    if spec.kwargs:
        return "EnvPool does not take an environment's constructor parameters"
    if not has_environment(spec):
        return f"EnvPool has no {spec.id}"
    return None


def why_not_envpool(spec: EnvSpec, alive: Callable[[], None] = lambda: None) -> str | None:
    """Why EnvPool must not be used in place of the Python version, in a sentence; ``None``: it may.

    Plays some ten thousand steps of the Python version; ``alive`` is called between them.
    """
    known = may_be_asked_for(spec)
    if known is not None:
        return known
    if spec.hash not in _known:
        _known[spec.hash] = _why_not(spec, alive)
    return _known[spec.hash]


def _why_not(spec: EnvSpec, alive: Callable[[], None]) -> str | None:
    try:
        return _spaces(spec) or _exactly(spec) or _alike(spec, alive)
    except EnvironmentFault as error:
        return f"EnvPool's version failed while it was compared: {error.message}"


def _spaces(spec: EnvSpec) -> str | None:
    python = make(spec)
    python.close()
    observed, acted = pool_spaces(spec)
    if not _acts(python.action_space, acted):
        return f"its actions are {acted} in EnvPool and {python.action_space} in Python"
    for leaf in leaves(python.observation_space):
        theirs: Any = observed
        for key in leaf.keys:
            theirs = theirs[key] if key in getattr(theirs, "spaces", ()) else None
        if theirs is None or not same_kind(leaf.space, theirs):
            name = f"observation {leaf.name!r}" if leaf.name else "observation"
            return f"its {name} is {theirs} in EnvPool and {leaf.space} in Python"
    return None


def _acts(python: Any, pool: Any) -> bool:
    return type(python) is type(pool) and same_kind(python, pool)


def _exactly(spec: EnvSpec) -> str | None:
    """Follows EnvPool with the Python version, step by step, where the observation is the whole state."""
    python, pool = make(spec), EnvPoolVector(spec, 1)
    try:
        first, _ = python.reset(seed=0)
        inner: Any = python.unwrapped
        if not _is_state(inner, first):
            return None
        rng, draw = np.random.default_rng(3), random_play(pool.action_space)
        obs: Any = pool.reset([7])
        for _ in range(TRANSITIONS):
            python.reset()
            inner.state = np.array(obs[0], dtype=np.float64)
            action = draw(rng, 1)
            told: Any = pool.step(action)
            met, reward, terminated, _, _ = inner.step(action[0].item() if action.ndim == 1 else action[0])
            close = np.allclose(told.next_obs[0], met, CLOSE, TINY) and abs(told.reward[0] - reward) < CLOSE
            over = bool(told.terminated[0]) or bool(told.truncated[0])
            if not close or (bool(terminated) and not over) or bool(told.terminated[0]) > bool(terminated):
                return "the same state and action lead elsewhere than in the Python version"
            obs = told.obs
    finally:
        python.close()
        pool.close()
    return None


def _is_state(inner: Any, first: Any) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        state = getattr(inner, "state", None)
    known = isinstance(state, (np.ndarray, tuple, list)) and np.shape(state) == np.shape(first)
    return known and np.allclose(np.asarray(state, dtype=np.float64), first, CLOSE)


def _alike(spec: EnvSpec, alive: Callable[[], None]) -> str | None:
    python, pool = SyncVector(spec, ROWS), EnvPoolVector(spec, ROWS)
    try:
        return difference_of_play(python, pool, MORE, alive)
    finally:
        python.close()
        pool.close()
