"""Stop 4: every design is checked before any training, in a worker; failures go back to be repaired.

In order: schema (the records), static check of code, contained probe on random rollouts, ranking of the champion's
rollouts against random ones, one rollout of real training. Every failure is counted and reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from langgraph.runtime import Runtime

from experimenter.budget import Ledger
from experimenter.contracts import Job, JobResult
from experimenter.errors import PlannerRefused
from experimenter.events import NewEvent
from experimenter.identity import seeds
from experimenter.loop.context import Outcome, RunContext, read_many
from experimenter.loop.faults import raise_for_environment
from experimenter.loop.nodes.design import designed
from experimenter.loop.nodes.propose import proposed
from experimenter.loop.nodes.recall import recalled
from experimenter.loop.state import LoopState
from experimenter.loop.view import champion, run_view
from experimenter.records import Candidate, Design


def check(state: LoopState, runtime: Runtime[RunContext]) -> LoopState:
    ctx, cycle = runtime.context, state["cycle"]
    ctx.once("check", cycle, lambda: _check(ctx, cycle))
    return {"cycle": cycle}


def checked(ctx: RunContext, cycle: int) -> tuple[Candidate, ...]:
    """The candidates of this cycle; those that failed for good carry why in ``discarded``."""
    return read_many(Candidate, ctx.stored("check", cycle))


def _check(ctx: RunContext, cycle: int) -> Outcome:
    candidates = [Candidate(design=item) for item in designed(ctx, cycle)]
    attempt, pending = 0, list(range(len(candidates)))
    spent, failures = Ledger(), list[NewEvent]()
    while pending:
        results = _probe_all(ctx, cycle, attempt, [candidates[i].design for i in pending])
        spent += sum((_cost(result, ctx.plan.probe_steps) for result in results), Ledger())
        failed = [(i, result) for i, result in zip(pending, results, strict=True) if not result.ok]
        failures += [_failure_event(candidates[i].design, result, attempt) for i, result in failed]
        affordable = spent.env_steps < ctx.plan.check_allowance(len(candidates)) * 2 // 3
        repairs = ctx.settings.max_repairs - attempt if affordable else 0
        pending = [i for i, result in failed if _repair(ctx, cycle, candidates, i, result, repairs)]
        attempt += 1
    data = {"cycle": cycle, "designs": len(candidates), "failures": len(failures)}
    data["discarded"] = sum(1 for item in candidates if item.discarded)
    value = [item.model_dump(mode="json") for item in candidates]
    return Outcome(value=value, spend=spent, events=(*failures, NewEvent(kind="check.finished", data=data)))


def _repair(
    ctx: RunContext, cycle: int, candidates: list[Candidate], index: int, result: JobResult, repairs: int
) -> bool:
    """Puts a corrected design in place and says whether there is one; otherwise the candidate is discarded."""
    failed = candidates[index]
    error = f"{result.message} {result.hint}".strip()
    design = None
    if repairs > 0:
        view = run_view(ctx, cycle, recalled(ctx, cycle))
        with suppress(PlannerRefused):
            design = ctx.curriculum.repair(failed.design, error, proposed(ctx, cycle), view, ctx.ask)
    if design is None or design.hash == failed.design.hash:
        candidates[index] = failed.model_copy(update={"discarded": f"failed its check: {error}"[:1000]})
        return False
    candidates[index] = Candidate(design=design, repairs=failed.repairs + 1)
    return True


def _probe_all(ctx: RunContext, cycle: int, attempt: int, designs: Sequence[Design]) -> list[JobResult]:
    jobs = [_probe_job(ctx, cycle, f"{cycle}-{attempt}-{index}", item) for index, item in enumerate(designs)]
    design_of = {job.id: item for job, item in zip(jobs, designs, strict=True)}
    found: dict[str, JobResult] = {}
    while len(found) < len(jobs):
        ctx.heed()
        ctx.wait_while_paused()
        left = [job for job in jobs if job.id not in found]
        for result in ctx.executor.run(
            left, role="train", progress=lambda *_: None, interrupt=ctx.interrupted
        ):
            raise_for_environment(result, design_of[result.id], ctx.card.spec)
            found[result.id] = result
    return [found[job.id] for job in jobs]


def _probe_job(ctx: RunContext, cycle: int, job_id: str, item: Design) -> Job:
    best = champion(tuple(trial for trial in ctx.trials() if trial.cycle < cycle))
    policy = best[1].training.policy if best and best[1].training else None
    payload = {
        "design": item.model_dump(mode="json"),
        "target_environment": ctx.card.spec.model_dump(mode="json"),
        "features": [feature.model_dump(mode="json") for feature in ctx.card.features],
        "seed": seeds(ctx.seed, "probe", 1, cycle)[0],
        "steps": ctx.plan.probe_steps,
        "root": str(ctx.workspace.root.absolute()),
        "champion": None if policy is None else str(ctx.workspace.root / policy.path),
        "allow_unsandboxed": ctx.settings.allow_unsandboxed,
    }
    return Job(id=job_id, kind="probe", payload=payload, silence=ctx.settings.silence_seconds)


def _cost(result: JobResult, probe_steps: int) -> Ledger:
    """A failed probe does not tell what it took, so it is charged for all three of its parts."""
    value: dict[str, Any] = result.value
    steps, judged = int(value.get("env_steps", 3 * probe_steps)), int(value.get("eval_steps", 0))
    return Ledger(env_steps=steps, eval_steps=judged)


def _failure_event(item: Design, result: JobResult, attempt: int) -> NewEvent:
    data = {"design": item.name, "error": result.message, "hint": result.hint, "attempt": attempt}
    return NewEvent(kind="check.failed", data=data)
