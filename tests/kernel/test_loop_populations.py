"""Trainings that share a process: packed where that pays, stored one by one, and taken apart when the process dies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experimenter.api import Experimenter
from experimenter.loop.assemble import open_context
from experimenter.loop.context import RunContext
from experimenter.loop.orders import Order
from experimenter.loop.packing import packed
from experimenter.loop.preparation import prepare
from experimenter.loop.trainings import train_all
from experimenter.records import Design, Hyperparameters, Phase, RewardProgram, WeightedEnv
from experimenter.rl.metrics import spent
from experimenter.workspace.store import Workspace

SETTINGS = {
    "budget_steps": 12_000,
    "confirm_seeds": 2,
    "eval_episodes": 2,
    "card_steps": 200,
    "workers": 2,
    "chunk_steps": 1024,
    "memory": "off",
    "controls": "none",
}
BROKEN = RewardProgram(name="broken", source='def reward(t):\n    return {"a": t.next.nowhere}\n')


@pytest.fixture
def ctx(workspace: Path) -> Iterator[RunContext]:
    agent = Experimenter("CartPole-v1", workspace=str(workspace), **SETTINGS)
    prepare("keep it up", agent.env, {}, agent.settings, run_id="one")
    with Workspace.open(workspace, create=False) as store:
        opened = open_context(store, "one", lambda: False)
        yield opened
        opened.executor.close()


def order(ctx: RunContext, number: int, reward: RewardProgram | None = None, **hyper: Any) -> Order:
    phase = Phase(
        environments=(WeightedEnv(environment=ctx.card.spec),),
        reward=reward,
        hyperparameters=Hyperparameters(**hyper),
        steps=2048,
    )
    design = Design(name=f"design_{number}", phases=(phase,))
    return Order(design=design, seed=number, until=2048, place=f"trials/{number}", cycle=0, trial="t0")


def test_like_trainings_are_shared_out_and_unlike_ones_stand_alone(ctx: RunContext) -> None:
    alike = {f"s{number}": order(ctx, number, learning_rate=1e-3 / (1 + number)) for number in range(5)}
    other = {"wide": order(ctx, 9, num_envs=16)}
    assert packed(alike | other, 2, batched=True) == [("s0", "s2", "s4"), ("s1", "s3"), ("wide",)]
    assert packed(alike, 8, batched=True) == [(step,) for step in alike], (
        "a process for each, as long as they last"
    )
    assert packed(alike, 2, batched=False) == [(step,) for step in alike]
    assert packed({}, 2, batched=True) == []


def test_members_are_stored_as_if_each_had_trained_alone(ctx: RunContext) -> None:
    orders = [order(ctx, number, learning_rate=1e-3 / (1 + number)) for number in range(4)]
    together = train_all(ctx, orders)
    kinds = [event.kind for event in ctx.workspace.events(ctx.run)]
    assert kinds.count("training.finished") == kinds.count("training.started") == 4
    assert ctx.ledger().env_steps == sum(training.env_steps for training in together if training) == 4 * 2048
    again = [order(ctx, number, learning_rate=1e-3 / (1 + number)) for number in range(4)]
    for number, one in enumerate(again):
        alone = Order(**{**_fields(one), "place": f"alone/{number}", "cycle": 1})
        (training,) = train_all(ctx, [alone])
        assert training is not None and together[number] is not None
        assert training.policy.hash == together[number].policy.hash
        assert training.curve == together[number].curve


def _fields(one: Order) -> dict[str, Any]:
    return {name: getattr(one, name) for name in one.__dataclass_fields__}


def test_one_that_fails_is_stored_as_failed_and_the_others_are_whole(ctx: RunContext) -> None:
    orders = [order(ctx, 0), order(ctx, 1, BROKEN), order(ctx, 2), order(ctx, 3)]
    trainings = train_all(ctx, orders)
    assert [training.status for training in trainings if training] == [
        "finished",
        "failed",
        "finished",
        "finished",
    ]
    assert "nowhere" in trainings[1].error


def test_when_their_process_dies_each_is_tried_alone(
    ctx: RunContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when one member's environment crashes the interpreter: nobody else may pay for it."""
    given: list[str] = []
    run = ctx.executor.run

    def dying(jobs: Any, **how: Any) -> Iterator[Any]:
        for job in jobs:
            given.append(job.kind)
            spoilt = job.model_copy(update={"payload": {"jobs": "gone"}}) if job.kind == "population" else job
            yield from run([spoilt], **how)

    monkeypatch.setattr(ctx.executor, "run", dying)
    trainings = train_all(ctx, [order(ctx, number) for number in range(3)])
    assert [training.status for training in trainings if training] == ["finished"] * 3
    assert given == ["population", "train", "train", "train"]


def test_members_that_time_cut_off_are_paid_though_nobody_heard_of_them(ctx: RunContext) -> None:
    """Progress is told once a second at most: a member may have trained long before its first word."""
    orders = [replace(order(ctx, number), until=40_000) for number in range(4)]
    orders = [replace(one, design=one.design.with_steps(40_000)) for one in orders]

    def spent_by_all() -> list[int]:
        return [spent(ctx.folder / one.place) for one in orders]

    assert train_all(ctx, orders, give_up=lambda: min(spent_by_all()) > 0) == [None] * 4
    assert ctx.ledger().env_steps == sum(spent_by_all()) > 0
