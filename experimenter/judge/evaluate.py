"""Scores a policy on held-out seeds by the environment's own signal: the frozen judge.

Up to sixteen episodes are played in lock step through one forward pass. A seed's result depends on the seed alone:
each episode samples from a generator of its own, and ``Policy.act`` computes a row alike whatever stands beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from experimenter.envs.families import family
from experimenter.envs.faults import foreign
from experimenter.envs.make import make
from experimenter.envs.spaces import Leaf, leaves, space_to_json, without_text
from experimenter.errors import EnvironmentFault, UsageError
from experimenter.judge.seat import Episode, Observation, Seat
from experimenter.policies.acting import episode_generator
from experimenter.policies.policy import Policy
from experimenter.records import EnvSpec, Evaluation, JudgeSpec, TrueReturn

__all__ = ["SEATS", "Mode", "Moment", "Progress", "evaluate", "play_episode"]

SEATS: Final = 16
Mode = Literal["greedy", "sample"]
Progress = Callable[[dict[str, Any]], None]
Build = Callable[[EnvSpec], Any]


@dataclass(frozen=True, slots=True)
class Moment:
    """What a viewer sees after ``step`` steps (0: just reset): the environment itself, to be drawn and never stepped,
    the native return so far, the observation as a batch of one, the action that led there (``None`` at first), and
    whether the episode ended with it."""

    env: Any
    step: int
    score: float
    observation: Any
    action: np.ndarray | None
    last: bool


def evaluate(
    policy: Policy,
    spec: EnvSpec,
    seeds: Sequence[int],
    judge: JudgeSpec,
    mode: Mode | None = None,
    progress: Progress | None = None,
    *,
    policy_hash: str = "",
    seats: int = SEATS,
) -> Evaluation:
    """One episode per seed, in the policy's own action mode unless ``mode`` names one.

    ``seats`` (1 to 16) environments are played in lock step; the result does not depend on it. ``progress`` hears
    ``{"episodes", "of", "steps"}`` at every step, as a sign of life. ``policy_hash`` is written into the result.
    Raises EnvironmentFault when the environment fails, never ends or has other spaces than the policy; UsageError
    without seeds.
    """
    if not seeds:
        raise UsageError("The judge needs at least one seed.", "Ask for at least one evaluation episode.")
    chosen: Mode = mode or policy.action_mode
    with _table(policy, spec, judge, max(1, min(seats, SEATS, len(seeds)))) as table:
        episodes = _play(policy, table, seeds, chosen, progress or _silent)
    return _evaluation(policy_hash, judge, seeds, episodes, chosen)


def play_episode(
    policy: Policy,
    spec: EnvSpec,
    seed: int,
    judge: JudgeSpec,
    mode: Mode | None,
    seen: Callable[[Moment], None],
    build: Build = make,
) -> Episode:
    """The very episode that ``evaluate`` plays for ``seed``, with a viewer who is shown every moment of it.

    ``build`` makes the environment, so that it can draw itself. Raises EnvironmentFault.
    """
    with _table(policy, spec, judge, 1, build) as table:
        place, episode = _next_episode(policy, table.seats[0], iter([(0, seed)])), None
        assert place is not None
        action, step = None, 0
        while True:
            batch = table.batch([place.observation])
            seen(Moment(place.seat.env, step, place.seat.score, batch, action, episode is not None))
            if episode is not None:
                return episode
            action = policy.act(batch, mode or policy.action_mode, [place.rng], place.memory)[0]
            place.observation, episode = place.seat.step(action)
            step += 1


@dataclass(frozen=True, slots=True)
class _Table:
    """The environments, and how their observations become one batch."""

    seats: tuple[Seat, ...]
    leaves: tuple[Leaf, ...]

    def batch(self, rows: Sequence[Observation]) -> Any:
        """The rows as ``SyncVector`` would give them: one array, or a flat dictionary of arrays."""
        columns = zip(self.leaves, zip(*rows, strict=True), strict=True)
        arrays = {leaf.name: np.stack(column).astype(leaf.dtype) for leaf, column in columns}
        return arrays[""] if self.leaves[0].keys == () else arrays


@contextmanager
def _table(
    policy: Policy, spec: EnvSpec, judge: JudgeSpec, count: int, build: Build = make
) -> Iterator[_Table]:
    measures, envs = family(spec.family), [build(spec)]
    try:
        _same_spaces(policy, spec, envs[0])
        envs += [build(spec) for _ in range(count - 1)]
        found = leaves(envs[0].observation_space)
        yield _Table(tuple(Seat(env, spec, judge, measures, found) for env in envs), found)
    finally:
        for env in envs:
            with foreign(spec.id, "while it was closed"):
                env.close()


def _same_spaces(policy: Policy, spec: EnvSpec, env: Any) -> None:
    """Raises EnvironmentFault where they differ. A policy may overlook text: older releases read none."""
    for what, stored, space in (
        ("observations", policy.observation_space_json, env.observation_space),
        ("actions", policy.action_space_json, env.action_space),
    ):
        form = space_to_json(space)
        if _form(stored) not in (_form(form), _form(without_text(form))):
            raise EnvironmentFault(
                f"{spec.id} has other {what} than the environment that the policy was trained in.",
                "Judge the policy in its own environment, with the same wrappers and parameters.",
            )


def _form(space: Any) -> Any:
    """A space without its bounds, which no pipeline relies on."""
    if isinstance(space, dict):
        return {key: _form(value) for key, value in space.items() if key not in ("low", "high")}
    return space


def _play(
    policy: Policy, table: _Table, seeds: Sequence[int], mode: Mode, progress: Progress
) -> list[Episode]:
    """Episodes in the order of ``seeds``. A seat that is done takes the next seed that waits."""
    waiting = iter(enumerate(seeds))
    playing = [place for seat in table.seats if (place := _next_episode(policy, seat, waiting)) is not None]
    finished: dict[int, Episode] = {}
    steps = 0
    while playing:
        batch = table.batch([place.observation for place in playing])
        memory = np.concatenate([place.memory for place in playing])
        actions = policy.act(batch, mode, [place.rng for place in playing], memory)
        steps += len(playing)
        still: list[_Place | None] = []
        for row, (place, action) in enumerate(zip(playing, actions, strict=True)):
            place.memory = memory[row : row + 1]
            place.observation, episode = place.seat.step(action)
            if episode is not None:
                finished[place.index] = episode
            still.append(place if episode is None else _next_episode(policy, place.seat, waiting))
        playing = [place for place in still if place is not None]
        progress({"episodes": len(finished), "of": len(seeds), "steps": steps})
    return [finished[index] for index in range(len(seeds))]


@dataclass(slots=True)
class _Place:
    """An episode being played: which seed's it is, what is seen now, what its sampling draws from, and what the policy
    remembers of it, (1, memory)."""

    seat: Seat
    index: int
    observation: Observation
    rng: np.random.Generator
    memory: NDArray[np.float32]


def _next_episode(policy: Policy, seat: Seat, waiting: Iterator[tuple[int, int]]) -> _Place | None:
    turn = next(waiting, None)
    if turn is None:
        return None
    index, seed = turn
    return _Place(seat, index, seat.start(seed), episode_generator(seed), policy.blank(1))


def _evaluation(
    policy_hash: str, judge: JudgeSpec, seeds: Sequence[int], episodes: Sequence[Episode], mode: Mode
) -> Evaluation:
    scores = tuple(TrueReturn(e.score) for e in episodes)
    lengths = tuple(e.length for e in episodes)
    return Evaluation(
        policy=policy_hash,
        judge=judge.words,
        seeds=tuple(seeds),
        scores=scores,
        mean=TrueReturn(float(np.mean(scores))),
        success_rate=_success_rate(episodes),
        subtasks=_subtasks(episodes),
        lengths=lengths,
        eval_steps=sum(lengths),
        action_mode=mode,
    )


def _success_rate(episodes: Sequence[Episode]) -> float | None:
    known = [e.success for e in episodes if e.success is not None]
    return float(np.mean(known)) if len(known) == len(episodes) else None


def _subtasks(episodes: Sequence[Episode]) -> dict[str, tuple[float, ...]]:
    names = sorted({name for e in episodes for name in e.subtasks})
    return {name: tuple(float(e.subtasks.get(name, False)) for e in episodes) for name in names}


def _silent(_: dict[str, Any]) -> None:
    return None
