"""Who acts in a recording: random actions, doing nothing in every way that there is, or a stored policy as judged.

To do nothing is to repeat one action: each of the first eight where actions are counted, all zeros otherwise, moved
into the space where zero lies outside it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal, Protocol

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from experimenter.policies.acting import episode_generator
from experimenter.policies.policy import load_policy

__all__ = ["MOST_IDLE", "Actor", "actors_for"]

MOST_IDLE: Final = 8
_ACTIONS: Final = 0x72616E64
Space = spaces.Space[Any]


class Actor(Protocol):
    """Chooses actions for a batch of one observation: (1,) int64, or (1, d), as a trainer's policy does."""

    name: str

    def begin(self, seed: int) -> None: ...

    def choose(self, obs: Any) -> NDArray[Any]: ...


def actors_for(
    who: Literal["random", "idle", "policy"], space: Space, folder: str = "", policy_hash: str = ""
) -> tuple[Actor, ...]:
    """Everyone who plays. Raises WorkspaceError for a damaged policy."""
    if who == "random":
        return (_Random(space),)
    if who == "idle":
        return tuple(_Idle(name, action) for name, action in _idle_actions(space))
    return (_Stored(folder, policy_hash),)


class _Random:
    """Uniform actions; an episode's depend on its seed alone.

    They never come from the generator that the environment's own seed makes: of the same seed, actions that are drawn
    as an environment draws its worlds would follow them.
    """

    name = "random actions"

    def __init__(self, space: Space) -> None:
        self._space = space

    def begin(self, seed: int) -> None:
        self._space.seed(int(np.random.SeedSequence([_ACTIONS, seed]).generate_state(1)[0]))

    def choose(self, obs: Any) -> NDArray[Any]:
        return _executed(self._space, self._space.sample())


class _Idle:
    def __init__(self, name: str, action: NDArray[Any]) -> None:
        self.name, self._action = name, action

    def begin(self, seed: int) -> None:
        """Nothing is drawn."""

    def choose(self, obs: Any) -> NDArray[Any]:
        return self._action


class _Stored:
    """A policy that acts exactly as in the judge's episode of the same seed."""

    name = "policy"

    def __init__(self, folder: str, policy_hash: str) -> None:
        self._policy = load_policy(Path(folder), policy_hash)
        self.begin(0)

    def begin(self, seed: int) -> None:
        self._rng, self._memory = episode_generator(seed), self._policy.blank(1)

    def choose(self, obs: Any) -> NDArray[Any]:
        return self._policy.act(obs, self._policy.action_mode, [self._rng], self._memory)


def _idle_actions(space: Space) -> list[tuple[str, NDArray[Any]]]:
    if isinstance(space, spaces.Discrete):
        first = int(space.start)
        numbers = range(first, first + min(int(space.n), MOST_IDLE))
        return [(f"always action {number}", _executed(space, number)) for number in numbers]
    if isinstance(space, spaces.Box):
        return [("always zero", _executed(space, np.clip(np.zeros(space.shape), space.low, space.high)))]
    start = getattr(space, "start", 0)
    return [("always zero", _executed(space, np.zeros(space.shape or (), dtype=np.int64) + start))]


def _executed(space: Space, action: Any) -> NDArray[Any]:
    """One action as a policy's head would give it for a batch of one."""
    if isinstance(space, spaces.Discrete):
        return np.array([action], dtype=np.int64)
    kind = np.float32 if isinstance(space, spaces.Box) else np.int64
    return np.asarray(action).reshape(1, -1).astype(kind)
