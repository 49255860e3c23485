"""Puts a run's context together from what the workspace keeps: settings, card, plan, plug-ins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from experimenter import plugins
from experimenter.budget import worker_count
from experimenter.config import Settings
from experimenter.envs.records import EnvCard
from experimenter.errors import WorkspaceError
from experimenter.execution.local import LocalExecutor
from experimenter.identity import digest
from experimenter.loop.commands import Listener
from experimenter.loop.consulting import open_planner
from experimenter.loop.context import RunContext
from experimenter.loop.plan import Plan, make_plan, nominal_steps
from experimenter.records import Budget
from experimenter.workspace.records import RunRecord
from experimenter.workspace.store import Workspace

# Where workers put temporary files, in the run's folder, so that its runner can remove what killed ones left.
TEMPORARY: Final = "temporary"


def open_context(workspace: Workspace, run: str, stop_requested: Callable[[], bool]) -> RunContext:
    """The context of a stored run. Raises WorkspaceError when its card is missing."""
    record = workspace.run(run)
    settings = Settings.model_validate(record.settings)
    stored = workspace.document(run, "card")
    if stored is None:
        raise WorkspaceError(f"Run {run} has no environment card.", "Start it again: experimenter run ...")
    listener = Listener(workspace, record, stop_requested)
    folder = workspace.run_folder(run)
    temporary = folder / TEMPORARY
    temporary.mkdir(parents=True, exist_ok=True)
    return RunContext(
        workspace=workspace,
        record=record,
        settings=settings,
        card=EnvCard.model_validate(stored),
        plan=plan_for(workspace, record, settings),
        planner=open_planner(workspace, record, settings, listener),
        curriculum=plugins.load("curricula", record.curriculum)(),
        executor=LocalExecutor(worker_count(settings), folder / "workers.log", temporary),
        memory=None if settings.memory == "off" else plugins.load("memories", settings.memory_plugin)(),
        listener=listener,
    )


def plan_for(workspace: Workspace, record: RunRecord, settings: Settings) -> Plan:
    """The stored plan, or a new one when there is none or the budget was raised since.

    The length of a chunk and of a design never change within a run, so that stored trainings stay valid.
    """
    budget = record.goal.budget
    stored = workspace.document(record.id, "plan")
    if stored is not None and Plan.model_validate(stored).budget == budget:
        return Plan.model_validate(stored)
    fresh = make_plan(
        budget.env_steps or nominal_steps(), settings.confirm_seeds, settings.designs, settings.chunk_steps
    ).model_copy(update={"budget": budget})
    if stored is not None:
        first = Plan.model_validate(stored)
        kept = {
            "design_steps": first.design_steps,
            "chunk_steps": first.chunk_steps,
            "epoch": first.epoch + 1,
        }
        fresh = fresh.model_copy(update=kept)
        _share_out_again(workspace, record.id, fresh)
    workspace.put_document(record.id, "plan", fresh.model_dump(mode="json"))
    return fresh


def _share_out_again(workspace: Workspace, run: str, plan: Plan) -> None:
    """Before the first confirmation half of the raised budget is kept for it, later half of what is left."""
    spent = workspace.ledger(run).env_steps
    confirmed = workspace.document(run, "winner") is not None
    limit = spent + (plan.env_steps - spent) // 2 if confirmed else plan.search_limit
    workspace.put_document(run, "search_limit", {"steps": limit})


def random_twin(ctx: RunContext, env_steps: int) -> RunContext:
    """The ``random`` control: the same loop, card, number of trials and halving, answers drawn uniformly."""
    run = f"{ctx.run[:21]}_random_{digest([ctx.run, ctx.plan.epoch])[:10]}"
    if run not in ctx.workspace.run_names():
        _create_twin(ctx, run, env_steps)
    ctx.workspace.put_document(run, "control_of", {"run": ctx.run})
    ctx.workspace.put_document(run, "card", ctx.card.model_dump(mode="json"))
    record = ctx.workspace.run(run)
    settings = Settings.model_validate(record.settings)
    return RunContext(
        workspace=ctx.workspace,
        record=record,
        settings=settings,
        card=ctx.card,
        plan=plan_for(ctx.workspace, record, settings),
        planner=plugins.load("planners", "random")(),
        curriculum=plugins.load("curricula", ctx.record.curriculum)(),
        executor=ctx.executor,
        max_trials=max(1, len(ctx.trials())),
        parent=ctx,
        listener=ctx.listener,
    )


def _create_twin(ctx: RunContext, run: str, env_steps: int) -> None:
    goal = ctx.record.goal.model_copy(update={"budget": Budget(env_steps=env_steps)})
    settings = {**ctx.record.settings, "controls": "none", "planner": "random", "memory": "off", "routes": {}}
    changes = {"id": run, "goal": goal, "settings": settings, "planner": "random", "pid": None}
    ctx.workspace.create_run(ctx.record.model_copy(update=changes))
