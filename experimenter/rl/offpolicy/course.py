"""One off-policy training: collect a stretch, pay it, put it into the buffer, learn as often as was collected.

The reward program is called once for each stretch, before its transitions enter the buffer, which keeps what was
paid. Chunks, checkpoints and everything random are as in any training: environments start anew with each chunk, draws
come from (seed, chunk), and the buffer's files stand beside the checkpoints.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experimenter.identity import digest
from experimenter.policies.network import hidden_layers, views
from experimenter.policies.policy import Policy
from experimenter.records import OffPolicySettings, Phase
from experimenter.rl.account import Account
from experimenter.rl.course import Elsewhere, NotFinite, Taught, Teaching
from experimenter.rl.dormant import dormant_share
from experimenter.rl.episodes import EpisodeLog
from experimenter.rl.figures import Figures
from experimenter.rl.job import TrainJob
from experimenter.rl.offpolicy.behaviour import acting, epsilon
from experimenter.rl.offpolicy.buffer import ReplayBuffer, ReplayFiles, Transitions
from experimenter.rl.offpolicy.learning import Lesson, Teacher, teacher
from experimenter.rl.offpolicy.losses import Idle
from experimenter.rl.offpolicy.settings import settings_of
from experimenter.rl.rollout import Experience, Wanted, flatten
from experimenter.rl.schedule import Chunk
from experimenter.rl.stage import Stage
from experimenter.rl.state import TrainingState

__all__ = ["OffPolicy"]


class OffPolicy:
    """An off-policy algorithm at work, with ``usual`` settings where a phase has none: ``state`` and ``policy`` share
    their arrays. See ``rl.course.Course``."""

    def __init__(
        self,
        job: TrainJob,
        policy: Policy,
        state: TrainingState,
        account: Account,
        usual: OffPolicySettings,
    ) -> None:
        self.job, self.policy, self.state, self.account = job, policy, state, account
        self._usual = usual
        policy.params = views(state.flat, policy.shape)
        policy.normaliser = None
        self.files = ReplayFiles(Path(job.folder))
        self._buffer: ReplayBuffer | None = None
        self._key = ""
        self._before = 0
        self._new: list[Transitions] = []

    def chunk(self, chunk: Chunk, stage: Stage, rng: np.random.Generator) -> Teaching[Taught]:
        """See ``Course.chunk``."""
        s, settings = self.state, settings_of(stage.phase, self._usual)
        buffer = self._enter(stage.phase, settings)
        teacher, episodes = self._teacher(settings), EpisodeLog(stage.phase.hyperparameters.num_envs)
        collector = stage.collected
        stats: Figures = Idle()
        rate = settings.learning_rate * s.rate_scale
        for _ in stage.rollouts(chunk):
            collector.policy = self._acting(buffer, settings)
            experience: Experience = yield Wanted(collector, chunk.num_steps, rng, False, self.account.alive)
            answer = stage.shaper.begin(experience)
            if stage.shaper.program is not None:
                yield Elsewhere()
            paid = self.account.book(answer(), experience, episodes)
            new = self._transitions(experience, paid.astype(np.float32))
            buffer.add(new)
            self._new.append(new)
            updates = len(new) if settings.gradient_steps == -1 else settings.gradient_steps
            if updates and buffer.total >= settings.learning_starts:
                lesson = Lesson(updates, settings.batch_size, rate)
                stats = teacher.teach(buffer, lesson, rng, self.account.alive)
            self.account.count(experience.env_steps)
            self.account.say(stats, rate, episodes)
            if not (stats.finite and np.isfinite(s.flat).all()):
                raise NotFinite
        s.t = teacher.updates
        s.dormant_share = self._dormant(experience)
        return Taught(episodes, stats)

    def save(self, folder: Path) -> None:
        """Keeps what the chunk added to the buffer, once and for all, and deletes files that it forgot."""
        if not self._new or self._buffer is None:
            return
        chunk, capacity = self.state.chunk - 1, self._buffer.capacity
        self.files.write(chunk, self._key, self._before, Transitions.joined(self._new))
        self.files.drop(chunk, self._key, self._before, capacity)
        self._new = []

    def over(self) -> None:
        """Deletes the buffer's files, which are larger than everything else of a training."""
        self.files.forget()

    def _enter(self, phase: Phase, settings: OffPolicySettings) -> ReplayBuffer:
        """The buffer as it stood at the last chunk's end; empty where another reward was paid then."""
        key = digest([phase.reward and phase.reward.hash, settings.buffer_size])
        if self._buffer is None or key != self._key:
            pipeline, width = self.policy.pipeline, self.policy.head.width
            kind = np.uint8 if pipeline.categorical else np.float32
            self._buffer = ReplayBuffer(settings.buffer_size, pipeline.size, width, kind)
            self.files.read_back(self._buffer, self.state.chunk, key)
            self._key = key
        self._before, self._new = self._buffer.total, []
        return self._buffer

    def _teacher(self, settings: OffPolicySettings) -> Teacher:
        """What learns in the chunk that begins."""
        made = teacher(self.policy, self.state.flat, settings)
        made.adam.m, made.adam.v, made.adam.t = self.state.m, self.state.v, self.state.t
        return made

    def _acting(self, buffer: ReplayBuffer, settings: OffPolicySettings) -> Policy:
        """At random until the buffer has enough to learn from, unless something was learnt before."""
        s, design = self.state, self.job.design
        fresh = s.t == 0 and design.start is None and buffer.total < settings.learning_starts
        progress = s.steps / design.steps if design.start is None else 1.0
        return acting(self.policy, fresh, epsilon(settings, progress))

    def _transitions(self, e: Experience, reward: NDArray[np.float32]) -> Transitions:
        """The stretch, time first, as the buffer keeps it. A step that cut an episode short is followed by its true
        final observation, and its value counts."""
        inputs, encode = self.policy.pipeline.size, self.policy.pipeline.encode
        kind = np.uint8 if self.policy.pipeline.categorical else np.float32
        return Transitions(
            obs=e.inputs.reshape(-1, inputs).astype(kind, copy=False),
            next_obs=encode(flatten(e.next_raw)).astype(kind, copy=False),
            action=e.raw.reshape(reward.size, -1).astype(np.float32),
            reward=reward.reshape(-1),
            keep=1.0 - e.terminated.reshape(-1).astype(np.float32),
        )

    def _dormant(self, experience: Experience) -> float:
        shape = self.policy.shape
        return dormant_share(
            hidden_layers(self.policy.params, shape, experience.inputs.reshape(-1, shape.inputs))
        )
