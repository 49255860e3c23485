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
from typing import Any, Final

import numpy as np

from experimenter.envs.pipeline import Pipeline
from experimenter.envs.spaces import space_to_json
from experimenter.envs.vector import SyncVector
from experimenter.errors import TrainingFault
from experimenter.identity import role_of, seeds
from experimenter.policies.network import initial_params, views
from experimenter.policies.normaliser import Normaliser, RewardScaler
from experimenter.policies.policy import Policy, flat_params, load_policy, save_policy
from experimenter.records import CurvePoint, Phase, PolicyRef, Training
from experimenter.rl.curves import plateaued
from experimenter.rl.episodes import EpisodeLog
from experimenter.rl.job import TrainJob
from experimenter.rl.metrics import MetricsLog
from experimenter.rl.ppo import Learner, Rollout, UpdateStats
from experimenter.rl.reach import Reach
from experimenter.rl.rollout import Experience
from experimenter.rl.schedule import Chunk, next_chunk
from experimenter.rl.stage import Stage
from experimenter.rl.state import Best, TrainingState, load_newest, pack, save_checkpoint, unpack
from experimenter.rl.validation import Validation, Validator

__all__ = ["Progress", "TrainJob", "train"]

Progress = Callable[[dict[str, Any]], None]
# Beyond the job's own validation seeds, where episodes are so short that more of them cost little.
MORE_EPISODES: Final = 48
STREAM: Final = {"weights": 1, "chunk": 2}


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
        self.policy = self._fresh_policy()
        self.metrics = MetricsLog(self.folder)
        stack.callback(self.metrics.close)
        self.state = self._resume()
        self._adopt()
        self._safe = pack(self.state)
        self._stage: Stage | None = None
        stack.callback(self._close_stage)
        more = seeds(job.seed, "validation", MORE_EPISODES, "more")
        self.validator = Validator(job.target_environment, (*job.validation_seeds, *more), job.judge)
        self._said: dict[str, Any] = {
            "steps": self.state.steps, "until": job.until, "true_return": None, "true_return_from": "training",
            "shaped_return": None, "steps_per_second": 0.0,
        }  # fmt: skip

    # --- beginnings -------------------------------------------------------------------------------------------

    def _fresh_policy(self) -> Policy:
        spec, design = self.job.target_environment, self.job.design
        vector = SyncVector(spec, 1)
        try:
            pipeline = Pipeline.for_space(vector.observation_space, spec.family)
            spaces = space_to_json(vector.observation_space), space_to_json(vector.action_space)
        finally:
            vector.close()
        policy = Policy(pipeline, None, design.network, {}, *spaces)
        rng = np.random.default_rng(np.random.SeedSequence([self.job.seed, STREAM["weights"]]))
        policy.params = views(initial_params(policy.shape, rng), policy.shape)
        return policy

    def _beginning(self) -> TrainingState:
        policy = self._start_policy() if self.job.design.start is not None else self.policy
        flat = flat_params(policy)
        zeros = np.zeros_like(flat)
        return TrainingState(flat, zeros, zeros.copy(), 0, policy.normaliser, self.reach.counts)

    def _start_policy(self) -> Policy:
        start = self.job.design.start
        assert start is not None
        found = load_policy(self.job.workspace / start.path, start.hash)
        same = found.shape == self.policy.shape and found.pipeline.to_json() == self.policy.pipeline.to_json()
        if not same:
            raise TrainingFault(
                f"the starting policy {start.path} has other inputs, actions or layers than this design",
                "Start from a policy of the same environment family and network, or from none.",
            )
        return found

    def _resume(self) -> TrainingState:
        """The last checkpoint's state, else a beginning. Steps lost since then are kept at once, for the next kill."""
        state = load_newest(self.folder) or self._beginning()
        lost = self.metrics.rewind(state.env_steps)
        if lost:
            state.wasted += lost
            save_checkpoint(self.folder, state)
        return state

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

    # --- the loop ---------------------------------------------------------------------------------------------

    def run(self) -> Training:
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
        return self._training()

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
            self.state.scaler = None
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
        rng = np.random.default_rng(np.random.SeedSequence([self.job.seed, STREAM["chunk"], s.chunk]))
        collector = stage.collector(s.chunk)
        collector.reset(seeds(self.job.seed, role_of(self.job.seed), hyper.num_envs, "reset", s.chunk))
        stage.shaper.restart()
        scaler, episodes = self._scaler(stage.phase), EpisodeLog(hyper.num_envs)
        learns = hyper.normalize_observations and not self.policy.pipeline.categorical
        if learns and s.normaliser is None:
            s.normaliser = self.policy.normaliser = Normaliser(self.policy.pipeline.size)
        before, started = s.env_steps, time.monotonic()
        for _ in range(chunk.rollouts):
            warm_up = learns and s.normaliser is not None and s.normaliser.count == 0
            experience = collector.collect(chunk.num_steps, rng, warm_up=warm_up, alive=self._alive)
            reward = self._pay(stage, experience, scaler, episodes)
            rate = self._rate(stage.phase)
            rollout = _rollout(experience, reward)
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                stats = self.learner.update(rollout, hyper, rate, rng)
            if learns and not warm_up and s.normaliser is not None:
                s.normaliser.update(collector.encoded(experience))
            self._count(experience.native.size)
            self._say(stats, rate, episodes, (s.env_steps - before) / max(1e-9, time.monotonic() - started))
            if not stats.finite:
                raise _NotFinite
        s.t = self.learner.adam.t
        s.scaler = scaler.saved if scaler is not None else None
        s.dormant_share = self.learner.dormant_share(experience.inputs.reshape(-1, self.policy.shape.inputs))
        s.chunk += 1
        self._judge_chunk(episodes, stats)

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

    # --- a chunk's end ----------------------------------------------------------------------------------------

    def _judge_chunk(self, episodes: EpisodeLog, stats: UpdateStats) -> None:
        s = self.state
        known = s.episode_length or (float(np.mean(episodes.lengths)) if episodes.lengths else None)
        found = self._validate(self.validator.episodes(self.job.chunk_steps, known))
        if self._reached(found):
            found = self._more(found, len(self.validator.seeds))
            s.ended = "target" if self.job.target is not None and found.cautious >= self.job.target else ""
        found = self._challenge(found)
        s.episode_length = found.episode_length
        s.curve.append(self._point(found, episodes, stats))
        if not s.ended and self.job.stop_at_plateau and plateaued(s.curve):
            s.ended = "plateau"

    def _challenge(self, found: Validation) -> Validation:
        """Makes the policy the best one if it still is after more episodes; a tie goes to the later one.

        A tie on the first few episodes is looked into only when that is cheap.
        """
        s, chunk_steps = self.state, self.job.chunk_steps
        count = self.validator.challenge(chunk_steps, found.episode_length)
        if s.best is not None and not s.ended:
            gain = found.gain_over(s.best.scores)
            if gain < 0 or (gain == 0 and count < len(self.job.validation_seeds)):
                return found
        found = self._more(found, count)
        if s.best is None or s.ended or found.gain_over(s.best.scores) >= 0:
            normaliser = None if s.normaliser is None else s.normaliser.copy()
            s.best = Best(s.flat.copy(), normaliser, found.mode, found.scores, s.steps)
        return found

    def _more(self, found: Validation, count: int) -> Validation:
        return self._validate(count) if count > len(found.scores) else found

    def _validate(self, count: int) -> Validation:
        found = self.validator.validate(self.policy, count, lambda _: self._alive())
        self.state.eval_steps += found.eval_steps
        return found

    def _reached(self, found: Validation) -> bool:
        return self.job.target is not None and found.score >= self.job.target

    def _point(self, found: Validation, episodes: EpisodeLog, stats: UpdateStats) -> CurvePoint:
        return CurvePoint.model_validate(
            {
                "steps": self.state.steps,
                "true_return": found.score,
                "success_rate": found.success_rate,
                "shaped_return": episodes.mean(1),
                "reach": self.reach.value,
                "entropy": stats.entropy,
                "approx_kl": stats.approx_kl,
                "explained_variance": stats.explained_variance,
                "components": episodes.component_means(),
            }
        )

    def _training(self) -> Training:
        s, job = self.state, self.job
        best = s.best
        if best is None and s.env_steps:
            raise TrainingFault(
                f"weights or loss stopped being numbers after {s.env_steps} steps, and no step is left to try again",
                "Lower the learning rate, normalise observations and rewards, or bound the reward program.",
            )
        if best is None:
            raise TrainingFault("there was no step to train", "Give the design at least one step.")
        policy = self.policy.copy()
        policy.params, policy.normaliser = views(best.flat, policy.shape), best.normaliser
        policy.action_mode = best.mode
        # A folder per length: a shorter training's policy stays what its own result says it is.
        name = f"policy-{job.until}"
        found = save_policy(self.folder / name, policy)
        lineage = job.design.lineage_steps + s.env_steps
        return Training(
            step=job.step, design=job.design.hash, seed=job.seed, status="finished", steps=s.steps,
            env_steps=s.env_steps, eval_steps=s.eval_steps, wasted_env_steps=s.wasted, seconds=s.seconds,
            policy=PolicyRef(path=f"{job.relative}/{name}", hash=found, lineage_steps=lineage),
            action_mode=best.mode, curve=tuple(s.curve), components=s.components.traces(),
            dormant_share=s.dormant_share, reach=self.reach.value, containment=s.containment,
        )  # fmt: skip


def _rollout(e: Experience, reward: Any) -> Rollout:
    return Rollout(
        e.inputs, e.raw, reward, e.terminated, e.truncated, e.final_inputs, e.final_at, e.last_inputs
    )
