"""What a training counts and tells while it runs: steps, rewards paid, episodes, its log, signs of life."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experimenter.rl.episodes import EpisodeLog
from experimenter.rl.figures import Figures
from experimenter.rl.job import TrainJob
from experimenter.rl.metrics import MetricsLog
from experimenter.rl.reach import Reach
from experimenter.rl.rollout import Experience
from experimenter.rl.shaping import Paid
from experimenter.rl.state import TrainingState

__all__ = ["Account", "Progress"]

Progress = Callable[[dict[str, Any]], None]
Rewards = NDArray[np.float64]


@dataclass(slots=True)
class Account:
    """Books on ``state``, which a roll-back exchanges for an earlier one."""

    job: TrainJob
    state: TrainingState
    reach: Reach
    metrics: MetricsLog
    progress: Progress
    _said: dict[str, Any] = field(init=False)
    _since: tuple[float, int] = field(init=False)

    def __post_init__(self) -> None:
        self._said = {
            "steps": self.state.steps, "until": self.job.until, "true_return": None, "true_return_from": "training",
            "shaped_return": None, "steps_per_second": 0.0,
        }  # fmt: skip
        self.begin_chunk()

    def begin_chunk(self) -> None:
        """The speed that is told is the chunk's."""
        self._since = time.monotonic(), self.state.env_steps

    def book(self, paid: Paid, experience: Experience, episodes: EpisodeLog) -> Rewards:
        """What was reached, earned and paid in a rollout; its rewards (T, N)."""
        self.reach.visit(paid.features)
        ended = episodes.add(experience.native, paid.reward, paid.components, experience.done)
        self.state.components.add(self.state.steps / self.job.design.steps, paid.components, ended)
        return paid.reward

    def count(self, steps: int) -> None:
        """Learning steps of single environments."""
        self.state.steps += steps
        self.state.done += steps
        self.state.env_steps += steps

    def say(self, stats: Figures, rate: float, episodes: EpisodeLog) -> None:
        """After an update: progress to whoever listens, and one line of the log."""
        s, (began, before) = self.state, self._since
        speed = (s.env_steps - before) / max(1e-9, time.monotonic() - began)
        native, shaped = episodes.mean(0, recent=True), episodes.mean(1, recent=True)
        self._said = {
            "steps": s.steps, "until": self.job.until, "true_return": native, "true_return_from": "training",
            "shaped_return": shaped, "steps_per_second": speed,
        }  # fmt: skip
        self.progress(self._said)
        said = {"global_step": s.steps, "env_steps": s.env_steps, "charts/learning_rate": rate}
        charts = {"episodic_return": native, "shaped_return": shaped, "SPS": round(speed)}
        losses = {k: v for k, v in asdict(stats).items() if k != "finite"}
        self.metrics.write(said, charts=charts, losses=losses)

    def alive(self) -> None:
        """A sign of life between steps: what was said last."""
        self.progress(self._said)
