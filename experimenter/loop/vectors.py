"""Which kind of vector environment a run trains in: chosen once before it starts and stored, as time may decide it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from experimenter.budget import worker_count
from experimenter.config import Settings
from experimenter.contracts import Job
from experimenter.envs.vectors.kinds import Choice, Kind
from experimenter.identity import step_id
from experimenter.records import Hyperparameters
from experimenter.workspace.store import Workspace

if TYPE_CHECKING:
    from experimenter.loop.context import RunContext

__all__ = ["VECTOR", "cores_each", "keep_choice", "vector_job", "vector_of", "wide"]

VECTOR: Final = "vector"
LEAST_ROLLOUTS: Final = 10


def vector_job(env_id: str, kwargs: Mapping[str, Any], settings: Settings) -> Job:
    """The job, for a worker of role ``card``, that chooses as ``settings.vector`` says."""
    payload = {"id": env_id, "kwargs": dict(kwargs), "forced": settings.vector, "cores": cores_each(settings)}
    num_envs = Hyperparameters().num_envs
    silence = settings.silence_seconds
    return Job(id=VECTOR, kind=VECTOR, payload={**payload, "num_envs": num_envs}, silence=silence)


def cores_each(settings: Settings) -> int:
    """How many of this machine's cores each training may take."""
    return max(1, (os.cpu_count() or 1) // worker_count(settings))


def keep_choice(workspace: Workspace, run: str, choice: Choice) -> None:
    """Stores the choice as a step of the run, so that whoever resumes it trains in the same kind."""
    step = step_id(run=run, cycle=0, kind=VECTOR, index=0, design="", seed=0, steps=0)
    value = choice.model_dump(mode="json")
    workspace.finish_step(run, step, VECTOR, value, documents={VECTOR: value})


def vector_of(ctx: RunContext) -> Kind:
    """What was chosen for the run, or for the one whose control arm it is; runs of older releases are synchronous."""
    root = ctx if ctx.parent is None else ctx.parent
    stored = ctx.workspace.document(root.run, VECTOR)
    return "sync" if stored is None else Choice.model_validate(stored).kind


def wide(ctx: RunContext) -> bool:
    """Whether the run's shipped defaults are those for many environments in one batch: where it steps them so, and
    where its designs train for long enough that the wider rollouts are still many."""
    from experimenter.rl.defaults import batched_hyperparameters

    least = LEAST_ROLLOUTS * batched_hyperparameters().rollout
    return ctx.settings.algorithm == "ppo" and vector_of(ctx) == "native" and ctx.plan.design_steps >= least
