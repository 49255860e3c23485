"""What the frozen test of success says of the confirmed policies, on the very episodes that the judge scored them on.

A share is reported beside that of random actions, apart from every figure of the judge. Each policy's is a stored step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from experimenter.budget import Ledger
from experimenter.contracts import JobResult
from experimenter.errors import ExperimenterError, WorkspaceError
from experimenter.events import NewEvent
from experimenter.judge.controls import control_names
from experimenter.judge.statistics import interval
from experimenter.loop.arms import confirm_seeds
from experimenter.loop.context import BudgetSpent, Outcome, RunContext
from experimenter.loop.success import apply_frozen, frozen_test, recorded
from experimenter.records import Arm, PolicyRef, Training
from experimenter.success import SHARES, ArmShares, SuccessShares, WordedTest

__all__ = ["measure_success"]


class _NotMeasured(ExperimenterError):
    """A job that the figures need failed."""


def measure_success(ctx: RunContext) -> None:
    """Stores the document ``success_words``, where the run has a frozen test and a confirmed winner.

    A limit that ends meanwhile, a failure, or a test that is not the one that was frozen leaves words instead of
    figures, and is tried again when the run goes on: the verdict does not hang on it. Raises Stopped.
    """
    winner = ctx.workspace.document(ctx.run, "winner")
    if ctx.parent is not None or winner is None:
        return
    try:
        test = frozen_test(ctx)
    except WorkspaceError as changed:
        _not_measured(ctx, "", winner["trial"], str(changed))
        return
    if test is None:
        return
    try:
        ctx.once(SHARES, ctx.plan.epoch, lambda: _measured(ctx, test, winner["trial"]), winner["number"])
    except (BudgetSpent, _NotMeasured) as why:
        _not_measured(ctx, test.hash, winner["trial"], str(why))


def _not_measured(ctx: RunContext, frozen: str, trial: str, why: str) -> None:
    missing = SuccessShares(state="not measured", hash=frozen, trial=trial, words=why)
    ctx.workspace.put_document(ctx.run, SHARES, missing.model_dump(mode="json"))


def _measured(ctx: RunContext, test: WordedTest, trial: str) -> Outcome:
    names = ("winner", *control_names(ctx.settings.controls))
    arms = tuple(_arm(ctx, test, arm) for arm in (_finished(ctx, name) for name in names) if arm is not None)
    chance = _share(ctx, test, None)
    shares = SuccessShares(
        state="measured",
        hash=test.hash,
        episodes=len(confirm_seeds(ctx)),
        arms=arms,
        random=chance,
        trial=trial,
    )
    data = {"words": _words(shares), "hash": test.hash, "random": chance}
    value = shares.model_dump(mode="json")
    event = NewEvent(kind="success_test.measured", data=data)
    return Outcome(value=value, documents={SHARES: value}, events=(event,))


def _words(shares: SuccessShares) -> str:
    winner = shares.arm("winner")
    assert winner is not None and shares.random is not None, "it was measured"
    found = winner.interval
    return (
        f"by the test written from the wish, and not by the judge: the winner meets it in {found.iqm:.0%} of episodes "
        f"({found.low:.0%} to {found.high:.0%}), random actions in {shares.random:.0%}"
    )


def _finished(ctx: RunContext, name: str) -> Arm | None:
    """An arm of the run's present budget; the winner always."""
    stored = ctx.workspace.document(ctx.run, f"arm:{name}")
    arm = None if stored is None else Arm.model_validate(stored)
    return arm if arm is not None and (name == "winner" or arm.epoch == ctx.plan.epoch) else None


def _arm(ctx: RunContext, test: WordedTest, arm: Arm) -> ArmShares:
    """A training that failed has no policy, and met nothing."""
    policies = [training.policy for training in _trainings(ctx, arm) if training.policy is not None]
    shares = [_share(ctx, test, policy) for policy in policies]
    shares += [0.0] * (len(arm.trainings) - len(policies))
    return ArmShares(
        name=arm.name,
        shares=tuple(shares),
        interval=interval(shares, ctx.seed),
        failed=len(arm.trainings) - len(policies),
    )


def _trainings(ctx: RunContext, arm: Arm) -> Sequence[Training]:
    """Of this run, or of its random twin: steps are found by their id alone."""
    found = (ctx.workspace.step(step) for step in arm.trainings)
    return [Training.model_validate(stored) for stored in found if stored is not None]


def _share(ctx: RunContext, test: WordedTest, policy: PolicyRef | None) -> float:
    """The share of held-out episodes in which a policy, or random actions, met the test; a stored step."""
    played = confirm_seeds(ctx)
    who = "random" if policy is None else policy.hash
    step = ctx.step_id("success_share", 0, design=f"{test.hash}:{who}", seed=played[0], steps=len(played))
    if ctx.workspace.step(step) is None:
        ctx.commit(step, "success_share", _played(ctx, test, policy, played))
    stored: Any = ctx.workspace.step(step)
    met: list[bool] = stored["met"]
    return sum(met) / len(met)


def _played(ctx: RunContext, test: WordedTest, policy: PolicyRef | None, played: tuple[int, ...]) -> Outcome:
    who: Literal["random", "policy"] = "random" if policy is None else "policy"
    with recorded(ctx, test.gate.fields, who, played, policy=policy) as (folder, found):
        if isinstance(found, JobResult):
            raise _failed(found)
        applied = apply_frozen(ctx, test.source, test.hash, folder, len(found.episodes))
    if isinstance(applied, JobResult):
        raise _failed(applied)
    return Outcome(
        value={"met": list(applied.met), "steps": found.steps}, spend=Ledger(eval_steps=found.steps)
    )


def _failed(result: JobResult) -> ExperimenterError:
    return _NotMeasured(result.message, result.hint)
