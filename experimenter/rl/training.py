"""One training from beginning to end: chunks, checkpoints, validation, and an end that no interruption changes.

Every random draw in a chunk comes from (seed, chunk), and a chunk starts with all environments reset, so the only
state between chunks is what ``state.TrainingState`` holds. Killed anywhere, a training goes on from its last chunk's
end and finishes with the same bytes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from experimenter.errors import TrainingFault
from experimenter.identity import role_of, seeds
from experimenter.policies.network import views
from experimenter.policies.normaliser import Normaliser, RewardScaler
from experimenter.records import Phase, Training
from experimenter.rl.beginning import fresh_policy, generator, resume
from experimenter.rl.ending import finished
from experimenter.rl.episodes import EpisodeLog
from experimenter.rl.examiner import Examiner
from experimenter.rl.job import TrainJob
from experimenter.rl.metrics import MetricsLog
from experimenter.rl.ppo import Learner, Rollout, UpdateStats
from experimenter.rl.reach import Reach
from experimenter.rl.rollout import Experience
from experimenter.rl.schedule import Chunk, next_chunk
from experimenter.rl.stage import Stage
from experimenter.rl.state import pack, save_checkpoint, unpack

__all__ = ["Progress", "TrainJob", "train"]

Progress = Callable[[dict[str, Any]], None]


class _NotFinite(Exception):
    """Loss or weights are no longer numbers."""


def train(job: TrainJob, progress: Progress) -> Training:
    """Train, or go on with what ``job.folder`` holds. ``progress`` hears every rollout.

    Raises TrainingFault (weights not finite twice, or an unfit starting policy), EnvironmentFault, ProgramRejected,
    ContainmentError, WorkspaceError.
    """
    with ExitStack() as stack:
        return _Trainer(job, progress, stack).run()


class _Trainer:
    def __init__(self, job: TrainJob, progress: Progress, stack: ExitStack) -> None:
        self.job, self.progress = job, progress
        self.folder = Path(job.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.reach = Reach(job.features)
        self.policy = fresh_policy(job)
        self.metrics = MetricsLog(self.folder)
        stack.callback(self.metrics.close)
        self.state = resume(job, self.policy, self.reach, self.metrics)
        self._adopt()
        self._safe = pack(self.state)
        self._stage: Stage | None = None
        stack.callback(self._close_stage)
        self.examiner = Examiner(job, self.policy, self._alive)
        self._said: dict[str, Any] = {
            "steps": self.state.steps, "until": job.until, "true_return": None, "true_return_from": "training",
            "shaped_return": None, "steps_per_second": 0.0,
        }  # fmt: skip

    def _adopt(self) -> None:
        """Point the policy and the reach at the state's arrays, which training changes in place."""
        self.policy.params = views(self.state.flat, self.policy.shape)
        self.policy.normaliser = self.state.normaliser
        self.reach.counts = self.state.reach
        self.learner = Learner(self.policy.shape, self.policy.head, self.state.flat)
        self.learner.adam.m, self.learner.adam.v, self.learner.adam.t = (
            self.state.m,
            self.state.v,
            self.state.t,
        )

    def run(self) -> Training:
        if self.job.design.start is not None and not self.state.curve:
            self.examiner.examine_start(self.state)
            save_checkpoint(self.folder, self.state)
            self._safe = pack(self.state)
        while (chunk := self._next()) is not None:
            started = time.monotonic()
            try:
                self._train_chunk(chunk)
            except _NotFinite:
                self._roll_back()
                continue
            self.state.seconds += time.monotonic() - started
            self._safe = pack(self.state)
            save_checkpoint(self.folder, self.state)
        return finished(self.job, self.state, self.policy, self.reach.value)

    def _next(self) -> Chunk | None:
        s, job = self.state, self.job
        if s.ended:
            return None
        lost = s.env_steps - s.steps
        if lost and job.until - s.env_steps < job.design.phases[s.phase].hyperparameters.num_envs:
            return None
        return next_chunk(job.design, s.phase, s.done, s.steps, job.until - lost, job.chunk_steps)

    def _roll_back(self) -> None:
        """Once: the last finite state with half the learning rate. The lost steps stay counted, also in ``until``."""
        spent = self.state.env_steps
        if self.state.rate_scale < 1.0:
            raise TrainingFault(
                f"weights or loss stopped being numbers twice, last after {spent} steps",
                "Lower the learning rate, normalise observations and rewards, or bound the reward program.",
            )
        state = unpack(self._safe)
        assert state is not None
        self.state = state
        self.state.rate_scale, self.state.env_steps = 0.5, spent
        self._close_stage()
        self._adopt()

    def _enter(self, chunk: Chunk) -> Stage:
        if self._stage is None or self._stage.index != chunk.phase:
            self._close_stage()
            self._stage = Stage(self.job, chunk.phase, self.policy)
        if self.state.phase != chunk.phase or chunk.done == 0:
            self.state.scaler = self.state.starts = None
        self.state.phase, self.state.done = chunk.phase, chunk.done
        if self._stage.containment != "none needed":
            self.state.containment = self._stage.containment
        return self._stage

    def _close_stage(self) -> None:
        if self._stage is not None:
            self._stage.close()
            self._stage = None

    def _train_chunk(self, chunk: Chunk) -> None:
        s, stage = self.state, self._enter(chunk)
        hyper = stage.phase.hyperparameters
        rng = generator(self.job, "chunk", s.chunk)
        collector = stage.enter(chunk, s)
        collector.reset(seeds(self.job.seed, role_of(self.job.seed), hyper.num_envs, "reset", s.chunk))
        stage.shaper.restart()
        scaler, episodes = self._scaler(stage.phase), EpisodeLog(hyper.num_envs)
        learns = hyper.normalize_observations and not self.policy.pipeline.categorical
        if learns and s.normaliser is None:
            s.normaliser = self.policy.normaliser = Normaliser(self.policy.pipeline.size)
        before, started = s.env_steps, time.monotonic()
        for _ in stage.rollouts(chunk):
            warm_up = learns and s.normaliser is not None and s.normaliser.count == 0
            experience = collector.collect(chunk.num_steps, rng, warm_up=warm_up, alive=self._alive)
            reward = self._pay(stage, experience, scaler, episodes)
            rate = self._rate(stage.phase)
            rollout = _rollout(experience, reward)
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                stats = self.learner.update(rollout, hyper, rate, rng)
            if learns and not warm_up and s.normaliser is not None:
                s.normaliser.update(collector.encoded(experience))
            self._count(experience.env_steps)
            self._say(stats, rate, episodes, (s.env_steps - before) / max(1e-9, time.monotonic() - started))
            if not stats.finite:
                raise _NotFinite
        s.t = self.learner.adam.t
        s.scaler = scaler.saved if scaler is not None else None
        s.starts = stage.starts_state()
        s.dormant_share = self.learner.dormant_share(experience.inputs.reshape(-1, self.policy.shape.inputs))
        s.chunk += 1
        self.examiner.examine(s, self.reach.value, episodes, stats)

    def _scaler(self, phase: Phase) -> RewardScaler | None:
        hyper = phase.hyperparameters
        if not hyper.normalize_rewards:
            return None
        scaler = RewardScaler(hyper.num_envs, hyper.gamma)
        if self.state.scaler is not None:
            scaler.restore(self.state.scaler)
        return scaler

    def _pay(
        self, stage: Stage, experience: Experience, scaler: RewardScaler | None, episodes: EpisodeLog
    ) -> np.ndarray[Any, np.dtype[np.float32]]:
        paid = stage.shaper.pay(experience)
        self.reach.visit(paid.features)
        ended = episodes.add(experience.native, paid.reward, paid.components, experience.done)
        self.state.components.add(self.state.steps / self.job.design.steps, paid.components, ended)
        if scaler is not None:
            return scaler.scale(paid.reward, experience.done)
        return paid.reward.astype(np.float32)

    def _rate(self, phase: Phase) -> float:
        """Falls linearly over the phase's own steps, whatever ``until`` is."""
        hyper = phase.hyperparameters
        left = 1.0 - self.state.done / phase.steps if hyper.anneal_learning_rate else 1.0
        return hyper.learning_rate * self.state.rate_scale * left

    def _count(self, steps: int) -> None:
        self.state.steps += steps
        self.state.done += steps
        self.state.env_steps += steps

    def _say(self, stats: UpdateStats, rate: float, episodes: EpisodeLog, speed: float) -> None:
        s = self.state
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

    def _alive(self) -> None:
        """A sign of life between steps: what was said last."""
        self.progress(self._said)


def _rollout(e: Experience, reward: Any) -> Rollout:
    return Rollout(
        e.inputs, e.raw, reward, e.terminated, e.truncated, e.final_inputs, e.final_at, e.last_inputs
    )
