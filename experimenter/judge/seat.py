"""One environment at the judge's table: plays one seeded episode after another and believes nothing it is told.

An environment is a stranger's code. Whatever it raises or returns against the Gymnasium API becomes an
``EnvironmentFault`` that names the environment, the seed and the step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from experimenter.envs.faults import foreign
from experimenter.envs.limits import ASSUMED_STEPS, declared_limit
from experimenter.envs.spaces import Leaf
from experimenter.errors import EnvironmentFault
from experimenter.records import EnvSpec, JudgeSpec

__all__ = ["Episode", "Measures", "Observation", "Seat"]

Observation = tuple[NDArray[Any], ...]
"""One observation: an array for each numeric leaf of the space, in the leaves' order."""


class Measures(Protocol):
    """What the judge asks of an environment's family."""

    def succeeded(
        self, spec: EnvSpec, episode_return: float, terminated: bool, info: Mapping[str, Any]
    ) -> bool | None: ...

    def subtasks(self, spec: EnvSpec, info: Mapping[str, Any]) -> Mapping[str, bool]: ...


@dataclass(frozen=True, slots=True)
class Episode:
    """One finished episode: undiscounted native return, steps, success (``None``: no measure), sub-tasks reached."""

    score: float
    length: int
    success: bool | None
    subtasks: Mapping[str, bool]


@dataclass(slots=True)
class _Tally:
    """What has happened in the current episode."""

    seed: int
    score: float = 0.0
    length: int = 0
    key_seen: bool = False
    subtasks: dict[str, bool] = field(default_factory=dict)


class Seat:
    """One environment object, made once, reset with each episode's seed.

    ``cap`` is the limit that the environment declares, or 10,000. ``make`` cuts episodes where none is declared, so
    that only one that overruns its own limit ever meets it.
    """

    def __init__(
        self, env: Any, spec: EnvSpec, judge: JudgeSpec, measures: Measures, leaves: Sequence[Leaf]
    ) -> None:
        self._env, self._spec, self._judge, self._measures = env, spec, judge, measures
        self._leaves = tuple(leaves)
        self.cap = declared_limit(env) or ASSUMED_STEPS
        self._action_shape = tuple(env.action_space.shape or ())
        self._action_dtype = env.action_space.dtype
        self._tally = _Tally(seed=0)

    @property
    def env(self) -> Any:
        """The environment, for those who draw it."""
        return self._env

    @property
    def score(self) -> float:
        """The undiscounted native return of the current episode so far."""
        return self._tally.score

    def start(self, seed: int) -> Observation:
        """Resets with ``seed``; returns the first observation. Raises EnvironmentFault."""
        self._tally = _Tally(seed)
        with self._foreign():
            answer = self._env.reset(seed=seed)
        if not isinstance(answer, tuple) or len(answer) != 2:
            self._fault("did not return (observation, info) from reset")
        return self._observation(answer[0])

    def step(self, action: Any) -> tuple[Observation, Episode | None]:
        """Executes one action; returns the observation, and the episode if it ended. Raises EnvironmentFault."""
        executed = np.asarray(action, dtype=self._action_dtype).reshape(self._action_shape)
        self._tally.length += 1
        with self._foreign():
            answer = self._env.step(executed.item() if executed.ndim == 0 else executed)
        if not isinstance(answer, tuple) or len(answer) != 5:
            self._fault("did not return (observation, reward, terminated, truncated, info) from step")
        observation, reward, terminated, truncated, info = answer
        self._note(reward, info)
        ended = self._flag("terminated", terminated) | self._flag("truncated", truncated)
        checked = self._observation(observation)
        if ended:
            return checked, self._finish(bool(terminated), info)
        if self._tally.length >= self.cap:
            self._endless()
        return checked, None

    def _note(self, reward: Any, info: Any) -> None:
        tally = self._tally
        tally.score += self._number("reward", reward)
        if not isinstance(info, dict):
            self._fault("returned an info that is not a dictionary")
        if self._judge.kind == "info":
            tally.key_seen |= bool(
                self._number(f"info[{self._judge.key!r}]", info.get(self._judge.key, False))
            )
        with self._foreign():
            reached = self._measures.subtasks(self._spec, info)
        for name, flag in reached.items():
            tally.subtasks[name] = tally.subtasks.get(name, False) or bool(flag)

    def _finish(self, terminated: bool, info: Mapping[str, Any]) -> Episode:
        tally = self._tally
        return Episode(tally.score, tally.length, self._success(terminated, info), dict(tally.subtasks))

    def _success(self, terminated: bool, info: Mapping[str, Any]) -> bool | None:
        tally = self._tally
        match self._judge.kind:
            case "none":
                return None
            case "family":
                with self._foreign():
                    return self._measures.succeeded(self._spec, tally.score, terminated, info)
            case "info":
                return tally.key_seen
            case "return_at_least":
                return tally.score >= self._judge.threshold
            case "length_at_least":
                return tally.length >= self._judge.threshold

    def _observation(self, observation: Any) -> Observation:
        return tuple(self._leaf(leaf, observation) for leaf in self._leaves)

    def _leaf(self, leaf: Leaf, observation: Any) -> NDArray[Any]:
        name = f" {leaf.name!r}" if leaf.name else ""
        try:
            for key in leaf.keys:
                observation = observation[key]
            array = np.asarray(observation if leaf.text is None else leaf.text.read(observation))
        except (KeyError, IndexError, TypeError, ValueError):
            lacking = name or " numbers" if leaf.text is None else f"{name} that is text"
            self._fault(f"returned an observation without{lacking}")
        if array.shape != leaf.shape or array.dtype.kind not in "biuf":
            shown = f"shape {array.shape} and dtype {array.dtype}"
            self._fault(f"returned an observation{name} of {shown} instead of {leaf.shape} and {leaf.dtype}")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            self._fault(f"returned an observation{name} with NaN or infinity")
        return array

    def _number(self, what: str, value: Any) -> float:
        array = np.asarray(value)
        if array.size != 1 or array.dtype.kind not in "fiub" or not np.isfinite(array).all():
            self._fault(f"returned {what} = {str(value)[:60]!r}, which is not one finite number")
        return float(array.item())

    def _flag(self, what: str, value: Any) -> bool:
        if not isinstance(value, (bool, np.bool_)):
            self._fault(f"returned {what} = {str(value)[:60]!r}, which is not true or false")
        return bool(value)

    def _when(self) -> str:
        step = f"at step {self._tally.length}" if self._tally.length else "at reset"
        return f"{step} of the judge's episode with seed {self._tally.seed}"

    def _foreign(self) -> AbstractContextManager[None]:
        return foreign(self._spec.id, self._when())

    def _fault(self, what: str) -> NoReturn:
        raise EnvironmentFault(
            f"{self._spec.id} {what} {self._when()}.",
            "Fix the environment, or change its parameters with --set.",
        )

    def _endless(self) -> NoReturn:
        raise EnvironmentFault(
            f"{self._spec.id} did not end the episode with seed {self._tally.seed} "
            f"within {self.cap:,} steps (its own max_episode_steps).",
            "Truncate episodes where its max_episode_steps says, or register it with gymnasium.register.",
        )
