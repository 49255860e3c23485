"""Whole runs with real worker processes: what a person gets, and what no interruption may change."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from twins import fingerprint, repeated_trainings, told_twice

from experimenter.api import Experimenter
from experimenter.errors import BudgetError, EnvironmentFault, ExperimenterError, NotFound, RunLocked
from experimenter.loop import launch
from experimenter.loop.arms import run_arm
from experimenter.loop.assemble import open_context
from experimenter.loop.preparation import prepare
from experimenter.loop.results import result
from experimenter.records import Design, Phase, PolicyRef, Training, WeightedEnv
from experimenter.workspace.locks import RunLock
from experimenter.workspace.store import Workspace

SMALL = {
    "budget_steps": 12_000,
    "confirm_seeds": 2,
    "designs": 4,
    "eval_episodes": 4,
    "card_steps": 200,
    "workers": 2,
}


def experimenter(*words, cwd=None, timeout=240):
    return subprocess.run(
        [sys.executable, "-m", "experimenter", *words],
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=cwd,
    )


@pytest.fixture
def small(workspace):
    return SMALL | {"workspace": str(workspace), "memory": "off", "chunk_steps": 1024}


def test_one_command_ends_in_one_object_with_a_verdict(workspace):
    done = experimenter(
        "run", "keep the pole up", "--env", "CartPole-v1", "--budget-steps", "20000", "--workspace", str(workspace),
        "--memory", "off", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["status"] == "finished"
    assert found["planner"] == "search"
    assert found["verdict"]["native"].keys() >= {"label", "difference", "low", "high", "p"}
    assert found["best"]["true_score"].keys() >= {"iqm", "low", "high", "seeds"}
    assert found["best"]["true_score"]["seeds"] == 5
    assert found["controls"]["native"]["true_score"]["seeds"] == 5
    ledger = found["ledger"]
    assert 0 < ledger["env_steps"] <= 20_000
    assert 0 < ledger["control_env_steps"] <= ledger["env_steps"]
    assert Path(found["report"]).read_text().startswith("<!doctype html>")
    assert "search planner" in done.stderr
    again = experimenter(
        "judge", found["best"]["trial"], "--env", "CartPole-v1", "--episodes", "3", "--seed", "7", "--workspace",
        str(workspace), "--json",
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    assert len(json.loads(again.stdout)["scores"]) == 3


@pytest.mark.parametrize("env", ["stranger_envs:SwitchCorridor-v0", "stranger_envs:PushTarget-v0"])
def test_a_strangers_environment_goes_through_the_whole_loop(small, env):
    agent = Experimenter(env, controls="native", **small | {"budget_steps": 20_000})
    found = agent.run("do what it is for")
    assert found.status == "finished"
    assert found.best is not None
    assert found.trials >= 2
    assert set(found.verdict) == {"native"}
    assert found.verdict["native"].label == "indistinguishable"
    assert found.verdict["native"].why == "too few seeds"


def test_the_random_control_is_the_same_loop_with_random_answers(small, workspace):
    found = Experimenter("CartPole-v1", controls="random", **small).run("keep it up", name="main_run")
    assert set(found.controls) == {"random"}
    with Workspace.open(workspace, create=False) as store:
        twin = next(
            run.id for run in store.runs() if store.document(run.id, "control_of") == {"run": "main_run"}
        )
        assert store.run(twin).planner == "random"
        assert len(store.trials(twin)) <= len(store.trials("main_run"))
        assert store.ledger("main_run").control_env_steps == store.ledger(twin).env_steps


def test_every_counted_step_was_a_step_of_some_training_or_check(small, workspace):
    Experimenter("CartPole-v1", controls="native", **small).run("keep it up", name="counted")
    with Workspace.open(workspace, create=False) as store:
        ledger, arms = (
            store.ledger("counted"),
            [store.document("counted", f"arm:{n}") for n in ("winner", "native")],
        )
        searched = sum(
            c.training.env_steps for t in store.trials("counted") for c in t.candidates if c.training
        )
        confirmed = sum(Training.model_validate(store.step(s)).env_steps for s in arms[0]["trainings"])
        control = sum(Training.model_validate(store.step(s)).env_steps for s in arms[1]["trainings"])
    assert ledger.control_env_steps == control
    assert ledger.env_steps >= searched + confirmed
    assert ledger.env_steps - searched - confirmed < 0.5 * ledger.env_steps


def test_streams_events_in_order(small):
    events = list(Experimenter("CartPole-v1", controls="none", **small).stream("keep it up"))
    kinds = [event.kind for event in events]
    stops = ["recall", "propose", "design", "check", "diagnose", "reflect", "remember", "decide"]
    places = [kinds.index(f"{stop}.finished") for stop in stops]
    assert places == sorted(places)
    assert kinds[-1] == "run.finished"
    climbing = events[: kinds.index("judge.finished")]
    first_trial = [event for event in climbing if event.kind in ("training.started", "rung.finished")]
    assert [event.kind for event in first_trial] == ["training.started", "rung.finished"] * 2
    assert [event.data["until"] for event in first_trial] == [1024, 1024, 2640, 2640]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A run that nobody interrupted, as the measure for those that somebody did."""
    root = tmp_path_factory.mktemp("undisturbed") / "experiments"
    settings = SMALL | {"workspace": str(root), "memory": "off", "chunk_steps": 1024, "controls": "native"}
    Experimenter("MountainCar-v0", **settings).run("reach the flag", name="same")
    return fingerprint(root, "same")


