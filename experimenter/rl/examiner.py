"""What a chunk's end decides, asked on validation seeds: the curve's next point, the best policy, an early end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from experimenter.identity import seeds
from experimenter.policies.policy import Policy
from experimenter.records import CurvePoint
from experimenter.rl.curves import plateaued
from experimenter.rl.episodes import EpisodeLog
from experimenter.rl.figures import Figures
from experimenter.rl.job import TrainJob
from experimenter.rl.state import Best, TrainingState
from experimenter.rl.stopping import stop, told
from experimenter.rl.validation import Validation, Validator

__all__ = ["Examiner"]

# Beyond the job's own validation seeds, where episodes are so short that more of them cost little.
MORE_EPISODES: Final = 48


class Examiner:
    """Examines ``policy``, which training changes in place, and writes what it finds into the training's state.

    ``alive`` is called between the judge's steps, as a sign of life.
    """

    def __init__(self, job: TrainJob, policy: Policy, alive: Callable[[], None]) -> None:
        self.job, self.policy, self.alive = job, policy, alive
        more = seeds(job.seed, "validation", MORE_EPISODES, "more")
        self.validator = Validator(job.target_environment, (*job.validation_seeds, *more), job.judge)

    def examine(self, state: TrainingState, reach: float, episodes: EpisodeLog, stats: Figures) -> None:
        """Ends a chunk: a new point of the curve, perhaps a new best policy, perhaps a reason to end early."""
        known = state.episode_length or (float(np.mean(episodes.lengths)) if episodes.lengths else None)
        found = self._look(state, known)
        state.curve.append(_point(state.steps, found, reach, episodes, stats))
        if not state.ended and self.job.stop_at_plateau and plateaued(state.curve):
            state.ended = "plateau"
        if not state.ended and self._goes_on(state):
            found_stop = stop(state.curve, self.job.design.steps, self.job.stopping, self.job.rival)
            state.ended = told(found_stop)

    def _goes_on(self, state: TrainingState) -> bool:
        """Whether the design has a rollout left: what is over is not stopped early."""
        design = self.job.design
        return design.steps - state.steps >= design.phases[-1].hyperparameters.rollout

    def examine_start(self, state: TrainingState) -> None:
        """What a policy that training starts from can do already: the curve's point at no steps, and the first best."""
        found = self._look(state, None)
        point = {"steps": state.steps, "true_return": found.score, "success_rate": found.success_rate}
        state.curve.append(CurvePoint.model_validate(point))

    def _look(self, state: TrainingState, episode_length: float | None) -> Validation:
        found = self._validate(state, self.validator.episodes(self.job.chunk_steps, episode_length))
        if self._reached(found.score):
            found = self._more(state, found, len(self.validator.seeds))
            state.ended = "target" if self._reached(found.cautious) else ""
        found = self._challenge(state, found)
        state.episode_length = found.episode_length
        return found

    def _challenge(self, state: TrainingState, found: Validation) -> Validation:
        """Makes the policy the best one if it still is after more episodes; a tie goes to the later one.

        A tie on the first few episodes is looked into only when that is cheap.
        """
        count = self.validator.challenge(self.job.chunk_steps, found.episode_length)
        if state.best is not None and not state.ended:
            gain = found.gain_over(state.best.scores)
            if gain < 0 or (gain == 0 and count < len(self.job.validation_seeds)):
                return found
        found = self._more(state, found, count)
        if state.best is None or state.ended or found.gain_over(state.best.scores) >= 0:
            normaliser = None if state.normaliser is None else state.normaliser.copy()
            state.best = Best(state.flat.copy(), normaliser, found.mode, found.scores, state.steps)
        return found

    def _more(self, state: TrainingState, found: Validation, count: int) -> Validation:
        return self._validate(state, count) if count > len(found.scores) else found

    def _validate(self, state: TrainingState, count: int) -> Validation:
        found = self.validator.validate(self.policy, count, lambda _: self.alive())
        state.eval_steps += found.eval_steps
        return found

    def _reached(self, score: float) -> bool:
        return self.job.target is not None and score >= self.job.target


def _point(steps: int, found: Validation, reach: float, episodes: EpisodeLog, stats: Figures) -> CurvePoint:
    return CurvePoint.model_validate(
        {
            "steps": steps,
            "true_return": found.score,
            "success_rate": found.success_rate,
            "shaped_return": episodes.mean(1),
            "reach": reach,
            "entropy": _told(stats.entropy),
            "approx_kl": _told(stats.approx_kl),
            "explained_variance": _told(stats.explained_variance),
            "components": episodes.component_means(),
        }
    )


def _told(figure: float) -> float:
    """What an algorithm says of itself. Some of it may be undefined: a critic of returns that never vary explains
    nothing."""
    return figure if np.isfinite(figure) else 0.0
