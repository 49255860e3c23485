"""Stop 9: the trial, its lesson, and what it says of earlier lessons go to the workspace, which is the truth."""

from __future__ import annotations

from langgraph.runtime import Runtime

from experimenter.events import NewEvent
from experimenter.loop.context import Outcome, RunContext
from experimenter.loop.nodes.recall import recalled
from experimenter.loop.nodes.reflect import reflected
from experimenter.loop.state import LoopState
from experimenter.loop.witness import bear_witness


def remember(state: LoopState, runtime: Runtime[RunContext]) -> LoopState:
    ctx, cycle = runtime.context, state["cycle"]
    ctx.once("remember", cycle, lambda: _remember(ctx, cycle))
    return {"cycle": cycle}


def _remember(ctx: RunContext, cycle: int) -> Outcome:
    trial, lesson = reflected(ctx, cycle)
    keeps = ctx.settings.memory == "on" and ctx.parent is None
    winner = trial.winner
    evaluation = winner.evaluation if winner else None
    data = {
        "cycle": cycle,
        "trial": trial.id,
        "lever": trial.lever,
        "design": winner.design.name if winner else None,
        "true_score": evaluation.mean if evaluation else None,
        "success_rate": evaluation.success_rate if evaluation else None,
        "reach": winner.training.reach if winner and winner.training else None,
        "effect": trial.effect,
        "candidates": len(trial.candidates),
    }
    event = NewEvent(kind="remember.finished", data=data)
    return Outcome(
        value={"trial": trial.id},
        events=(event,),
        trial=trial,
        lesson=lesson if keeps else None,
        testimonies=bear_witness(ctx.run, trial, recalled(ctx, cycle)) if keeps else (),
    )
