"""Plays one episode of a stored policy for a person, in a worker: as pictures, or step by step in words.

Pictures leave the worker as a numpy file, which is data and nothing else; a wire of JSON is no place for them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from experimenter.execution.film import Film, film
from experimenter.records import EnvSpec, JudgeSpec, Record

if TYPE_CHECKING:
    from experimenter.envs.records import EnvCard
    from experimenter.judge.evaluate import Moment

__all__ = ["PlayOrder", "Played", "play", "read_film"]

Progress = Callable[[dict[str, Any]], None]
FILE: Final = "film.npz"
CARD_STEPS: Final = 200
MOST_LINES: Final = 10_000
SHOWN: Final = 12


class PlayOrder(Record):
    """One episode to play. ``folder`` is where the pictures go; without one, the episode is told in words."""

    policy_folder: str
    policy_hash: str
    environment: EnvSpec
    seed: int
    judge: JudgeSpec | None = None
    folder: str | None = None
    max_frames: int = 400
    size: int = 480


class Played(Record):
    """What came of it; ``lines`` only where it was told in words."""

    native_return: float
    success: bool | None
    length: int
    fps: float = 0.0
    speed: float = 1.0
    captions: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()


def play(order: PlayOrder, progress: Progress) -> Played:
    """Plays in this process. Raises WorkspaceError for a damaged policy, EnvironmentFault, also without pictures."""
    if order.folder is None:
        return _told(order, progress)
    found = film(
        order.policy_folder,
        order.policy_hash,
        order.environment,
        order.seed,
        None,
        max_frames=order.max_frames,
        size=order.size,
        judge=order.judge,
        progress=progress,
    )
    np.savez_compressed(Path(order.folder) / FILE, frames=found.frames)
    return Played(
        native_return=found.native_return,
        success=found.success,
        length=found.length,
        fps=found.fps,
        speed=found.speed,
        captions=found.captions,
    )


def read_film(folder: Path, played: Played) -> Film:
    """The film that a worker left in ``folder``."""
    with np.load(folder / FILE, allow_pickle=False) as stored:
        frames = stored["frames"]
    return Film(
        frames=frames,
        fps=played.fps,
        native_return=played.native_return,
        success=played.success,
        captions=played.captions,
        length=played.length,
        speed=played.speed,
    )


def _told(order: PlayOrder, progress: Progress) -> Played:
    from experimenter.envs.card import extract_card
    from experimenter.envs.judging import judge_for
    from experimenter.judge.evaluate import play_episode
    from experimenter.policies.policy import load_policy

    policy = load_policy(Path(order.policy_folder), order.policy_hash)
    card = extract_card(order.environment, judge=None, steps=CARD_STEPS, progress=progress)
    teller = _Teller(card, progress)
    judge = judge_for(None, order.environment) if order.judge is None else order.judge
    episode = play_episode(policy, order.environment, order.seed, judge, None, teller.hear)
    return Played(
        native_return=episode.score,
        success=episode.success,
        length=episode.length,
        lines=tuple(teller.lines),
    )


class _Teller:
    """Writes a line for every moment: step, action, reward and the first named features."""

    def __init__(self, card: EnvCard, progress: Progress) -> None:
        from experimenter.envs.features import FeatureExtractor

        shown = [one for one in card.features if one.source.rule != "ever" and one.possible][:SHOWN]
        self.lines: list[str] = []
        self._extract = FeatureExtractor(shown).extract
        self._meanings, self._progress, self._score = card.action_meanings, progress, 0.0

    def hear(self, moment: Moment) -> None:
        self._progress({"steps": moment.step})
        if len(self.lines) < MOST_LINES:
            self.lines.append(self._line(moment))
        self._score = moment.score

    def _line(self, moment: Moment) -> str:
        features = self._extract(moment.observation)
        seen = ", ".join(f"{name} {float(value[0]):.3g}" for name, value in features.items())
        if moment.action is None:
            return f"step 0: {seen}"
        reward = moment.score - self._score
        return f"step {moment.step}: {self._act(moment.action)}, reward {reward:.4g}: {seen}"

    def _act(self, action: Any) -> str:
        array = np.asarray(action)
        if array.ndim == 0 and array.dtype.kind in "iu":
            number = int(array)
            return self._meanings[number] if number < len(self._meanings) else f"action {number}"
        return "action (" + ", ".join(f"{float(x):.3g}" for x in array.reshape(-1)) + ")"
