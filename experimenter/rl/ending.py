"""How a training ends: its best policy is kept, and everything that it cost and showed becomes one record."""

from __future__ import annotations

from pathlib import Path

from experimenter.errors import TrainingFault
from experimenter.policies.network import views
from experimenter.policies.policy import Policy, save_policy
from experimenter.records import PolicyRef, Training
from experimenter.rl.job import TrainJob
from experimenter.rl.state import Best, TrainingState
from experimenter.rl.stopping import heard

__all__ = ["finished"]


def finished(job: TrainJob, state: TrainingState, policy: Policy, reach: float) -> Training:
    """The training that ``state`` came to; ``policy`` lends its shape and spaces, and stays as it is.

    Raises TrainingFault when there is no policy to keep, WorkspaceError when it cannot be written.
    """
    best = _best(state)
    kept = policy.copy()
    kept.params, kept.normaliser = views(best.flat, kept.shape), best.normaliser
    kept.action_mode = best.mode
    # A folder per length: a shorter training's policy stays what its own result says it is.
    name = f"policy-{job.until}"
    found = save_policy(Path(job.folder) / name, kept)
    lineage = job.design.lineage_steps + state.env_steps
    return Training(
        step=job.step, design=job.design.hash, seed=job.seed, status="finished", steps=state.steps,
        env_steps=state.env_steps, eval_steps=state.eval_steps, wasted_env_steps=state.wasted,
        seconds=state.seconds,
        policy=PolicyRef(path=f"{job.relative}/{name}", hash=found, lineage_steps=lineage),
        action_mode=best.mode, curve=tuple(state.curve), components=state.components.traces(),
        dormant_share=state.dormant_share, reach=reach, containment=state.containment,
        stopped=heard(state.ended),
    )  # fmt: skip


def _best(state: TrainingState) -> Best:
    if state.best is not None:
        return state.best
    if state.env_steps:
        raise TrainingFault(
            f"weights or loss stopped being numbers after {state.env_steps} steps, and no step is left to try again",
            "Lower the learning rate, normalise observations and rewards, or bound the reward program.",
        )
    raise TrainingFault("there was no step to train", "Give the design at least one step.")
