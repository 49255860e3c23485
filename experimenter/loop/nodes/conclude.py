"""The end: comparisons with each control, the verdict in words, the result, the report."""

from __future__ import annotations

from collections.abc import Iterable

from langgraph.runtime import Runtime

from experimenter.identity import digest, seeds
from experimenter.judge.controls import control_names
from experimenter.judge.statistics import compare, interval
from experimenter.judge.verdict import Claim, earlier_sentence, sentence
from experimenter.loop.context import RunContext
from experimenter.loop.keeping import keep
from experimenter.loop.lineage import replayed
from experimenter.loop.state import LoopState
from experimenter.loop.success_shares import measure_success
from experimenter.loop.view import champion, target
from experimenter.records import Arm, Candidate, Comparison, Trial
from experimenter.report.planning import planning
from experimenter.results import (
    Best,
    ControlResult,
    Earlier,
    RunResult,
    earlier_confirmations,
    inherited_steps,
)


def conclude(state: LoopState, runtime: Runtime[RunContext]) -> LoopState:
    measure_success(runtime.context)
    finish(runtime.context, state.get("ended", ""))
    return {}


def finish(ctx: RunContext, why: str, status: str = "finished") -> RunResult:
    """Stores the verdict and the result, and writes the report. Safe to repeat: figures come from stored arms."""
    comparisons = {
        name: _compare(ctx, name) for name in control_names(ctx.settings.controls) if _has(ctx, name)
    }
    result = _result(ctx, why, status, comparisons)
    for name, comparison in comparisons.items():
        ctx.workspace.put_document(ctx.run, f"comparison:{name}", comparison.model_dump(mode="json"))
    ctx.workspace.put_document(ctx.run, "result", result.model_dump(mode="json"))
    if status == "finished":
        keep(ctx)
    step = ctx.step_id("verdict", 0, ctx.plan.epoch, design=digest([result.sentence, why]))
    ctx.announce(step, "verdict.finished", {"sentence": result.sentence, "why_ended": why})
    return _with_report(ctx, result)


def _with_report(ctx: RunContext, result: RunResult) -> RunResult:
    if ctx.parent is not None:
        return result
    from experimenter.execution.filming import film_run
    from experimenter.report import write_report

    if ctx.settings.films and result.status == "finished":
        film_run(ctx.workspace, ctx.run, ctx.executor, ctx.interrupted)
    path = write_report(ctx.workspace, ctx.run)
    result = result.model_copy(update={"report": str(path)})
    ctx.workspace.put_document(ctx.run, "result", result.model_dump(mode="json"))
    return result


def arm(ctx: RunContext, name: str) -> Arm | None:
    """A finished arm of this run, if there is one."""
    stored = ctx.workspace.document(ctx.run, f"arm:{name}")
    return None if stored is None else Arm.model_validate(stored)


def _has(ctx: RunContext, control: str) -> bool:
    """A control of an earlier, smaller budget is no control for this one."""
    found = arm(ctx, control)
    return arm(ctx, "winner") is not None and found is not None and found.epoch == ctx.plan.epoch


def _compare(ctx: RunContext, control: str) -> Comparison:
    winner, other = arm(ctx, "winner"), arm(ctx, control)
    assert winner is not None and other is not None
    return compare(control, winner.scores, other.scores, ctx.seed)


def _result(ctx: RunContext, why: str, status: str, comparisons: dict[str, Comparison]) -> RunResult:
    trials, best = ctx.trials(), _best(ctx)
    ledger = ctx.ledger()
    planned = planning(ctx.workspace.exchanges(ctx.run), trials)
    return RunResult.model_validate(
        {
            "run": ctx.run,
            "status": status,
            "planner": ctx.planner.name,
            "judge": ctx.card.judge.words,
            "environment": ctx.card.spec.id,
            "wish": ctx.record.goal.wish,
            "sentence": " ".join([sentence(_claim(ctx, comparisons, trials)), *_caveats(ctx, comparisons)]),
            "why_ended": why,
            "verdict": {name: item.model_dump() for name, item in comparisons.items()},
            "best": None if best is None else best.model_dump(),
            "earlier": [item.model_dump() for item in _earlier(ctx)],
            "controls": {name: _control(ctx, name).model_dump() for name in comparisons},
            "ledger": ledger.model_dump(),
            "inherited_steps": inherited_steps(ctx.run, trials),
            "trials": len(trials),
            "discarded": sum(1 for item in _candidates(trials) if item.discarded),
            "containment": _containment(trials),
            "planning": None if planned is None else planned.model_dump(),
        }
    )


