"""Where a training begins: at its last checkpoint, else with fresh weights or with those of a starting policy."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import numpy as np

from experimenter.envs.pipeline import Pipeline
from experimenter.envs.spaces import space_to_json
from experimenter.envs.vector import SyncVector
from experimenter.errors import TrainingFault
from experimenter.policies.network import initial_params, views
from experimenter.policies.policy import Policy, flat_params, load_policy
from experimenter.rl.job import TrainJob
from experimenter.rl.metrics import MetricsLog
from experimenter.rl.reach import Reach
from experimenter.rl.state import TrainingState, load_newest, save_checkpoint

__all__ = ["fresh_policy", "generator", "resume"]

STREAM: Final = {"weights": 1, "chunk": 2}


def generator(job: TrainJob, stream: Literal["weights", "chunk"], *index: int) -> np.random.Generator:
    """The job's random draws for one purpose, and for one chunk of it."""
    return np.random.default_rng(np.random.SeedSequence([job.seed, STREAM[stream], *index]))


def fresh_policy(job: TrainJob) -> Policy:
    """An untrained policy for the target environment's spaces. Raises EnvironmentFault."""
    spec = job.target_environment
    vector = SyncVector(spec, 1)
    try:
        pipeline = Pipeline.for_space(vector.observation_space, spec.family)
        spaces = space_to_json(vector.observation_space), space_to_json(vector.action_space)
    finally:
        vector.close()
    policy = Policy(pipeline, None, job.design.network, {}, *spaces)
    policy.params = views(initial_params(policy.shape, generator(job, "weights")), policy.shape)
    return policy


def resume(job: TrainJob, fresh: Policy, reach: Reach, metrics: MetricsLog) -> TrainingState:
    """The last checkpoint's state, else a beginning. Steps lost since then are kept at once, for the next kill.

    Raises TrainingFault for an unfit starting policy, WorkspaceError where files cannot be read or written.
    """
    folder = Path(job.folder)
    state = load_newest(folder) or _beginning(job, fresh, reach)
    lost = metrics.rewind(state.env_steps)
    if lost:
        state.wasted += lost
        save_checkpoint(folder, state)
    return state


def _beginning(job: TrainJob, fresh: Policy, reach: Reach) -> TrainingState:
    policy = _start_policy(job, fresh) if job.design.start is not None else fresh
    flat = flat_params(policy)
    zeros = np.zeros_like(flat)
    return TrainingState(flat, zeros, zeros.copy(), 0, policy.normaliser, reach.counts)


def _start_policy(job: TrainJob, fresh: Policy) -> Policy:
    start = job.design.start
    assert start is not None
    found = load_policy(job.workspace / start.path, start.hash)
    same = found.shape == fresh.shape and found.pipeline.to_json() == fresh.pipeline.to_json()
    if not same:
        raise TrainingFault(
            f"the starting policy {start.path} has other inputs, actions or layers than this design",
            "Start from a policy of the same environment family and network, or from none.",
        )
    return found
