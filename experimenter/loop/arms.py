"""Arms of the final comparison: one design trained on several fresh seeds, each policy judged on the same episodes."""

from __future__ import annotations

from collections.abc import Sequence

from experimenter.identity import seeds
from experimenter.judge.statistics import interval
from experimenter.loop.context import RunContext
from experimenter.loop.judgings import judge_all, judge_steps
from experimenter.loop.orders import Order
from experimenter.loop.trainings import train_all
from experimenter.records import Arm, Design, Evaluation, Training, TrueReturn


def confirm_seeds(ctx: RunContext) -> tuple[int, ...]:
    """The held-out episodes that every arm of this run is judged on."""
    return seeds(ctx.seed, "confirm_eval", ctx.settings.eval_episodes)


def run_arm(
    ctx: RunContext,
    name: str,
    design: Design,
    train_seeds: Sequence[int],
    *,
    cycle: int,
    role: str,
    target: float | None = None,
    stop_at_plateau: bool = False,
) -> Arm:
    """Trains ``design`` once per seed and has the judge score each policy."""
    orders = [
        Order(
            design=design,
            seed=seed,
            until=design.steps,
            place=f"arms/{name}_{cycle}/{index}",
            cycle=cycle,
            trial=name,
            role=role,
            target=target,
            stop_at_plateau=stop_at_plateau,
            validation=f"{role}:{name}",
        )
        for index, seed in enumerate(train_seeds)
    ]
    trainings = [item for item in train_all(ctx, orders) if item is not None]
    policies = [(item.policy, ctx.card.spec) for item in trainings if item.policy is not None]
    evaluations = judge_all(ctx, policies, confirm_seeds(ctx), cycle, f"arm:{name}")
    judged = judge_steps(ctx, [policy for policy, _ in policies], confirm_seeds(ctx), cycle, f"arm:{name}")
    return _arm(ctx, name, trainings, evaluations, judged)


def _arm(
    ctx: RunContext,
    name: str,
    trainings: Sequence[Training],
    evaluations: Sequence[Evaluation],
    judged: tuple[str, ...],
) -> Arm:
    """A training that failed counts as random actions do, in every arm alike: leaving it out would flatter the arm."""
    failed = len(trainings) - len(evaluations)
    floor = TrueReturn(ctx.card.random.return_mean)
    scores = (*(item.mean for item in evaluations), *([floor] * failed))
    rates = [item.success_rate for item in evaluations if item.success_rate is not None]
    return Arm(
        name=name,
        trainings=tuple(item.step for item in trainings),
        scores=scores,
        interval=interval(scores, ctx.seed),
        success_rate=sum(rates) / len(scores) if rates else None,
        env_steps=sum(item.env_steps for item in trainings),
        eval_steps=sum(item.eval_steps for item in trainings) + sum(item.eval_steps for item in evaluations),
        failed=failed,
        epoch=ctx.plan.epoch,
        success_rates=(*rates, *([0.0] * failed)) if rates else (),
        evaluations=judged,
    )
