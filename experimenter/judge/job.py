"""The judge's one job in a worker process: files and seeds in, an evaluation out. Nothing generated is ever loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from experimenter.judge.evaluate import Progress, evaluate
from experimenter.policies.policy import load_policy
from experimenter.records import EnvSpec, JudgeSpec, Record

__all__ = ["JudgePayload", "judge_job"]


class JudgePayload(Record):
    """``policy_folder`` is absolute; ``mode`` ``None`` means the mode stored with the policy."""

    policy_folder: str
    policy_hash: str
    environment: EnvSpec
    seeds: tuple[int, ...]
    judge: JudgeSpec
    mode: Literal["greedy", "sample"] | None = None


def judge_job(payload: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Evaluates a stored policy; returns an ``Evaluation`` as JSON.

    Raises WorkspaceError when the policy's files are missing or do not have the promised hash, and EnvironmentFault.
    """
    job = JudgePayload.model_validate(payload)
    policy = load_policy(Path(job.policy_folder), job.policy_hash)
    evaluation = evaluate(
        policy, job.environment, job.seeds, job.judge, job.mode, progress, policy_hash=job.policy_hash
    )
    value: dict[str, Any] = evaluation.model_dump(mode="json")
    return value
