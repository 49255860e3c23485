"""Stop 7: named faults, found by fixed code in the trainings and evaluations."""

from __future__ import annotations

from langgraph.runtime import Runtime

from experimenter.events import NewEvent
from experimenter.loop.context import Outcome, RunContext, read_many
from experimenter.loop.nodes.judge import judged
from experimenter.loop.state import LoopState
from experimenter.loop.view import champion
from experimenter.records import Candidate, Training


def diagnose(state: LoopState, runtime: Runtime[RunContext]) -> LoopState:
    ctx, cycle = runtime.context, state["cycle"]
    ctx.once("diagnose", cycle, lambda: _diagnose(ctx, cycle))
    return {"cycle": cycle}


def diagnosed(ctx: RunContext, cycle: int) -> tuple[Candidate, ...]:
    """This cycle's candidates with their diagnoses."""
    return read_many(Candidate, ctx.stored("diagnose", cycle))


def _diagnose(ctx: RunContext, cycle: int) -> Outcome:
    before = champion(tuple(trial for trial in ctx.trials() if trial.cycle < cycle))
    baseline = before[1].training if before else None
    candidates = [_with_diagnosis(ctx, item, baseline) for item in judged(ctx, cycle)]
    faults = sorted({fault.name for item in candidates if item.diagnosis for fault in item.diagnosis.faults})
    event = NewEvent(kind="diagnose.finished", data={"cycle": cycle, "faults": faults})
    return Outcome(value=[item.model_dump(mode="json") for item in candidates], events=(event,))


def _with_diagnosis(ctx: RunContext, candidate: Candidate, baseline: Training | None) -> Candidate:
    from experimenter.rl.diagnostics import diagnose as find_faults

    if candidate.training is None:
        return candidate
    found = find_faults(candidate.training, candidate.evaluation, candidate.design, ctx.card, baseline)
    return candidate.model_copy(update={"diagnosis": found})