def _caveats(ctx: RunContext, names: Iterable[str]) -> list[str]:
    """What a reader must know besides: trainings that failed, and earlier confirmations."""
    words = []
    for name in ("winner", *names):
        found = arm(ctx, name)
        if found is not None and found.failed:
            counted = f"{found.failed} of the {len(found.scores)} trainings of the arm {name}"
            words.append(f"{counted} failed, and count as random actions do.")
    if inherited := inherited_steps(ctx.run, ctx.trials()):
        words.append(
            f"Designs of the search started from policies with {inherited:,} learning steps of earlier runs."
        )
    winner = ctx.workspace.document(ctx.run, "winner")
    if winner is not None and winner["number"]:
        words.append(earlier_sentence(int(winner["number"]), _earlier(ctx)))
    return words


def _earlier(ctx: RunContext) -> tuple[Earlier, ...]:
    return earlier_confirmations(ctx.run, ctx.workspace.documents(ctx.run))


def _why_missing(ctx: RunContext, control: str) -> str:
    stored = ctx.workspace.document(ctx.run, f"missing:{control}")
    return "the budget ended before it" if stored is None else str(stored["words"])


def _best(ctx: RunContext) -> Best | None:
    confirmed, winner = arm(ctx, "winner"), ctx.workspace.document(ctx.run, "winner")
    if confirmed is None or winner is None:
        return None
    trial = next(item for item in ctx.trials() if item.id == winner["trial"])
    assert trial.winner is not None
    return Best(
        trial=f"{ctx.run}/{trial.id}",
        design=replayed(ctx, trial.winner.design).with_steps(int(winner["steps"])),
        true_score=confirmed.interval,
        success_rate=confirmed.success_rate,
        scores=tuple(float(score) for score in confirmed.scores),
        policies=confirmed.trainings,
    )


def _control(ctx: RunContext, name: str) -> ControlResult:
    found = arm(ctx, name)
    assert found is not None
    scores = tuple(float(score) for score in found.scores)
    return ControlResult(true_score=found.interval, success_rate=found.success_rate, scores=scores)


def _candidates(trials: tuple[Trial, ...]) -> list[Candidate]:
    return [candidate for trial in trials for candidate in trial.candidates]


def _containment(trials: tuple[Trial, ...]) -> str:
    levels = {item.training.containment for item in _candidates(trials) if item.training}
    return next(
        (level for level in ("none", "reduced", "full", "none needed") if level in levels), "none needed"
    )


def _claim(ctx: RunContext, comparisons: dict[str, Comparison], trials: tuple[Trial, ...]) -> Claim:
    confirmed, best, ledger = arm(ctx, "winner"), champion(trials), ctx.ledger()
    score, ended = (confirmed.interval, "confirmed") if confirmed else (None, "no winner")
    if confirmed is None and best is not None and best[1].evaluation is not None:
        mean = best[1].evaluation.mean
        score, ended = interval([mean], seeds(ctx.seed, "probe", 1)[0]), "before confirmation"
    missing = {name: _why_missing(ctx, name) for name in control_names(ctx.settings.controls)}
    winner = ctx.workspace.document(ctx.run, "winner")
    trial = winner["trial"] if winner else best[0].id if best else None
    return Claim.model_validate(
        {
            "ended": ended,
            "planner": ctx.planner.name,
            "trial": trial,
            "score": None if score is None else score.model_dump(),
            "success_rate": confirmed.success_rate if confirmed else None,
            "target": target(ctx),
            "comparisons": {name: item.model_dump() for name, item in comparisons.items()},
            "missing": {name: words for name, words in missing.items() if name not in comparisons},
            "trials": len(trials),
            "candidates": len(_candidates(trials)),
            "discarded": sum(1 for item in _candidates(trials) if item.discarded),
            "env_steps": ledger.env_steps,
            "control_env_steps": ledger.control_env_steps,
        }
    )