def kill_runner(root, run):
    pid = RunLock(root / "runs" / run).holder()
    if pid:
        os.kill(pid, signal.SIGKILL)
        while RunLock(root / "runs" / run).holder() is not None:
            time.sleep(0.02)


def run_with_kills(root, moments):
    settings = SMALL | {"workspace": str(root), "memory": "off", "chunk_steps": 1024, "controls": "native"}
    agent = Experimenter("MountainCar-v0", **settings)
    prepared = prepare(
        "reach the flag", agent.env, {}, agent.settings, run_id="same", seed=agent.seed, command=("python",)
    )
    for moment in moments:
        launch.start(agent.workspace, prepared.record.id)
        time.sleep(moment)
        kill_runner(agent.workspace, "same")
    launch.start(agent.workspace, "same")
    for _ in launch.follow(agent.workspace, "same"):
        pass
    return result(agent.workspace, "same")


def assert_same(root, undisturbed, result):
    assert result.status == "finished"
    found = fingerprint(root, "same")
    assert {name for name in undisturbed if found.get(name) != undisturbed[name]} == set()
    assert repeated_trainings(root, "same") == []
    assert told_twice(root, "same") == []


def test_killed_at_random_moments_it_ends_the_same(workspace, undisturbed):
    dice = random.Random(1)
    result = run_with_kills(workspace, [dice.uniform(0.5, 5.0) for _ in range(5)])
    assert_same(workspace, undisturbed, result)


@pytest.mark.slow
def test_killed_at_twenty_random_moments_it_ends_the_same(workspace, undisturbed):
    dice = random.Random(2)
    result = run_with_kills(workspace, [dice.uniform(0.1, 3.0) for _ in range(20)])
    assert_same(workspace, undisturbed, result)


def test_killed_at_the_end_of_a_rung_it_goes_on_from_there(workspace, undisturbed):
    settings = SMALL | {
        "workspace": str(workspace),
        "memory": "off",
        "chunk_steps": 1024,
        "controls": "native",
    }
    agent = Experimenter("MountainCar-v0", **settings)
    next(event for event in agent.stream("reach the flag", name="same") if event.kind == "rung.finished")
    kill_runner(workspace, "same")
    assert_same(workspace, undisturbed, agent.resume("same"))


def test_lost_checkpoints_of_the_graph_lose_no_training(workspace, undisturbed):
    settings = SMALL | {
        "workspace": str(workspace),
        "memory": "off",
        "chunk_steps": 1024,
        "controls": "native",
    }
    agent = Experimenter("MountainCar-v0", **settings)
    for event in agent.stream("reach the flag", name="same"):
        if event.kind == "reflect.finished":
            agent.stop("same")
    assert agent.result("same").status == "stopped"
    for file in (workspace / "runs" / "same").glob("graph.sqlite*"):
        file.unlink()
    assert_same(workspace, undisturbed, agent.resume("same"))


def test_a_larger_budget_goes_on_where_the_smaller_ended(small, workspace):
    agent = Experimenter("MountainCar-v0", controls="native", **small)
    first = agent.run("reach the flag", name="grows")
    with Workspace.open(workspace, create=False) as store:
        with pytest.raises(BudgetError):
            store.raise_budget("grows", store.run("grows").goal.budget.model_copy(update={"env_steps": 1000}))
        store.raise_budget("grows", store.run("grows").goal.budget.model_copy(update={"env_steps": 30_000}))
    second = agent.resume("grows")
    assert second.ledger.env_steps > first.ledger.env_steps
    assert second.ledger.env_steps <= 30_000
    assert second.trials > first.trials
    assert repeated_trainings(workspace, "grows") == []


def test_two_runs_of_one_wish_have_their_own_random_controls(small, workspace):
    wish = "keep the pole of this very cart up for as long as it can be done"
    agents = [Experimenter("CartPole-v1", controls="random", seed=seed, **small) for seed in (0, 1)]
    runs = [agent.run(wish).run for agent in agents]
    with Workspace.open(workspace, create=False) as store:
        owners = [store.document(run.id, "control_of") for run in store.runs()]
    assert sorted(owner["run"] for owner in owners if owner) == sorted(runs)


