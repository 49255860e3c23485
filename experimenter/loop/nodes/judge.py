"""Stop 6: the frozen judge scores the policies that finished their last rung, in a process without generated code."""

from __future__ import annotations

from langgraph.runtime import Runtime

from experimenter.loop.contest import Contest, hold_contest, validation_seeds
from experimenter.loop.context import Outcome, RunContext, read_many
from experimenter.loop.judgings import judge_all
from experimenter.loop.nodes.train import trained
from experimenter.loop.state import LoopState
from experimenter.records import Candidate


def judge(state: LoopState, runtime: Runtime[RunContext]) -> LoopState:
    ctx, cycle = runtime.context, state["cycle"]
    ctx.once("judged", cycle, lambda: _judge(ctx, cycle))
    return {"cycle": cycle}


def judged(ctx: RunContext, cycle: int) -> tuple[Candidate, ...]:
    """This cycle's candidates with the judge's evaluations of those that it saw."""
    return read_many(Candidate, ctx.stored("judged", cycle)["candidates"])


def comparison(ctx: RunContext, cycle: int) -> Contest | None:
    """How the best candidate of this cycle stood against the champion before it."""
    stored = ctx.stored("judged", cycle)["contest"]
    return None if stored is None else Contest.model_validate(stored)


def _judge(ctx: RunContext, cycle: int) -> Outcome:
    candidates = list(trained(ctx, cycle))
    seen = [
        i
        for i, item in enumerate(candidates)
        if item.training and item.training.policy and not item.discarded
    ]
    policies = [item.training.policy for item in (candidates[i] for i in seen) if item.training]
    evaluations = judge_all(
        ctx, [(p, ctx.card.spec) for p in policies if p], validation_seeds(ctx), cycle, f"t{cycle}"
    )
    for index, evaluation in zip(seen, evaluations, strict=True):
        candidates[index] = candidates[index].model_copy(update={"evaluation": evaluation})
    contest = hold_contest(ctx, cycle, candidates)
    value = {
        "candidates": [item.model_dump(mode="json") for item in candidates],
        "contest": None if contest is None else contest.model_dump(mode="json"),
    }
    return Outcome(value=value)
