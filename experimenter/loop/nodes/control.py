"""Controls: what the same learning steps buy without the planner's ideas.

``native`` spends everything that the experimenter spent, B steps, as k trainings of B/k steps of the native reward
under the shipped defaults. ``random`` is a run of its own through the same loop, every planner answer drawn uniformly.
"""

from __future__ import annotations

from langgraph.runtime import Runtime

from experimenter.budget import Ledger
from experimenter.events import NewEvent
from experimenter.judge.controls import control_names, native_design, plan_control
from experimenter.loop.arms import run_arm
from experimenter.loop.context import Outcome, RunContext
from experimenter.loop.state import LoopState
from experimenter.loop.vectors import wide
from experimenter.records import Arm
from experimenter.results import inherited_steps


def control(state: LoopState, runtime: Runtime[RunContext]) -> LoopState:
    ctx, cycle = runtime.context, state["cycle"]
    if ctx.workspace.document(ctx.run, "arm:winner") is not None:
        for index, name in enumerate(control_names(ctx.settings.controls)):
            ctx.once("control", ctx.plan.epoch, lambda name=name: _control(ctx, name), index=index)  # type: ignore[misc]
    return {"cycle": cycle}


def _control(ctx: RunContext, name: str) -> Outcome:
    arm, spend = _native(ctx) if name == "native" else _random(ctx)
    if arm is None:
        words = "none of its designs was left to confirm"
        return Outcome(value={"control": name}, spend=spend, documents={f"missing:{name}": {"words": words}})
    data = {"control": name, "iqm": arm.interval.iqm, "low": arm.interval.low, "high": arm.interval.high}
    data |= {"success_rate": arm.success_rate, "env_steps": arm.env_steps}
    return Outcome(
        value={"control": name},
        spend=spend,
        documents={f"arm:{name}": arm.model_dump(mode="json")},
        events=(NewEvent(kind="control.finished", data=data),),
    )


def budget_of_control(ctx: RunContext) -> int:
    """B: every learning step that the experimenter spent: search, discards, checks, confirmation, inherited ones."""
    return ctx.ledger().env_steps + inherited_steps(ctx.run, ctx.trials())


def _native(ctx: RunContext) -> tuple[Arm, Ledger]:
    from experimenter.rl.defaults import default_hyperparameters, default_network
    from experimenter.rl.offpolicy.settings import settled

    plan = plan_control("native", budget_of_control(ctx), ctx.plan.confirm_seeds, ctx.seed)
    hyper = default_hyperparameters(ctx.card, batched=wide(ctx))
    algorithm = ctx.settings.algorithm
    plain = native_design(plan, ctx.card.spec, hyper, default_network(ctx.card, algorithm))
    design = settled(plain.model_copy(update={"algorithm": algorithm}))
    return run_arm(ctx, "native", design, plan.seeds, cycle=ctx.plan.epoch, role="control"), Ledger()


def _random(ctx: RunContext) -> tuple[Arm | None, Ledger]:
    from experimenter.loop.assemble import random_twin
    from experimenter.loop.graph import drive

    twin = random_twin(ctx, budget_of_control(ctx))
    drive(twin)
    spent = ctx.workspace.ledger(twin.run)
    stored = ctx.workspace.document(twin.run, "arm:winner")
    ledger = Ledger(
        control_env_steps=spent.env_steps,
        eval_steps=spent.eval_steps,
        wasted_env_steps=spent.wasted_env_steps,
    )
    if stored is None:
        return None, ledger
    changes = {"name": "random", "epoch": ctx.plan.epoch}
    return Arm.model_validate(stored).model_copy(update=changes), ledger
