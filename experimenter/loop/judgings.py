"""Evaluations by the frozen judge as stored steps: looked up first, done at most once, in the judge's own process."""

from __future__ import annotations

from collections.abc import Sequence

from experimenter.budget import Ledger
from experimenter.contracts import Job, JobResult
from experimenter.events import NewEvent
from experimenter.loop.context import Outcome, RunContext
from experimenter.loop.faults import raise_from
from experimenter.records import EnvSpec, Evaluation, PolicyRef

__all__ = ["judge_all", "judge_steps"]


def judge_all(
    ctx: RunContext,
    policies: Sequence[tuple[PolicyRef, EnvSpec]],
    eval_seeds: Sequence[int],
    cycle: int,
    name: str,
) -> list[Evaluation]:
    """Evaluations by the frozen judge in its own process, one per policy, each a stored step."""
    steps = judge_steps(ctx, [policy for policy, _ in policies], eval_seeds, cycle, name)
    while missing := [i for i, step in enumerate(steps) if ctx.workspace.step(step) is None]:
        ctx.heed()
        ctx.wait_while_paused()
        jobs = [_judge_job(ctx, steps[i], *policies[i], eval_seeds) for i in missing]
        for result in ctx.executor.run(
            jobs, role="judge", progress=lambda *_: None, interrupt=ctx.interrupted
        ):
            _store_evaluation(ctx, result, name)
    return [Evaluation.model_validate(ctx.workspace.step(step)) for step in steps]


def judge_steps(
    ctx: RunContext, policies: Sequence[PolicyRef], eval_seeds: Sequence[int], cycle: int, name: str
) -> tuple[str, ...]:
    """The ids of the steps under which ``judge_all`` stores its evaluations, in the same order."""
    return tuple(
        ctx.step_id(
            "judge", cycle, index, design=f"{name}:{policy.hash}", seed=eval_seeds[0], steps=len(eval_seeds)
        )
        for index, policy in enumerate(policies)
    )


def _judge_job(
    ctx: RunContext, step: str, policy: PolicyRef, spec: EnvSpec, eval_seeds: Sequence[int]
) -> Job:
    payload = {
        "policy_folder": str(ctx.workspace.root / policy.path),
        "policy_hash": policy.hash,
        "environment": spec.model_dump(mode="json"),
        "seeds": list(eval_seeds),
        "judge": ctx.card.judge.model_dump(mode="json"),
        "mode": None,
    }
    return Job(id=step, kind="judge", payload=payload, silence=ctx.settings.silence_seconds)


def _store_evaluation(ctx: RunContext, result: JobResult, name: str) -> None:
    if not result.ok:
        raise_from(result)
    evaluation = Evaluation.model_validate(result.value)
    data = {"name": name, "mean": evaluation.mean, "success_rate": evaluation.success_rate}
    ctx.commit(
        result.id,
        "judge",
        Outcome(
            value=result.value,
            events=(NewEvent(kind="judge.finished", data=data, step=result.id),),
            spend=Ledger(eval_steps=evaluation.eval_steps),
        ),
    )
