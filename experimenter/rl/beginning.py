"""Where a training begins: at its last checkpoint, else with fresh weights or with those of a starting policy."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import numpy as np

from experimenter.contracts import Algorithm
from experimenter.envs.pipeline import Pipeline
from experimenter.envs.spaces import action_kind, space_to_json
from experimenter.envs.vector import SyncVector
from experimenter.errors import TrainingFault
from experimenter.policies.network import views
from experimenter.policies.policy import Policy, flat_params, load_policy
from experimenter.rl.algorithms import algorithm
from experimenter.rl.job import TrainJob
from experimenter.rl.metrics import MetricsLog
from experimenter.rl.reach import Reach
from experimenter.rl.state import TrainingState, load_newest, save_checkpoint

__all__ = ["fresh_policy", "generator", "resume"]

STREAM: Final = {"weights": 1, "chunk": 2}
_ACTIONS: Final = {"continuous": "continuous actions", "discrete": "one discrete action"}


def generator(job: TrainJob, stream: Literal["weights", "chunk"], *index: int) -> np.random.Generator:
    """The job's random draws for one purpose, and for one chunk of it."""
    return np.random.default_rng(np.random.SeedSequence([job.seed, STREAM[stream], *index]))


def fresh_policy(job: TrainJob) -> Policy:
    """An untrained policy for the target environment's spaces.

    Raises EnvironmentFault, or TrainingFault where the algorithm does not learn such actions.
    """
    spec = job.target_environment
    vector = SyncVector(spec, 1)
    chosen = algorithm(job.design.algorithm)
    try:
        _check_actions(chosen, action_kind(vector.action_space))
        pipeline = Pipeline.for_space(vector.observation_space, spec.family)
        spaces = space_to_json(vector.observation_space), space_to_json(vector.action_space)
    finally:
        vector.close()
    policy = Policy(pipeline, None, job.design.network, {}, *spaces, said=chosen.says(job.design))
    flat, _ = chosen.begin(job.design, policy, None, generator(job, "weights"))
    policy.params = views(flat, policy.shape)
    return policy


def _check_actions(chosen: Algorithm, kind: str) -> None:
    if kind not in chosen.actions:
        learns = " or ".join(_ACTIONS.get(learnt, learnt) for learnt in chosen.actions)
        raise TrainingFault(
            f"{chosen.name.upper()} needs {learns}, and this environment's are {kind.replace('_', ' ')}.",
            'Use the algorithm "ppo", which learns both.',
        )


def resume(job: TrainJob, fresh: Policy, reach: Reach, metrics: MetricsLog) -> TrainingState:
    """The last checkpoint's state, else a beginning. Steps lost since then are kept at once, for the next kill.

    Raises TrainingFault for an unfit starting policy, WorkspaceError where files cannot be read or written.
    """
    folder = Path(job.folder)
    state = load_newest(folder) or _beginning(job, fresh, reach)
    if job.design.algorithm == "ppo" and len(state.flat) != fresh.shape.size:
        raise TrainingFault(
            f"the checkpoint in {folder} holds {len(state.flat):,} weights, and this design has {fresh.shape.size:,}",
            "It was written by another release, which read observations otherwise: start the run anew.",
        )
    lost = metrics.rewind(state.env_steps)
    if lost:
        state.wasted += lost
        save_checkpoint(folder, state)
    return state


def _beginning(job: TrainJob, fresh: Policy, reach: Reach) -> TrainingState:
    policy = _start_policy(job, fresh) if job.design.start is not None else fresh
    started = None if job.design.start is None else flat_params(policy)
    begin = algorithm(job.design.algorithm).begin
    flat, learnt = begin(job.design, policy, started, generator(job, "weights"))
    zeros = np.zeros(learnt, dtype=np.float32)
    normaliser = None if policy.off_policy else policy.normaliser
    return TrainingState(flat, zeros, zeros.copy(), 0, normaliser, reach.counts)


def _start_policy(job: TrainJob, fresh: Policy) -> Policy:
    start = job.design.start
    assert start is not None
    found = load_policy(job.workspace / start.path, start.hash)
    same = found.shape == fresh.shape and found.pipeline.to_json() == fresh.pipeline.to_json()
    same &= found.said == fresh.said
    if not same:
        raise TrainingFault(
            f"the starting policy {start.path} has other inputs, actions or layers than this design",
            "Start from a policy of the same environment family and network, or from none.",
        )
    return found
