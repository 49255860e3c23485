"""Starts some episodes from states on the training's own best episodes, and fewer of them as it goes on.

Where success is far from the start, most of what a policy meets is the beginning. Starting from states of good
trajectories shows it the end first: Salimans and Chen, "Learning Montezuma's Revenge from a single demonstration"
(2018); Florensa et al., "Reverse curriculum generation" (CoRL 2017); states of the agent's own good trajectories, as
S3RL proposes. A state is data (a reset's seed and the actions since), so nothing of an environment is ever stored.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from experimenter.contracts import EpisodeTrace, Snapshot, StartStates
from experimenter.records import Record

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Archive", "SnapshotStarts"]


class Parameters(Record):
    """``fraction`` of resets that start from a snapshot at first, falling to none when ``until`` of the phase is
    spent; ``keep`` at most so many episodes, of the best ``share``; ``along``: where on an episode (``uniform``, or
    ``backward`` from its end); ``longest``: replay at most so many steps."""

    fraction: float = Field(default=0.5, ge=0.0, le=1.0)
    until: float = Field(default=0.7, gt=0.0, le=1.0)
    keep: int = Field(default=16, ge=1, le=256)
    share: float = Field(default=0.25, gt=0.0, le=1.0)
    along: Literal["uniform", "backward"] = "uniform"
    longest: int = Field(default=1000, ge=1, le=10_000)


class SnapshotStarts:
    """Kind ``start``."""

    contract: ClassVar[int] = 1
    name: ClassVar[str] = "snapshot-starts"
    kind: ClassVar[str] = "start"
    Parameters: ClassVar[type[Record]] = Parameters

    def starts(self, parameters: Mapping[str, Any]) -> StartStates:
        """An empty archive: until an episode has ended, every start is an ordinary one."""
        return Archive(parameters)


class Archive:
    """The best episodes of each environment, best first; among equals the more recent."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self._parameters = dict(parameters)
        self._best: dict[int, list[EpisodeTrace]] = {}
        self._seen: dict[int, int] = {}

    def ended(self, episode: EpisodeTrace) -> None:
        """Takes an episode in where it belongs, and lets go of what is no longer among the best share."""
        at = episode.environment
        self._seen[at] = self._seen.get(at, 0) + 1
        room = min(self._parameters["keep"], math.ceil(self._parameters["share"] * self._seen[at]))
        kept = self._best.setdefault(at, [])
        before = next((i for i, other in enumerate(kept) if _worth(episode) >= _worth(other)), len(kept))
        kept.insert(before, episode)
        del kept[room:]

    def choose(self, rng: np.random.Generator, environment: int, progress: float) -> Snapshot | None:
        """A state along one of the environment's best episodes, or ``None``; rarer as ``progress`` goes on."""
        share = self._parameters["fraction"] * max(0.0, 1.0 - progress / self._parameters["until"])
        kept = self._best.get(environment)
        if not kept or rng.random() >= share:
            return None
        episode = kept[int(rng.integers(len(kept)))]
        steps = self._cut(rng, len(episode.actions), progress)
        return Snapshot(environment, episode.seed, episode.actions[:steps]) if steps else None

    def drop(self, snapshot: Snapshot) -> None:
        """Forgets the episodes of that reset: its environment does not repeat them."""
        kept = self._best.get(snapshot.environment, [])
        self._best[snapshot.environment] = [episode for episode in kept if episode.seed != snapshot.seed]

    def state(self) -> dict[str, Any]:
        """The episodes as lists of numbers."""
        return {
            "seen": [[at, count] for at, count in sorted(self._seen.items())],
            "best": [_plain(e) for at in sorted(self._best) for e in self._best[at]],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes up what ``state`` gave."""
        self._seen = {int(at): int(count) for at, count in state["seen"]}
        self._best = {}
        for value in state["best"]:
            episode = _episode(value)
            self._best.setdefault(episode.environment, []).append(episode)

    def _cut(self, rng: np.random.Generator, length: int, progress: float) -> int:
        """How many steps of an episode to repeat: never all of them."""
        draw = float(rng.random())
        if self._parameters["along"] == "backward":
            left = max(0.0, 1.0 - progress / self._parameters["until"])
            draw = max(0.0, left - 0.25 * draw)
        return min(int(self._parameters["longest"]), int(draw * length), max(0, length - 1))


def _worth(episode: EpisodeTrace) -> tuple[bool, float]:
    return bool(episode.succeeded), episode.native_return


def _plain(episode: EpisodeTrace) -> dict[str, Any]:
    return {
        "environment": episode.environment,
        "seed": episode.seed,
        "actions": episode.actions.tolist(),
        "type": episode.actions.dtype.str,
        "native_return": episode.native_return,
        "succeeded": episode.succeeded,
    }


def _episode(value: Mapping[str, Any]) -> EpisodeTrace:
    import numpy as np

    return EpisodeTrace(
        environment=int(value["environment"]),
        seed=int(value["seed"]),
        actions=np.array(value["actions"], dtype=np.dtype(value["type"])),
        native_return=float(value["native_return"]),
        succeeded=value["succeeded"],
    )
