"""Runs trainings as stored steps: looked up first, done at most once, in worker processes, alone or side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from experimenter.budget import Ledger, worker_count
from experimenter.contracts import Job, JobResult
from experimenter.events import NewEvent
from experimenter.loop.context import Outcome, RunContext
from experimenter.loop.faults import raise_for_environment
from experimenter.loop.orders import Order, described, population_job, train_job
from experimenter.loop.packing import packed
from experimenter.loop.vectors import vector_of
from experimenter.records import Training
from experimenter.rl.metrics import spent

__all__ = ["stored_training", "train_all"]


def train_all(
    ctx: RunContext, orders: Sequence[Order], give_up: Callable[[], bool] = lambda: False
) -> list[Training | None]:
    """The trainings for ``orders``, in their order; ``None`` where ``give_up`` ended one. None is done twice.

    Raises what ``RunContext.heed`` raises when the run must stop; everything finished by then is stored.
    """
    steps = [order.step(ctx) for order in orders]
    alone: set[str] = set()
    while True:
        missing = {
            step: order for step, order in zip(steps, orders, strict=True) if ctx.workspace.step(step) is None
        }
        if not missing or give_up():
            break
        ctx.heed()
        ctx.wait_while_paused()
        _train_missing(ctx, missing, give_up, alone)
    return [stored_training(ctx, step) for step in steps]


def stored_training(ctx: RunContext, step: str) -> Training | None:
    """What the training that is step ``step`` came to; ``None`` where it is not done."""
    stored = ctx.workspace.step(step)
    return None if stored is None else Training.model_validate(stored)


def _train_missing(
    ctx: RunContext, missing: dict[str, Order], give_up: Callable[[], bool], alone: set[str]
) -> None:
    """Trains what is missing. Members of a population that failed as a whole are put into ``alone``: by itself, each
    finds out whether it was the cause."""
    for step, order in missing.items():
        ctx.announce(order.step(ctx, "training.started"), "training.started", described(order), step)
    groups = _jobs(ctx, missing, alone)

    def progress(job: str, data: dict[str, Any]) -> None:
        step = str(data.get("member", job))
        told = {name: value for name, value in data.items() if name != "member"}
        ctx.emit("training.progress", {**described(missing[step]), **told}, step)

    def interrupt() -> bool:
        return ctx.interrupted() or give_up()

    jobs = [job for job, _ in groups.values()]
    for whole in ctx.executor.run(jobs, role="train", progress=progress, interrupt=interrupt):
        members = groups[whole.id][1]
        if len(members) > 1 and not whole.ok:
            alone.update(members)
            continue
        # What ends the run comes last: whatever else was trained is stored before.
        for result in sorted(_results(whole, members), key=lambda one: one.error == "EnvironmentFault"):
            _store(ctx, result, missing[result.id])
    if give_up() or ctx.over_budget() is not None:
        for step, order in missing.items():
            if ctx.workspace.step(step) is None:
                _charge_cut(ctx, order)


def _jobs(
    ctx: RunContext, missing: dict[str, Order], alone: set[str]
) -> dict[str, tuple[Job, tuple[str, ...]]]:
    """What the workers are given, by the job's id, with the steps that each job does."""
    together = {step: order for step, order in missing.items() if step not in alone}
    groups = packed(together, worker_count(ctx.settings), batched=vector_of(ctx) == "native")
    groups += [(step,) for step in missing if step in alone]
    made = {}
    for steps in groups:
        orders = {step: missing[step] for step in steps}
        job = population_job(ctx, orders) if len(steps) > 1 else train_job(ctx, steps[0], orders[steps[0]])
        made[job.id] = job, steps
    return made


def _results(whole: JobResult, members: tuple[str, ...]) -> Iterator[JobResult]:
    """One result for each member of a job."""
    if len(members) == 1:
        yield whole
        return
    for one in whole.value["ends"]:
        yield JobResult.model_validate({**one, "began": whole.began, "ended": whole.ended})


def _store(ctx: RunContext, result: JobResult, order: Order) -> None:
    raise_for_environment(result, order.design, ctx.card.spec)
    training = _training(ctx, result, order)
    outcome = Outcome(
        value=training.model_dump(mode="json"),
        events=(NewEvent(kind="training.finished", data=_describe_end(order, training), step=result.id),),
        spend=_cost(order, training, _charged(ctx, order)),
    )
    ctx.commit(result.id, "train", outcome)


def _charge_cut(ctx: RunContext, order: Order) -> None:
    """Steps of a training that time cut off are discards like any other: they count, also if it never goes on."""
    before = order.before.env_steps if order.before else 0
    steps = max(0, spent(ctx.folder / order.place) - before - _charged(ctx, order))
    if not steps:
        return
    spend = Ledger(control_env_steps=steps) if order.role == "control" else Ledger(env_steps=steps)
    step = order.step(ctx, f"cut:{ctx.plan.epoch}")
    ctx.workspace.finish_step(ctx.run, step, "cut", {"env_steps": steps}, spend=spend)


def _charged(ctx: RunContext, order: Order) -> int:
    """Steps of an unfinished training that were charged when time cut it off, before the budget was raised."""
    cuts = (ctx.workspace.step(order.step(ctx, f"cut:{epoch}")) for epoch in range(ctx.plan.epoch + 1))
    return sum(int(cut["env_steps"]) for cut in cuts if cut is not None)


def _training(ctx: RunContext, result: JobResult, order: Order) -> Training:
    """A failed worker tells nothing about what it spent, so its own log does."""
    if result.ok:
        return Training.model_validate(result.value)
    return Training(
        step=result.id,
        design=order.design.hash,
        seed=order.seed,
        status="failed",
        steps=order.before.steps if order.before else 0,
        env_steps=spent(ctx.folder / order.place),
        error=f"{result.message} {result.hint}".strip()[:2000],
    )


def _cost(order: Order, training: Training, charged: int) -> Ledger:
    """What this training added: a survivor of a rung has paid for its earlier rungs, and what was cut for its part."""
    before = order.before
    new = training.env_steps - (before.env_steps if before else 0) - charged
    seen = training.eval_steps - (before.eval_steps if before else 0)
    wasted = training.wasted_env_steps - (before.wasted_env_steps if before else 0)
    new, seen, wasted = max(0, new), max(0, seen), max(0, wasted)
    if order.role == "control":
        return Ledger(control_env_steps=new, eval_steps=seen, wasted_env_steps=wasted)
    return Ledger(env_steps=new, eval_steps=seen, wasted_env_steps=wasted)


def _describe_end(order: Order, training: Training) -> dict[str, Any]:
    last = training.curve[-1] if training.curve else None
    return {
        **described(order),
        "status": training.status,
        "steps": training.steps,
        "true_return": None if last is None else last.true_return,
        "reach": training.reach,
        "error": training.error,
        **({"stopped": training.stopped.sentence} if training.stopped else {}),
    }