def test_a_training_that_fails_counts_as_random_actions_do(small, workspace):
    agent = Experimenter("CartPole-v1", controls="none", **small)
    prepared = prepare("try", agent.env, {}, agent.settings, run_id="fails")
    with Workspace.open(workspace, create=False) as store:
        ctx = open_context(store, "fails", lambda: False)
        design = control_design(ctx)
        broken = design.model_copy(
            update={"start": PolicyRef(path="runs/none", hash="0" * 32, lineage_steps=0)}
        )
        arm = run_arm(ctx, "broken", broken, (1, 2), cycle=0, role="control")
        ctx.executor.close()
    assert arm.failed == 2
    assert arm.scores == (prepared.card.random.return_mean,) * 2


def control_design(ctx):
    phase = Phase(environments=(WeightedEnv(environment=ctx.card.spec),), steps=1024)
    return Design(name="plain", phases=(phase,))


def test_a_limit_in_seconds_is_hard(small):
    began = time.monotonic()
    found = Experimenter("CartPole-v1", budget_seconds=6.0, **small | {"budget_steps": 3_000_000}).run(
        "keep it up"
    )
    assert time.monotonic() - began < 20.0
    assert found.status == "finished"
    assert found.ledger.seconds < 9.0


def test_a_second_runner_of_one_run_is_refused(small, workspace):
    agent = Experimenter("CartPole-v1", **small | {"budget_steps": 200_000})
    events = agent.stream("keep it up", name="one")
    next(event for event in events if event.kind == "design.finished")
    with pytest.raises(RunLocked, match="process"):
        launch.start(workspace, "one")
    agent.stop("one")
    assert [event.kind for event in events][-1] == "run.stopped"


def test_a_runner_that_cannot_begin_is_an_error_and_not_a_run_that_ended_well(
    small, workspace, tmp_path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "langgraph.py").write_text("raise ImportError('a broken installation')")
    agent = Experimenter("CartPole-v1", **small)
    run = agent.prepare("keep it up", name="none")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ExperimenterError, match=r"before the run began: .*a broken") as caught:
        launch.start(workspace, run)
    assert "runner.log" in caught.value.hint


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ("faulty_envs:FaultyReset-v0", "reset"),
        ("faulty_envs:FaultyStep-v0", "step"),
        ("faulty_envs:FaultyNanObservation-v0", "NaN"),
        ("faulty_envs:FaultyWrongShape-v0", "shape"),
        ("faulty_envs:FaultyNanReward-v0", "reward"),
        ("faulty_envs:FaultyConstruct-v0", "licence"),
    ],
)
def test_a_faulty_environment_is_named_before_the_first_step(small, env, words):
    with pytest.raises(EnvironmentFault, match=f"(?i){words}"):
        Experimenter(env, **small).run("try")


def test_a_fault_that_shows_late_ends_the_run_with_what_to_do(small, workspace):
    agent = Experimenter(
        "faulty_envs:FaultyStep-v0", kwargs={"at": 45}, **small | {"card_steps": 40, "vector": "sync"}
    )
    with pytest.raises(ExperimenterError, match="fell apart"):
        agent.run("try", name="late")
    found = agent.result("late")
    assert (found.status, found.exit_code) == ("failed", 3)


def test_a_hanging_environment_is_given_up(small):
    with pytest.raises(EnvironmentFault, match="sign of life"):
        Experimenter("faulty_envs:FaultyHang-v0", silence_seconds=3.0, **small).run("try")


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"budget_steps": 0}, BudgetError),
        ({"budget_steps": 100}, BudgetError),
        ({"planner": "serch"}, NotFound),
        ({"curriculum": "atuo"}, NotFound),
    ],
)
def test_wrong_settings_are_refused_before_anything_is_written(small, workspace, settings, error):
    with pytest.raises(error):
        Experimenter("CartPole-v1", **small | settings).run("try")
    assert not (workspace / "runs").exists()


def test_a_paused_run_waits_and_goes_on(small, workspace):
    agent = Experimenter("CartPole-v1", controls="none", **small | {"budget_steps": 60_000})
    events = agent.stream("keep it up", name="calm")
    next(event for event in events if event.kind == "training.started")
    with Workspace.open(workspace, create=False) as store:
        store.send("calm", "pause")
        store.send("calm", "dance")
        next(event for event in events if event.kind == "run.paused")
        assert store.run("calm").status == "paused"
        store.send("calm", "resume")
    kinds = [event.kind for event in events]
    assert kinds.count("run.resumed") == 1
    assert kinds[-1] == "run.finished"


def test_a_killed_runner_is_told_from_a_running_one(small, workspace):
    agent = Experimenter("CartPole-v1", controls="none", **small | {"budget_steps": 200_000})
    next(event for event in agent.stream("keep it up", name="gone") if event.kind == "training.started")
    kill_runner(agent.workspace, "gone")
    found = agent.result("gone")
    assert (found.status, found.exit_code) == ("stopped", 130)
    assert "resume gone" in found.hint
