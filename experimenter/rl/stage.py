"""Where one phase of a design is trained: its environments, its reward program, opened once and closed together."""

from __future__ import annotations

from contextlib import ExitStack

from experimenter.envs.pipeline import Pipeline
from experimenter.envs.vector import SyncVector
from experimenter.errors import TrainingFault
from experimenter.policies.policy import Policy
from experimenter.rl.job import TrainJob
from experimenter.rl.rollout import Collector
from experimenter.rl.schedule import allot
from experimenter.rl.shaping import Shaper, open_program

__all__ = ["Stage"]


class Stage:
    """What one phase trains in: its environments and its reward program, opened once."""

    def __init__(self, job: TrainJob, index: int, policy: Policy) -> None:
        self.index, self.phase = index, job.design.phases[index]
        self._policy = policy
        self._split: tuple[int, ...] = ()
        self._vector: SyncVector | None = None
        hyper = self.phase.hyperparameters
        with ExitStack() as stack:
            opening = open_program(self.phase.reward, allow_unsandboxed=job.allow_unsandboxed)
            program = stack.enter_context(opening)
            self.containment = program.level if program is not None else "none needed"
            self.shaper = Shaper(program, job.features, hyper.num_envs, hyper.gamma)
            self._stack = stack.pop_all()

    def collector(self, chunk: int) -> Collector:
        """The phase's environments, shared out by weight for this chunk."""
        environments = self.phase.environments
        split = allot(environments, self.phase.hyperparameters.num_envs, chunk)
        if self._vector is None or split != self._split:
            if self._vector is not None:
                self._vector.close()
            self._vector = SyncVector([environments[i].environment for i in split], len(split))
            self._split = split
            self._check_spaces(self._vector)
        return Collector(self._vector, self._policy)

    def close(self) -> None:
        if self._vector is not None:
            self._vector.close()
        self._stack.close()

    def _check_spaces(self, vector: SyncVector) -> None:
        hint = self.phase.environments[0].environment.family
        if Pipeline.for_space(vector.observation_space, hint).to_json() != self._policy.pipeline.to_json():
            raise TrainingFault(
                f"phase {self.index + 1} observes something else than the target environment",
                "All environments of a design need the same observation space.",
            )
