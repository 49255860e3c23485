"""The search ends what is not worth its steps; survivors go on from where they stopped; no arm is cut short."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from experimenter.api import Experimenter
from experimenter.cli.trial import _fate as shown
from experimenter.config import Settings
from experimenter.errors import ConfigError
from experimenter.loop.arms import run_arm
from experimenter.loop.assemble import open_context
from experimenter.loop.context import Outcome, RunContext, read_many
from experimenter.loop.nodes.train import _order, _train
from experimenter.loop.orders import train_job
from experimenter.loop.plan import Rung, rungs
from experimenter.loop.preparation import prepare
from experimenter.records import (
    Candidate,
    CurvePoint,
    Design,
    Evaluation,
    Hyperparameters,
    Phase,
    Stop,
    Task,
    Training,
    Trial,
    TrueReturn,
    WeightedEnv,
)
from experimenter.report.discards import discard_groups
from experimenter.report.search import _fate as reported
from experimenter.rl.training import TrainJob, train
from experimenter.workspace.store import Workspace
from tests.kernel.rl_samples import SMALL, lasting, quiet

SETTINGS: dict[str, Any] = {
    "budget_steps": 12_000,
    "confirm_seeds": 2,
    "eval_episodes": 2,
    "card_steps": 200,
    "workers": 1,
    "chunk_steps": 256,
    "memory": "off",
    "controls": "none",
}
TIMID = SMALL.model_copy(update={"learning_rate": 1e-6})
BOLD = SMALL.model_copy(update={"learning_rate": 3e-3})
Opened = Callable[[str], RunContext]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    """A run in a workspace of its own, with the rules that are named."""
    with ExitStack() as stack:

        def make(stopping: str) -> RunContext:
            root = tmp_path / stopping
            agent = Experimenter("CartPole-v1", workspace=str(root), early_stopping=stopping, **SETTINGS)
            prepare("keep it up", agent.env, {}, agent.settings, run_id="one")
            ctx = open_context(stack.enter_context(Workspace.open(root, create=False)), "one", lambda: False)
            stack.callback(ctx.executor.close)
            return ctx

        yield make


def design(ctx: RunContext, name: str, hyper: Hyperparameters) -> Design:
    environments = (WeightedEnv(environment=ctx.card.spec),)
    phase = Phase(environments=environments, hyperparameters=hyper, steps=ctx.plan.design_steps)
    return Design(name=name, phases=(phase,))


def searched(ctx: RunContext, cycle: int = 0, timid: int = 1, bold: bool = False) -> tuple[Candidate, ...]:
    """So many designs that learn next to nothing, perhaps a bold one, after the train stop of a cycle."""
    shy = [TIMID.model_copy(update={"gamma": 0.9 + i / 100}) for i in range(timid)]
    designs = [design(ctx, f"timid_{i}", hyper) for i, hyper in enumerate(shy)]
    designs += [design(ctx, "bold", BOLD)] if bold else []
    found = [Candidate(design=item).model_dump(mode="json") for item in designs]
    ctx.commit(ctx.step_id("check", cycle), "check", Outcome(value=found))
    return read_many(Candidate, _train(ctx, cycle).value)


def crown(ctx: RunContext, score: float) -> None:
    """A first trial whose champion reached ``score``."""
    best = TrueReturn(score)
    said = Evaluation(policy="", judge="", seeds=(1,), scores=(best,), mean=best, lengths=(1,))
    curve = (CurvePoint(steps=256, true_return=best), CurvePoint(steps=512, true_return=TrueReturn(9.0)))
    trained = Training(step="s", design="d", seed=1, status="finished", steps=512, env_steps=512, curve=curve)
    task = Task(name="hold", sentence="keep it up", environment=ctx.card.spec)
    winner = Candidate(design=design(ctx, "before", BOLD), training=trained, evaluation=said)
    trial = Trial(id="t0", cycle=0, task=task, lever="native", candidates=(winner,), best=0, accepted=True)
    ctx.commit(ctx.step_id("remember", 0), "remember", Outcome(value={}, trial=trial))


def logged(ctx: RunContext, candidate: Candidate, index: int, cycle: int = 0) -> list[int]:
    """Environment steps after each update of a candidate's training, as its own log has them."""
    path = ctx.folder / f"trials/t{cycle}/{index}-{candidate.design.name}/metrics.jsonl"
    return [int(json.loads(line)["env_steps"]) for line in path.read_text().splitlines()]


