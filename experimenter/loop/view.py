"""The journal as planners and curricula see it: attempts, the champion, and what may still be spent."""

from __future__ import annotations

from experimenter.contracts import RunView
from experimenter.identity import seeds
from experimenter.loop.context import RunContext
from experimenter.loop.plan import affordable
from experimenter.loop.vectors import wide
from experimenter.questions import Attempt
from experimenter.records import Candidate, Lever, Recollection, Task, Trial


def attempt(trial: Trial, candidate: Candidate, best: bool) -> Attempt:
    """One candidate as one line of the journal; its figures are the judge's."""
    phase = candidate.design.phases[-1]
    training, evaluation = candidate.training, candidate.evaluation
    curve = training.curve if training else ()
    validated = next((p for p in reversed(curve) if p.true_return is not None), None)
    score = candidate.true_score if evaluation else validated.true_return if validated else None
    success = evaluation.success_rate if evaluation else validated.success_rate if validated else None
    return Attempt(
        trial=trial.id,
        cycle=trial.cycle,
        lever=trial.lever,
        environments=phase.environments,
        reward=phase.reward,
        hyperparameters=phase.hyperparameters,
        steps=training.steps if training else 0,
        true_return=score,
        success_rate=success,
        reach=training.reach if training else 0.0,
        diagnosis=candidate.diagnosis,
        error=candidate.discarded if training is None else training.error,
        best=best,
        effect=trial.effect if best else None,
        off_policy=phase.off_policy,
    )


def attempts(trials: tuple[Trial, ...]) -> tuple[Attempt, ...]:
    """Every candidate of every trial, in the order in which they were designed."""
    return tuple(
        attempt(trial, candidate, index == trial.best)
        for trial in trials
        for index, candidate in enumerate(trial.candidates)
    )


def champion(trials: tuple[Trial, ...]) -> tuple[Trial, Candidate] | None:
    """The best of the last trial that was accepted; each was compared with the one before it."""
    accepted = [(trial, trial.winner) for trial in trials if trial.accepted and trial.winner is not None]
    return next(((trial, winner) for trial, winner in reversed(accepted) if winner is not None), None)


def standing(candidate: Candidate) -> tuple[float, float]:
    """What candidates are ordered by: the judge's mean, then how much of the state space was reached."""
    training = candidate.training
    score = float("-inf")
    if candidate.true_score is not None:
        score = candidate.true_score
    elif training is not None and training.status == "finished":
        points = [p.true_return for p in training.curve if p.true_return is not None]
        score = points[-1] if points else score
    return round(score, 6), training.reach if training else 0.0


def search_steps_left(ctx: RunContext) -> int:
    """What the search may still spend; a confirmation that ended early has raised the limit."""
    raised = ctx.workspace.document(ctx.run, "search_limit")
    limit = ctx.plan.search_limit if raised is None else int(raised["steps"])
    return max(0, limit - ctx.ledger().env_steps)


def refused(ctx: RunContext, cycle: int) -> tuple[Lever, ...]:
    """Levers of the cycles in a row, up to the one before ``cycle``, that were spent without a design; oldest first."""
    levers: list[Lever] = []
    before = cycle - 1
    while ctx.workspace.step(ctx.step_id("design", before)) == []:
        levers.append(Task.model_validate(ctx.stored("propose", before)["task"]).lever)
        before -= 1
    return tuple(reversed(levers))


def _confirm_steps(ctx: RunContext) -> int:
    """Steps for each confirmed seed: of the reserve, or of all that is left where a target may end the search."""
    spent = ctx.plan.search_limit if target(ctx) is None else ctx.ledger().env_steps
    return max(0, ctx.plan.env_steps - spent) // ctx.plan.confirm_seeds


def target(ctx: RunContext) -> float | None:
    """What "solved" means for the IQM: ``--target``, else the environment's threshold, else nothing."""
    wanted = ctx.record.goal.target
    return ctx.card.reward_threshold if wanted is None else wanted


def run_view(ctx: RunContext, cycle: int, recalled: Recollection) -> RunView:
    """What a curriculum may know before cycle ``cycle``; a pure function of the stored journal."""
    trials = tuple(trial for trial in ctx.trials() if trial.cycle < cycle)
    best = champion(trials)
    left = search_steps_left(ctx)
    return RunView(
        goal=ctx.record.goal,
        card=ctx.card,
        cycle=cycle,
        history=attempts(trials),
        champion=best[1].design if best else None,
        champion_trial=best[0].id if best else None,
        design_steps=ctx.plan.design_steps,
        search_steps_left=left,
        confirm_steps=_confirm_steps(ctx),
        max_designs=max(1, affordable(left, ctx.plan)),
        lessons=recalled.lessons,
        skills=recalled.skills,
        methods=recalled.methods,
        refused=refused(ctx, cycle),
        algorithm=ctx.settings.algorithm,
        batched=wide(ctx),
        seed=seeds(ctx.seed, "planner", 1, cycle)[0],
    )
