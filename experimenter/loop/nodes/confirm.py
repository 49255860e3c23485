"""Confirmation: the search's champion is trained again from scratch on fresh seeds, with all steps that are left.

What a confirmation does not use, because it reached the target or a plateau, goes back to the search. A champion
found after that is confirmed in its turn and takes the place of the first: the rule is fixed beforehand, so the
winner is never the better of two confirmations.
"""

from __future__ import annotations

from typing import Any

from langgraph.runtime import Runtime

from experimenter.budget import SMALLEST_DESIGN
from experimenter.events import NewEvent
from experimenter.identity import seeds
from experimenter.judge.controls import control_names
from experimenter.loop.arms import run_arm
from experimenter.loop.context import Outcome, RunContext
from experimenter.loop.lineage import replayed
from experimenter.loop.plan import affordable
from experimenter.loop.state import LoopState
from experimenter.loop.view import champion, search_steps_left, target
from experimenter.records import Arm, Candidate, Design, Trial
from experimenter.results import Confirmation, confirmation_document

WORTH_RETURNING = 0.3
MOST_CONFIRMATIONS = 3
EPOCH = 100
CAUTION = 0.8


def confirm(state: LoopState, runtime: Runtime[RunContext]) -> LoopState:
    ctx, cycle, number = runtime.context, state["cycle"], state.get("confirmed", 0)
    index = number + EPOCH * ctx.plan.epoch
    found = ctx.once("confirm", cycle, lambda: _confirm(ctx, cycle, number, state["ended"]), index)
    again = bool(found["again"])
    return {
        "confirmed": number + 1,
        "ended": "" if again else state["ended"],
        "cycle": cycle + 1 if again else cycle,
    }


def route_confirm(state: LoopState) -> str:
    return "control" if state["ended"] else "recall"


def _confirm(ctx: RunContext, cycle: int, number: int, ended: str) -> Outcome:
    ordered = ctx.once("confirm_order", cycle, lambda: _order(ctx), number + EPOCH * ctx.plan.epoch)
    best = next((trial for trial in ctx.trials() if trial.id == ordered["trial"]), None)
    if best is None or best.winner is None:
        return Outcome(
            value={"again": False}, events=(NewEvent(kind="note", data={"words": ordered["words"]}),)
        )
    arm = _train_and_judge(ctx, replayed(ctx, best.winner.design), cycle, number, ordered["steps"])
    again = _again(ctx, arm, number, ended)
    documents = confirmation_documents(best.id, ordered["steps"], number, arm)
    if again:
        spent = ctx.ledger().env_steps
        documents["search_limit"] = {"steps": spent + (ctx.plan.env_steps - spent) // 2}
    data = {"trial": best.id, "iqm": arm.interval.iqm, "low": arm.interval.low, "high": arm.interval.high}
    data |= {
        "seeds": len(arm.scores),
        "success_rate": arm.success_rate,
        "again": again,
        "env_steps": arm.env_steps,
    }
    return Outcome(
        value={"again": again}, documents=documents, events=(NewEvent(kind="confirm.finished", data=data),)
    )


def confirmation_documents(trial: str, steps: int, number: int, arm: Arm) -> dict[str, Any]:
    """The winner as it stands now, and this confirmation under its own number: a later winner does not hide it."""
    kept = Confirmation(number=number, trial=trial, steps=steps, arm=arm)
    return {
        "arm:winner": arm.model_dump(mode="json"),
        "winner": {"trial": trial, "steps": steps, "number": number},
        confirmation_document(number): kept.model_dump(mode="json"),
    }


def _order(ctx: RunContext) -> Outcome:
    """What to confirm and with how many steps per seed; stored first, because the ledger moves while it trains."""
    best = champion(ctx.trials())
    left = ctx.plan.env_steps - ctx.ledger().env_steps
    steps = min(left, _steps_in_time(ctx, left)) // ctx.plan.confirm_seeds
    if best is None:
        return Outcome(value={"trial": None, "words": "there is nothing to confirm"})
    if _same_as_before(ctx, best):
        return Outcome(value={"trial": None, "words": "the confirmed winner stands"})
    if steps < SMALLEST_DESIGN:
        return Outcome(value={"trial": None, "words": "too few steps are left to confirm the best design"})
    data = {"trial": best[0].id, "seeds": ctx.plan.confirm_seeds, "steps_each": steps}
    started = NewEvent(kind="confirm.started", data=data)
    return Outcome(value={"trial": best[0].id, "steps": steps, "words": ""}, events=(started,))


def _steps_in_time(ctx: RunContext, left: int) -> int:
    """What a limit in seconds leaves time for at the pace so far, with time kept for the controls where possible."""
    limit, ledger = ctx.budget.seconds, ctx.ledger()
    if limit is None:
        return left
    pace = ledger.env_steps / max(ledger.seconds, 1e-9)
    within, arms = (
        CAUTION * pace * max(0.0, limit - ledger.seconds),
        len(control_names(ctx.settings.controls)),
    )
    shared = (within - arms * ledger.env_steps) / (1 + arms)
    enough = shared >= ctx.plan.confirm_seeds * SMALLEST_DESIGN
    return int(shared if enough else within)


def _train_and_judge(ctx: RunContext, design: Design, cycle: int, number: int, steps: int) -> Arm:
    role = "confirm_train" if ctx.parent is None else "control_train"
    return run_arm(
        ctx,
        "winner" if number == 0 else f"winner_{number + 1}",
        design.with_steps(steps),
        seeds(ctx.seed, role, ctx.plan.confirm_seeds, "confirm", number),
        cycle=cycle,
        role="confirm",
        target=target(ctx) if ctx.parent is None else None,
        stop_at_plateau=ctx.parent is None,
    )


def _same_as_before(ctx: RunContext, best: tuple[Trial, Candidate]) -> bool:
    before = ctx.workspace.document(ctx.run, "winner")
    return before is not None and before["trial"] == best[0].id


def _again(ctx: RunContext, arm: Arm, number: int, ended: str) -> bool:
    """Whether enough is left, and reason enough, to search on."""
    wanted, left = target(ctx), ctx.plan.env_steps - ctx.ledger().env_steps
    solved = wanted is not None and arm.interval.iqm >= wanted
    if solved or ended == "out of ideas" or ctx.max_trials is not None or ctx.search_time_is_over():
        return False
    enough = left >= WORTH_RETURNING * ctx.plan.env_steps and affordable(left // 2, ctx.plan) > 0
    return enough and number + 1 < MOST_CONFIRMATIONS and search_steps_left(ctx) >= 0