def test_survivors_of_a_rung_go_on_and_end_as_if_never_interrupted(opened: Opened, tmp_path: Path) -> None:
    ctx = opened("off")
    candidates = searched(ctx, timid=3, bold=True)
    ladder = rungs(4, ctx.plan.design_steps, ctx.plan.chunk_steps)
    assert len(ladder) == 3
    trainings = [item.training for item in candidates]
    assert sorted(item.rung for item in candidates) == [0, 0, 1, 2]
    for index, candidate in enumerate(candidates):
        steps = logged(ctx, candidate, index)
        assert steps == [128 * (i + 1) for i in range(len(steps))], "no step is trained twice"
        assert candidate.training is not None and steps[-1] == candidate.training.env_steps
    assert ctx.ledger().env_steps == sum(item.env_steps for item in trainings if item)
    assert ctx.ledger().eval_steps == sum(item.eval_steps for item in trainings if item)
    index = next(i for i, item in enumerate(candidates) if item.rung == 2)
    order = _order(
        ctx, 0, [item.model_copy(update={"training": None}) for item in candidates], index, ladder[-1], 2
    )
    job = TrainJob.model_validate(train_job(ctx, order.step(ctx), order).payload["job"])
    alone = train(job.model_copy(update={"folder": str(tmp_path / "alone" / job.relative)}), quiet)
    survivor = candidates[index].training
    assert survivor is not None and lasting(survivor) == lasting(alone), (
        "the policy's hash is among what is the same"
    )


def test_what_cannot_reach_the_champion_is_ended_and_says_so(opened: Opened) -> None:
    whole, ctx = opened("off"), opened("forecast")
    for run in (whole, ctx):
        crown(run, 5_000.0)
    searched(whole, 1, timid=0, bold=True)
    candidates = searched(ctx, 1, timid=0, bold=True)
    ended = [
        item for item in candidates if item.discarded.startswith("stopped early: its forecast, at most ")
    ]
    assert ended and all(item.discarded.endswith("the 5,000 of the champion of t0") for item in ended)
    assert all(shown(item) == f"discarded: {item.discarded}" for item in ended)
    trainings = [item.training for item in candidates if item.training is not None]
    assert ctx.ledger().env_steps == sum(item.env_steps for item in trainings)
    assert ctx.ledger().env_steps < whole.ledger().env_steps, "what is not trained stays with the search"
    told = [
        event.data.get("stopped")
        for event in ctx.workspace.events("one")
        if event.kind == "training.finished"
    ]
    assert [words for words in told if words] == [
        item.discarded.removeprefix("stopped early: ") for item in ended
    ]
    trial = ctx.trials()[0].model_copy(update={"candidates": candidates})
    assert "stopped early" in {group.reason for group in discard_groups([trial])}


def test_what_is_kept_though_it_was_ended_says_why_too(opened: Opened) -> None:
    ctx = opened("plateau")
    training = searched(ctx)[0].training
    assert training is not None
    stop = Stop(reason="plateau", sentence="its return has been level around 9")
    kept = Candidate(
        design=design(ctx, "timid", TIMID), training=training.model_copy(update={"stopped": stop}), repairs=2
    )
    assert shown(kept) == "repaired 2 times, stopped early: its return has been level around 9"
    assert reported(kept, best=True) == (
        "best of this trial, repaired 2 times, stopped early: its return has been level around 9"
    )
    assert shown(kept.model_copy(update={"training": training, "repairs": 0})) == "kept"


def test_arms_are_never_cut_short_by_these_rules(opened: Opened) -> None:
    ctx = opened("forecast")
    crown(ctx, 450.0)
    for name, role in (("winner", "confirm"), ("native", "control")):
        arm = run_arm(ctx, name, design(ctx, name, TIMID), (1,), cycle=1, role=role)
        assert arm.env_steps == ctx.plan.design_steps // 128 * 128


def test_nobody_is_a_rival_unless_a_forecast_is_wanted(opened: Opened) -> None:
    for stopping in ("off", "plateau"):
        ctx = opened(stopping)
        crown(ctx, 450.0)
        candidate = Candidate(design=design(ctx, "timid", TIMID))
        order = _order(ctx, 1, [candidate], 0, Rung(keep=1, until=512), 0)
        assert (order.rival, order.stopping) == (None, stopping)


def test_the_setting_is_one_of_three_words() -> None:
    assert Settings().early_stopping == "off"
    with pytest.raises(ConfigError, match="early-stopping"):
        Experimenter("CartPole-v1", early_stopping="always")
