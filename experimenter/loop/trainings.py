"""Runs trainings and evaluations as stored steps: looked up first, done at most once, in worker processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from experimenter.budget import Ledger
from experimenter.contracts import Job, JobResult
from experimenter.events import NewEvent
from experimenter.identity import seeds
from experimenter.loop.context import Outcome, RunContext
from experimenter.loop.faults import raise_for_environment, raise_from
from experimenter.records import Design, EnvSpec, Evaluation, PolicyRef, Training
from experimenter.rl.metrics import spent

VALIDATION_EPISODES = 10


@dataclass(frozen=True, slots=True)
class Order:
    """One training wanted: a design with one seed up to ``until`` steps, kept in the folder ``place``.

    ``role`` says on whose account the steps go (``search`` or ``control``); ``place`` is relative to the run;
    ``before`` is the shorter training of the same design that this one continues.
    """

    design: Design
    seed: int
    until: int
    place: str
    cycle: int
    trial: str
    role: str = "search"
    stop_at_plateau: bool = False
    target: float | None = None
    validation: str = ""
    rung: int = 0
    before: Training | None = None

    def step(self, ctx: RunContext, kind: str = "train") -> str:
        return ctx.step_id(
            kind, self.cycle, self.rung, design=self.design.hash, seed=self.seed, steps=self.until
        )


def train_all(
    ctx: RunContext, orders: Sequence[Order], give_up: Callable[[], bool] = lambda: False
) -> list[Training | None]:
    """The trainings for ``orders``, in their order; ``None`` where ``give_up`` ended one. None is done twice.

    Raises what ``RunContext.heed`` raises when the run must stop; everything finished by then is stored.
    """
    steps = [order.step(ctx) for order in orders]
    while True:
        missing = {
            step: order for step, order in zip(steps, orders, strict=True) if ctx.workspace.step(step) is None
        }
        if not missing or give_up():
            break
        ctx.heed()
        ctx.wait_while_paused()
        _train_missing(ctx, missing, give_up)
    return [stored_training(ctx, step) for step in steps]


def stored_training(ctx: RunContext, step: str) -> Training | None:
    """What the training that is step ``step`` came to; ``None`` where it is not done."""
    stored = ctx.workspace.step(step)
    return None if stored is None else Training.model_validate(stored)


def _train_missing(ctx: RunContext, missing: dict[str, Order], give_up: Callable[[], bool]) -> None:
    jobs = [_train_job(ctx, step, order) for step, order in missing.items()]
    for step, order in missing.items():
        ctx.announce(order.step(ctx, "training.started"), "training.started", _describe(order), step)

    seen: set[str] = set()

    def progress(step: str, data: dict[str, Any]) -> None:
        seen.add(step)
        ctx.emit("training.progress", {**_describe(missing[step]), **data}, step)

    def interrupt() -> bool:
        return ctx.interrupted() or give_up()

    for result in ctx.executor.run(jobs, role="train", progress=progress, interrupt=interrupt):
        order = missing[result.id]
        raise_for_environment(result, order.design, ctx.card.spec)
        seen.discard(result.id)
        training = _training(ctx, result, order)
        outcome = Outcome(
            value=training.model_dump(mode="json"),
            events=(NewEvent(kind="training.finished", data=_describe_end(order, training), step=result.id),),
            spend=_cost(order, training, _charged(ctx, order)),
        )
        ctx.commit(result.id, "train", outcome)
    if give_up() or ctx.over_budget() is not None:
        for step in seen:
            _charge_cut(ctx, missing[step])


def _train_job(ctx: RunContext, step: str, order: Order) -> Job:
    folder = ctx.folder / order.place
    payload = {
        "step": step,
        "design": order.design.model_dump(mode="json"),
        "seed": order.seed,
        "features": [feature.model_dump(mode="json") for feature in ctx.card.features],
        "target_environment": ctx.card.spec.model_dump(mode="json"),
        "folder": str(folder),
        "relative": str(folder.relative_to(ctx.workspace.root)),
        "until": order.until,
        "chunk_steps": ctx.plan.chunk_steps,
        "validation_seeds": list(seeds(ctx.seed, "validation", VALIDATION_EPISODES, order.validation)),
        "judge": ctx.card.judge.model_dump(mode="json"),
        "target": order.target,
        "stop_at_plateau": order.stop_at_plateau,
        "allow_unsandboxed": ctx.settings.allow_unsandboxed,
    }
    return Job(
        id=step,
        kind="train",
        payload={"job": payload},
        silence=ctx.settings.silence_seconds,
    )


def _charge_cut(ctx: RunContext, order: Order) -> None:
    """Steps of a training that time cut off are discards like any other: they count, also if it never goes on."""
    before = order.before.env_steps if order.before else 0
    steps = max(0, spent(ctx.folder / order.place) - before - _charged(ctx, order))
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


def _describe(order: Order) -> dict[str, Any]:
    return {
        "trial": order.trial,
        "design": order.design.name,
        "seed": order.seed,
        "until": order.until,
        "role": order.role,
    }


def _describe_end(order: Order, training: Training) -> dict[str, Any]:
    last = training.curve[-1] if training.curve else None
    return {
        **_describe(order),
        "status": training.status,
        "steps": training.steps,
        "true_return": None if last is None else last.true_return,
        "reach": training.reach,
        "error": training.error,
    }


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
