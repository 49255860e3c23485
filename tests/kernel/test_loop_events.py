"""Each event is told once, with the step that it belongs to, however often a stop is gone through again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from experimenter.api import Experimenter
from experimenter.budget import Ledger
from experimenter.cli.progress import Progress
from experimenter.loop.assemble import open_context
from experimenter.loop.context import Outcome, RunContext
from experimenter.loop.nodes.reflect import _reflect
from experimenter.loop.nodes.train import _train
from experimenter.loop.orders import Order
from experimenter.loop.preparation import prepare
from experimenter.loop.trainings import train_all
from experimenter.records import Candidate, Design, Phase, Task, WeightedEnv
from experimenter.rl.metrics import spent
from experimenter.testing import ScriptedPlanner
from experimenter.workspace.store import Workspace

SETTINGS = {
    "budget_steps": 12_000,
    "budget_seconds": 10_000.0,
    "confirm_seeds": 2,
    "eval_episodes": 2,
    "card_steps": 200,
    "workers": 1,
    "chunk_steps": 1024,
    "memory": "off",
    "controls": "none",
}


@pytest.fixture
def ctx(workspace: Path) -> Iterator[RunContext]:
    agent = Experimenter("CartPole-v1", workspace=str(workspace), **SETTINGS)
    prepare("keep it up", agent.env, {}, agent.settings, run_id="one")
    with Workspace.open(workspace, create=False) as store:
        opened = open_context(store, "one", lambda: False)
        yield opened
        opened.executor.close()


def _told(ctx: RunContext, *kinds: str) -> list[tuple[str, str]]:
    return [(event.kind, event.step) for event in ctx.workspace.events(ctx.run) if event.kind in kinds]


def _design(ctx: RunContext) -> Design:
    phase = Phase(environments=(WeightedEnv(environment=ctx.card.spec),), steps=ctx.plan.design_steps)
    return Design(name="plain", phases=(phase,))


def test_an_announcement_is_made_once(ctx: RunContext) -> None:
    for _ in range(2):
        ctx.announce(ctx.step_id("hello", 0), "note", {"words": "hello"}, about="another")
    ctx.announce(ctx.step_id("hello", 1), "note", {"words": "hello"})
    assert _told(ctx, "note") == [("note", "another"), ("note", ctx.step_id("hello", 1))]


def test_a_train_stop_gone_through_again_decides_and_tells_the_same(ctx: RunContext) -> None:
    """Between the two the search runs out of time, as after a kill before the stop as a whole was stored."""
    found = [Candidate(design=_design(ctx)).model_dump(mode="json")]
    ctx.commit(ctx.step_id("check", 0), "check", Outcome(value=found))
    kinds = ("training.started", "training.finished", "rung.finished")
    first = _train(ctx, 0)
    told, ledger = _told(ctx, *kinds), ctx.ledger()
    assert [kind for kind, _ in told] == [*kinds, *kinds]
    ctx.workspace.spend(ctx.run, Ledger(seconds=6_000.0))
    assert ctx.search_time_is_over()
    assert _train(ctx, 0).value == first.value
    assert _told(ctx, *kinds) == told
    assert ctx.ledger().env_steps == ledger.env_steps


def test_a_training_that_time_cut_off_is_paid_once_when_it_goes_on(ctx: RunContext) -> None:
    phase = Phase(environments=(WeightedEnv(environment=ctx.card.spec),), steps=40_000)
    design = Design(name="long", phases=(phase,))
    order = Order(design=design, seed=1, until=40_000, place="trials/long", cycle=0, trial="t0")
    assert train_all(ctx, [order], give_up=lambda: spent(ctx.folder / order.place) > 0) == [None]
    assert ctx.ledger().env_steps > 0
    ctx.plan = ctx.plan.model_copy(update={"epoch": 1})
    (training,) = train_all(ctx, [order])
    assert training is not None
    assert ctx.ledger().env_steps == training.env_steps
    assert len(_told(ctx, "training.started")) == 1


def test_a_refused_reflection_is_noted_in_its_steps_own_transaction(ctx: RunContext) -> None:
    goal = ctx.record.goal
    task = Task(name="hold", sentence="Hold it", environment=goal.environment, lever="native", reason="why")
    stored = {
        "propose": {"task": task.model_dump(mode="json")},
        "judged": {"candidates": [], "contest": None},
        "diagnose": [Candidate(design=_design(ctx)).model_dump(mode="json")],
    }
    for kind, value in stored.items():
        ctx.commit(ctx.step_id(kind, 0), kind, Outcome(value=value))
    ctx.planner = ScriptedPlanner({})
    for _ in range(2):
        _reflect(ctx, 0)
    assert _told(ctx, "note", "reflect.finished") == []
    ctx.once("reflect", 0, lambda: _reflect(ctx, 0))
    step = ctx.step_id("reflect", 0)
    assert _told(ctx, "note", "reflect.finished") == [("note", step), ("reflect.finished", step)]
    assert ctx.stored("reflect", 0)["lesson"] is None


def test_a_resumed_training_is_shown_though_its_start_is_not_told_again() -> None:
    seen = Progress()
    seen.fold("training.started", "a", {"trial": "t0", "design": "plain", "seed": 1, "until": 4096})
    seen.fold("run.resumed", "", {"pid": 1})
    assert seen.trainings == {}
    said = {"trial": "t0", "design": "plain", "seed": 1, "until": 4096, "steps": 2048}
    seen.fold("training.progress", "a", said)
    assert seen.stop == "train"
    assert [(one.label, one.steps, one.until) for one in seen.trainings.values()] == [
        ("t0 plain seed 1", 2048, 4096)
    ]
