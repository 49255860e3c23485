"""Stop 6: the frozen judge scores the policies that finished their last rung, in a process without generated code."""

from __future__ import annotations

from langgraph.runtime import Runtime

from experimenter.identity import seeds
from experimenter.loop.context import Outcome, RunContext, read_many
from experimenter.loop.nodes.train import trained
from experimenter.loop.state import LoopState
from experimenter.loop.trainings import judge_all
from experimenter.records import Candidate


def judge(state: LoopState, runtime: Runtime[RunContext]) -> LoopState:
    ctx, cycle = runtime.context, state["cycle"]
    ctx.once("judged", cycle, lambda: _judge(ctx, cycle))
    return {"cycle": cycle}


def judged(ctx: RunContext, cycle: int) -> tuple[Candidate, ...]:
    """This cycle's candidates with the judge's evaluations of those that it saw."""
    return read_many(Candidate, ctx.stored("judged", cycle))


def _judge(ctx: RunContext, cycle: int) -> Outcome:
    candidates = list(trained(ctx, cycle))
    seen = [
        i
        for i, item in enumerate(candidates)
        if item.training and item.training.policy and not item.discarded
    ]
    policies = [
        (item.training.policy, ctx.card.spec) for item in (candidates[i] for i in seen) if item.training
    ]
    eval_seeds = seeds(ctx.seed, "validation", ctx.settings.eval_episodes, "judge")
    evaluations = judge_all(ctx, [(p, spec) for p, spec in policies if p], eval_seeds, cycle, f"t{cycle}")
    for index, evaluation in zip(seen, evaluations, strict=True):
        candidates[index] = candidates[index].model_copy(update={"evaluation": evaluation})
    return Outcome(value=[item.model_dump(mode="json") for item in candidates])
