"""Where one phase of a design is trained: its environments, its reward program, opened once and closed together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from experimenter.envs.pipeline import Pipeline
from experimenter.envs.spaces import ONE_LIST, other_texts, space_from_json, space_to_json
from experimenter.envs.vector import SyncVector
from experimenter.envs.vectors.choosing import Needs, make_vector, usable
from experimenter.envs.vectors.contract import Vector
from experimenter.errors import TrainingFault
from experimenter.policies.policy import Policy
from experimenter.records import EnvSpec
from experimenter.rl.acting import starts_for, wrapping
from experimenter.rl.job import TrainJob
from experimenter.rl.rollout import Collector
from experimenter.rl.schedule import Chunk, allot
from experimenter.rl.shaping import Shaper, open_program
from experimenter.rl.state import TrainingState

__all__ = ["Stage"]


class Stage:
    """What one phase trains in: environments and reward program, opened once, and the methods that act."""

    def __init__(self, job: TrainJob, index: int, policy: Policy) -> None:
        self.index, self.phase = index, job.design.phases[index]
        self._chosen, self._chosen_for = job.vector, job.target_environment
        self._cores, self._silence = job.cores, job.silence
        self._policy = policy
        self._starts, self._wrap = starts_for(job, index), wrapping(job, index)
        self._split: tuple[int, ...] = ()
        self._vector: Vector | None = None
        self.collected: Collector
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
            self._vector = self._made([environments[i].environment for i in split])
            self._split = split
            self._check_spaces(self._vector)
            if self._starts is not None and isinstance(self._vector, SyncVector):
                self._starts.attach(self._vector, split)
        held = self.phase.hyperparameters.sde_sample_freq
        return Collector(self._vector, self._policy, self._starts, held)

    def _made(self, specs: list[EnvSpec]) -> Vector:
        """Of the kind that was chosen, where it fits these rows; start states and wrappers need a synchronous one."""
        needs = Needs(starts=self._starts is not None, wrappers=self._wrap is not None)
        kind = usable(self._chosen, specs, needs, self._chosen_for)
        return make_vector(kind, specs, len(specs), self._wrap, workers=self._cores, silence=self._silence)

    def enter(self, chunk: Chunk, state: TrainingState, reset_seeds: tuple[int, ...]) -> None:
        """Begins the chunk that ``state`` stands before: every environment starts anew, each with its seed."""
        self.collected = self.collector(state.chunk)
        if self._starts is not None:
            self._starts.enter(chunk, state)
        self.collected.reset(reset_seeds)
        self.shaper.restart()

    def rollouts(self, chunk: Chunk) -> Iterator[int]:
        """As many rollouts as were planned, fewer where replayed steps took their place; at least one."""
        for i in range(chunk.rollouts):
            if i == 0 or self._starts is None or self._starts.room():
                yield i

    def starts_state(self) -> dict[str, Any] | None:
        """What the phase's start method knows, for the checkpoint; ``None`` where there is none."""
        return None if self._starts is None else self._starts.state()

    def close(self) -> None:
        try:
            if self._vector is not None:
                self._vector.close()
        finally:
            self._stack.close()

    def _check_spaces(self, vector: Vector) -> None:
        if self._wrap is not None and space_to_json(vector.action_space) != self._policy.action_space_json:
            raise TrainingFault(
                f"a wrapper of phase {self.index + 1} gives its environments other actions",
                "Use a method that leaves the action space alone: the judge plays the environment as it is.",
            )
        hint = self.phase.environments[0].environment.family
        if Pipeline.for_space(vector.observation_space, hint).to_json() != self._policy.pipeline.to_json():
            seen = space_from_json(self._policy.observation_space_json)
            if other_texts(vector.observation_space, seen):
                raise TrainingFault(
                    f"the texts of phase {self.index + 1} are not those of the target environment, or never vary",
                    ONE_LIST,
                )
            raise TrainingFault(
                f"phase {self.index + 1} observes something else than the target environment",
                "All environments of a design need the same observation space.",
            )
