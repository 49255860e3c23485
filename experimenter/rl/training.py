"""One training from beginning to end: chunks, checkpoints, validation, and an end that no interruption changes.

Every random draw in a chunk comes from (seed, chunk), and a chunk starts with all environments reset, so the only
state between chunks is what ``state.TrainingState`` holds. Killed anywhere, a training goes on from its last chunk's
end and finishes with the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from experimenter.errors import TrainingFault
from experimenter.identity import role_of, seeds
from experimenter.records import CurvePoint, Training
from experimenter.rl.account import Account, Progress
from experimenter.rl.algorithms import check_algorithm, course_for
from experimenter.rl.beginning import fresh_policy, generator, resume
from experimenter.rl.course import Course, Elsewhere, NotFinite, Taught, Teaching
from experimenter.rl.ending import finished
from experimenter.rl.examiner import Examiner
from experimenter.rl.job import TrainJob
from experimenter.rl.metrics import MetricsLog
from experimenter.rl.offpolicy.settings import check_agreed
from experimenter.rl.reach import Reach
from experimenter.rl.rollout import Wanted
from experimenter.rl.schedule import Chunk, next_chunk
from experimenter.rl.stage import Stage
from experimenter.rl.state import Best, pack, save_checkpoint, unpack
from experimenter.rl.stopwatch import Stopwatch

__all__ = ["Member", "Progress", "TrainJob", "train"]


def train(job: TrainJob, progress: Progress) -> Training:
    """Train, or go on with what ``job.folder`` holds. ``progress`` hears every rollout.

    Raises TrainingFault (weights not finite twice, or an unfit starting policy), EnvironmentFault, ProgramRejected,
    ContainmentError, WorkspaceError.
    """
    with ExitStack() as stack:
        return _driven(Member(job, progress, stack))


def _driven(member: Member) -> Training:
    """By itself: every rollout that it wants is collected at once."""
    try:
        wanted = member.go_on()
        while True:
            wanted = member.go_on(wanted.collect if isinstance(wanted, Wanted) else _nothing)
    except StopIteration as end:
        found: Training = end.value
        return found


def _nothing() -> None:
    """What is sent to a training that waits for no rollout."""


class Member:
    """One training, driven from outside: it asks for its rollouts, so that several can be collected together.

    ``watch`` counts the seconds that it is at work; whoever collects for several adds each one's share.
    """

    def __init__(self, job: TrainJob, progress: Progress, stack: ExitStack) -> None:
        self.watch = Stopwatch()
        self.job = job
        self.folder = Path(job.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        check_algorithm(job.design)
        check_agreed(job.design)
        self.reach = Reach(job.features)
        self.policy = fresh_policy(job)
        metrics = MetricsLog(self.folder)
        stack.callback(metrics.close)
        self.state = resume(job, self.policy, self.reach, metrics)
        self.account = Account(job, self.state, self.reach, metrics, progress)
        self._course = self._adopt()
        self._safe = pack(self.state)
        self._stage: Stage | None = None
        stack.callback(self._close_stage)
        self.examiner = Examiner(job, self.policy, self.account.alive)
        self._whole = self._training()

    def go_on(self, made: Callable[[], Any] = _nothing) -> Wanted | Elsewhere:
        """Trains until it wants something: ``made`` gives what it wanted last, in its own time.

        Raises StopIteration with its Training at the end, and what ``train`` raises.
        """
        with self.watch:
            return self._whole.send(made())

    def _adopt(self) -> Course:
        """Points everything at the state's arrays, which training changes in place."""
        self.account.state = self.state
        self.reach.counts = self.state.reach
        return course_for(self.job, self.policy, self.state, self.account)

    def _training(self) -> Teaching[Training]:
        """The whole training: yields the rollouts that it wants, is sent their experience, returns its result."""
        self.watch.lap()
        if self.job.design.start is not None and not self.state.curve and self.job.validation_seeds:
            self.examiner.examine_start(self.state)
            self._keep()
        while (chunk := self._next()) is not None:
            try:
                yield from self._train_chunk(chunk)
            except NotFinite:
                self._roll_back()
                continue
            self.state.seconds += self.watch.lap()
            self._keep()
        if self.state.ended or self._next(self.job.design.steps) is None:
            self._course.over()
        return finished(self.job, self.state, self.policy, self.reach.value)

    def _keep(self) -> None:
        self._safe = pack(self.state)
        self._course.save(self.folder)
        save_checkpoint(self.folder, self.state, self._safe)

    def _next(self, until: int | None = None) -> Chunk | None:
        """The chunk that comes next, where ``until`` steps (the job's own) are to be taken."""
        s, job, until = self.state, self.job, self.job.until if until is None else until
        if s.ended:
            return None
        lost = s.env_steps - s.steps
        if lost and until - s.env_steps < job.design.phases[s.phase].hyperparameters.num_envs:
            return None
        return next_chunk(job.design, s.phase, s.done, s.steps, until - lost, job.chunk_steps)

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
        self._course = self._adopt()

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

    def _train_chunk(self, chunk: Chunk) -> Teaching[None]:
        s, stage, job = self.state, self._enter(chunk), self.job
        num_envs = stage.phase.hyperparameters.num_envs
        stage.enter(chunk, s, seeds(job.seed, role_of(job.seed), num_envs, "reset", s.chunk))
        self.account.begin_chunk()
        taught = yield from self._course.chunk(chunk, stage, generator(job, "chunk", s.chunk))
        if not np.isfinite(s.flat).all():
            raise NotFinite
        s.starts = stage.starts_state()
        s.chunk += 1
        if job.validation_seeds:
            self.examiner.examine(s, self.reach.value, taught.episodes, taught.stats)
        else:
            self._unexamined(taught)

    def _unexamined(self, taught: Taught) -> None:
        """Nothing is validated: the newest policy counts as the best, and acts as it trained."""
        s = self.state
        point = {"steps": s.steps, "shaped_return": taught.episodes.mean(1), "reach": self.reach.value}
        s.curve.append(CurvePoint.model_validate(point))
        normaliser = None if s.normaliser is None else s.normaliser.copy()
        s.best = Best(s.flat.copy(), normaliser, self.policy.head.modes[0], (), s.steps)
