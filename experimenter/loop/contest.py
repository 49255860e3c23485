"""Whether a trial's best takes the champion's place: one lucky training seed must not decide it.

A clear lead is taken at its word. Otherwise both designs are trained again with the same second seed, and the means
decide; where the steps for that are missing the champion stays. Ties of the true score go to the wider reach.
"""

from __future__ import annotations

from experimenter.identity import seeds
from experimenter.loop.context import RunContext
from experimenter.loop.judgings import judge_all
from experimenter.loop.orders import Order
from experimenter.loop.trainings import train_all
from experimenter.loop.view import champion, search_steps_left, standing
from experimenter.records import Candidate, Design, Evaluation, Record, Trial

CLEAR = 0.5


class Contest(Record):
    """``best`` is the index of the trial's best candidate; ``baseline`` the champion's trial; ``effect`` the lead."""

    best: int
    baseline: str | None = None
    effect: float | None = None
    accepted: bool = True


def validation_seeds(ctx: RunContext) -> tuple[int, ...]:
    """The held-out episodes on which the search's candidates are judged."""
    return seeds(ctx.seed, "validation", ctx.settings.eval_episodes, "judge")


def hold_contest(ctx: RunContext, cycle: int, candidates: list[Candidate]) -> Contest | None:
    """Compares the best candidate with the champion, replicating both where needed; updates ``candidates``."""
    judged = [index for index, item in enumerate(candidates) if item.evaluation is not None]
    if not judged:
        return None
    best = max(judged, key=lambda index: standing(candidates[index]))
    before = champion(tuple(trial for trial in ctx.trials() if trial.cycle < cycle))
    if before is None:
        return Contest(best=best)
    lead = _lead(candidates[best], before[1])
    if lead <= 0.0 or _clear(ctx, candidates[best], lead):
        return _decide(best, before, lead, candidates[best])
    again = _replicate(ctx, cycle, candidates[best], before)
    if again is None:
        return Contest(best=best, baseline=before[0].id, effect=lead, accepted=False)
    candidates[best], other = again
    return _decide(best, before, _lead(candidates[best], other), candidates[best])


def _lead(mine: Candidate, other: Candidate) -> float:
    return float((mine.true_score or 0.0) - (other.true_score or 0.0))


def _clear(ctx: RunContext, mine: Candidate, lead: float) -> bool:
    """A lead of more than half of what the candidate gained over random actions."""
    return lead > CLEAR * ((mine.true_score or 0.0) - ctx.card.random.return_mean)


def _decide(best: int, before: tuple[Trial, Candidate], lead: float, mine: Candidate) -> Contest:
    wider = _reach(mine) > _reach(before[1])
    accepted = lead > 1e-9 or (abs(lead) <= 1e-9 and wider)
    return Contest(best=best, baseline=before[0].id, effect=lead, accepted=accepted)


def _reach(candidate: Candidate) -> float:
    return candidate.training.reach if candidate.training else 0.0


def _replicate(
    ctx: RunContext, cycle: int, mine: Candidate, before: tuple[Trial, Candidate]
) -> tuple[Candidate, Candidate] | None:
    """Both designs trained with one more seed, or ``None`` where the search cannot afford it."""
    orders = [
        _order(ctx, cycle, f"t{cycle}", mine.design),
        _order(ctx, before[0].cycle, before[0].id, before[1].design),
    ]
    missing = [order for order in orders if ctx.workspace.step(order.step(ctx)) is None]
    ordered = ctx.workspace.document(ctx.run, f"contest:{cycle}")
    if ordered is None and sum(order.until for order in missing) > search_steps_left(ctx):
        return None
    ctx.workspace.put_document(ctx.run, f"contest:{cycle}", {"steps": [order.until for order in orders]})
    trainings = train_all(ctx, orders, give_up=ctx.search_time_is_over)
    policies = [item.policy for item in trainings if item is not None and item.policy is not None]
    if len(policies) < len(orders):
        return None
    found = judge_all(
        ctx, [(p, ctx.card.spec) for p in policies], validation_seeds(ctx), cycle, f"t{cycle}:again"
    )
    return _with(mine, found[0]), _with(before[1], found[1])


def _with(candidate: Candidate, evaluation: Evaluation) -> Candidate:
    return candidate.model_copy(update={"replicates": (evaluation,)})


def _order(ctx: RunContext, cycle: int, trial: str, design: Design) -> Order:
    return Order(
        design=design,
        seed=seeds(ctx.seed, ctx.train_role, 1, "replicate")[0],
        until=ctx.plan.design_steps,
        place=f"trials/{trial}/again-{design.name}",
        cycle=cycle,
        trial=trial,
        validation="search",
        rung=-1,
    )
