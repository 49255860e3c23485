"""A larger budget for a run that goes on: taken between trials, as a stored step, and the same after a kill."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from twins import fingerprint, repeated_trainings

from experimenter.api import Experimenter
from experimenter.cli import main
from experimenter.events import Event
from experimenter.loop import launch
from experimenter.loop.preparation import prepare
from experimenter.results import RunResult
from experimenter.workspace.locks import RunLock
from experimenter.workspace.store import Workspace

SMALL, LARGE = 6_000, 14_000


def _agent(root: Path) -> Experimenter:
    return Experimenter(
        "MountainCar-v0",
        target=0.0,  # nobody reaches it, so that luck in the search ends nothing early
        workspace=root,
        budget_steps=SMALL,
        confirm_seeds=2,
        designs=2,
        eval_episodes=2,
        card_steps=200,
        workers=2,
        memory="off",
        chunk_steps=1024,
        controls="native",
    )


def _prepared(agent: Experimenter) -> str:
    return prepare("reach the flag", agent.env, {}, agent.settings, run_id="grows").record.id


def _raised_from_the_start(root: Path) -> tuple[Experimenter, str]:
    """A run whose larger budget was asked for before its first trial ended, so that no moment decides anything."""
    agent = _agent(root)
    run = _prepared(agent)
    with Workspace.open(root, create=False) as store:
        store.send(run, "budget", {"env_steps": LARGE})
    return agent, run


def _events(root: Path, run: str) -> tuple[Event, ...]:
    with Workspace.open(root, create=False) as store:
        return store.events(run)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunResult]:
    root = tmp_path_factory.mktemp("raised") / "experiments"
    agent, run = _raised_from_the_start(root)
    return root, agent.resume(run)


def test_it_counts_from_the_first_decision_on(undisturbed: tuple[Path, RunResult]) -> None:
    root, found = undisturbed
    kinds = [event.kind for event in _events(root, "grows")]
    raised = kinds.index("budget.raised")
    assert kinds.count("budget.raised") == 1
    assert kinds[:raised].count("decide.finished") == 1 and "confirm.started" not in kinds[:raised]
    assert found.status == "finished" and kinds[-1] == "run.finished"
    assert SMALL < found.ledger.env_steps <= LARGE
    assert repeated_trainings(root, "grows") == []
    with Workspace.open(root, create=False) as store:
        assert store.run("grows").goal.budget.env_steps == LARGE
        assert store.document("grows", "plan")["epoch"] == 1
        assert store.pending("grows") == ()


def test_half_of_it_is_kept_for_the_first_confirmation(undisturbed: tuple[Path, RunResult]) -> None:
    root, _ = undisturbed
    with Workspace.open(root, create=False) as store:
        plan = store.document("grows", "plan")
    assert plan["reserve"] == LARGE // 2
    events = _events(root, "grows")
    first = next(event for event in events if event.kind == "confirm.started")
    assert first.data["seeds"] * first.data["steps_each"] > SMALL // 2


def test_killed_before_and_after_the_raise_it_ends_the_same(
    workspace: Path, undisturbed: tuple[Path, RunResult]
) -> None:
    agent, run = _raised_from_the_start(workspace)
    for kind in ("training.finished", "budget.raised"):
        launch.start(workspace, run)
        _kill_at(workspace, run, kind)
    assert agent.resume(run).status == "finished"
    expected = fingerprint(undisturbed[0], run)
    found = fingerprint(workspace, run)
    assert {name for name in expected if found.get(name) != expected[name]} == set()
    assert repeated_trainings(workspace, run) == []


def _kill_at(root: Path, run: str, kind: str) -> None:
    for event in launch.follow(root, run):
        pid = RunLock(root / "runs" / run).holder()
        if event.kind == kind and pid:
            os.kill(pid, signal.SIGKILL)


def test_a_person_raises_it_while_it_confirms_and_it_searches_on(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    agent = _agent(workspace)
    events = agent.stream("reach the flag", name="grows")
    next(event for event in events if event.kind == "confirm.started")
    assert main(["budget", "latest", "--steps", str(LARGE), "--workspace", str(workspace)]) == 0
    assert f"{LARGE:,} learning steps" in capsys.readouterr().err
    kinds = [event.kind for event in events]
    assert kinds.index("confirm.finished") < kinds.index("budget.raised") < kinds.index("verdict.finished")
    assert "remember.finished" in kinds[kinds.index("budget.raised") :]
    found = agent.result("grows")
    assert found.status == "finished" and SMALL < found.ledger.env_steps <= LARGE
    assert set(found.verdict) == {"native"}
