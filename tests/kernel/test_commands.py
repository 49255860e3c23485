"""What a person may ask of a running run, what the run makes of it, and what is said where nobody listens."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from run_samples import begin, whole_run

from experimenter.cli import main
from experimenter.errors import BudgetError, NotFound, UsageError
from experimenter.loop.asking import ask
from experimenter.loop.commands import Listener, budget_words, larger_budget
from experimenter.records import Budget
from experimenter.workspace.locks import RunLock
from experimenter.workspace.store import Workspace

RUN = "reach_the_flag"
OLD = Budget(env_steps=10_000, seconds=60.0)


def test_only_the_limits_that_were_named_grow() -> None:
    assert larger_budget(OLD, {"env_steps": 20_000}) == Budget(env_steps=20_000, seconds=60.0)
    assert larger_budget(OLD, {"env_steps": 10_001, "seconds": 61}) == Budget(env_steps=10_001, seconds=61.0)
    assert budget_words(OLD) == "10,000 learning steps, 60.0 active seconds"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, "names no limit"),
        ({"env_steps": 9_999}, "10,000 learning steps, and 9,999"),
        ({"env_steps": 10_000}, "only grow"),
        ({"env_steps": 20_000, "seconds": 1}, "only grow"),
        ({"env_steps": "20000"}, "no number"),
        ({"env_steps": 20_000.5}, "no number"),
        ({"env_steps": True}, "no number"),
        ({"env_steps": 10**5000}, "no number"),
        ({"seconds": float("nan")}, "no number"),
        ({"seconds": float("inf")}, "no number"),
        ({"seconds": None}, "no number"),
        ({"tokens": 5}, "no limit in tokens"),
        ({"steps": 20_000}, "no budget in 'steps'"),
    ],
)
def test_what_is_no_larger_budget_is_refused_with_the_reason(asked: dict[str, Any], words: str) -> None:
    with pytest.raises(BudgetError, match=words):
        larger_budget(OLD, asked)


@pytest.fixture
def store(workspace: Path) -> Iterator[Workspace]:
    with Workspace.open(workspace) as store:
        begin(store)
        yield store


def _said(store: Workspace, number: int) -> list[str]:
    return [str(e.data["words"]) for e in store.events(RUN) if e.data.get("command") == number]


@pytest.mark.parametrize(
    ("kind", "payload", "why"),
    [
        ("hint", {"words": "lower"}, "the search planner reads no hints"),
        ("vote", {}, "the curriculum auto asks for no votes"),
        ("approve", {}, "nothing in this run waits for anybody's approval"),
        ("dance", {}, "not known to this release"),
        ("budget", {"env_steps": 5}, "can only grow"),
        ("budget", {"env_steps": {"a": []}}, "no number of learning steps"),
        ("budget", {"<script>": 5}, "no budget in '<script>'"),
    ],
)
def test_what_cannot_be_done_is_refused_and_says_why(
    store: Workspace, kind: str, payload: dict[str, Any], why: str
) -> None:
    number = store.send(RUN, kind, payload)
    Listener(store, store.run(RUN)).answer()
    assert store.command(number).state == "refused"
    (words,) = _said(store, number)
    assert kind in words and why in words


def test_a_larger_budget_is_heard_once_and_waits(store: Workspace) -> None:
    listener = Listener(store, store.run(RUN))
    assert not listener.larger_budget_waits()
    number = store.send(RUN, "budget", {"env_steps": 2_000_000})
    listener.answer()
    listener.answer()
    (words,) = _said(store, number)
    assert "2,000,000 learning steps" in words
    assert listener.larger_budget_waits()
    assert store.command(number).state == "pending"
    assert store.run(RUN).goal.budget.env_steps == 1_000_000


def test_the_second_of_two_raises_must_be_larger_than_the_first(store: Workspace) -> None:
    for steps in (3_000_000, 2_000_000, 4_000_000):
        store.send(RUN, "budget", {"env_steps": steps})
    raised = []
    for command, budget in Listener(store, store.run(RUN)).larger_budgets():
        store.raise_budget(RUN, budget)
        store.settle(command.id, "done")
        raised.append(budget.env_steps)
    assert raised == [3_000_000, 4_000_000]
    assert store.pending(RUN) == ()


def test_the_last_word_on_pausing_counts(store: Workspace) -> None:
    listener = Listener(store, store.run(RUN))
    store.send(RUN, "resume")
    store.send(RUN, "pause")
    assert listener.pause_wanted() and len(store.pending(RUN)) == 2
    store.send(RUN, "resume")
    assert not listener.pause_wanted() and store.pending(RUN) == ()


def test_a_run_is_asked_to_stop_by_command_or_by_signal(store: Workspace) -> None:
    assert not Listener(store, store.run(RUN)).stop_wanted()
    assert Listener(store, store.run(RUN), lambda: True).stop_wanted()
    store.send(RUN, "stop")
    assert Listener(store, store.run(RUN)).stop_wanted()


def test_there_is_no_command_of_an_unknown_number(store: Workspace) -> None:
    with pytest.raises(NotFound):
        store.command(99)


@contextmanager
def runner(root: Path, work: Callable[[Workspace, Listener], bool]) -> Iterator[None]:
    """A runner that holds the run's lock and does ``work`` over and over, until that says that it is over."""
    up = threading.Event()

    def run() -> None:
        with Workspace.open(root) as store, RunLock(root / "runs" / RUN):
            store.set_status(RUN, "running")
            listener = Listener(store, store.run(RUN))
            up.set()
            while not work(store, listener):
                threading.Event().wait(0.02)
            store.set_status(RUN, "stopped")

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert up.wait(20)
        yield
    finally:
        with Workspace.open(root) as store:
            store.send(RUN, "stop")
        thread.join(20)


def obedient(store: Workspace, listener: Listener) -> bool:
    listener.answer()
    if listener.pause_wanted():
        listener.wait_while_paused()
    return listener.stop_wanted()


def _json(words: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


@pytest.fixture
def place(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EXPERIMENTER_WORKSPACE", str(workspace))
    return whole_run(workspace)


def test_pause_unpause_budget_and_stop_say_what_became_of_them(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with runner(place, obedient):
        paused = _json(["pause", "latest"], capsys)
        assert (paused["run"], paused["asked"], paused["state"]) == (RUN, "pause", "done")
        assert main(["list"]) == 0 and "paused" in capsys.readouterr().out
        assert _json(["unpause", "reach"], capsys)["state"] == "done"
        heard = _json(["budget", RUN, "--steps", "2000000"], capsys)
        assert heard["state"] == "waiting" and "2,000,000 learning steps" in heard["words"]
        assert main(["stop", RUN]) == 0
        assert f"experimenter resume {RUN}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["stop", "latest"], f"experimenter resume {RUN}"),
        (["pause", "reach"], f"experimenter resume {RUN}"),
        (["unpause", RUN], f"experimenter resume {RUN}"),
        (["budget", RUN, "--steps", "2000000"], f"experimenter resume {RUN} --budget-steps 2000000"),
        (["budget", RUN, "--seconds", "90.5"], f"experimenter resume {RUN} --budget-seconds 90.5"),
    ],
)
def test_a_run_that_is_not_running_is_resumed_instead(
    place: Path, words: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--json"]) == 2
    failure = json.loads(capsys.readouterr().out)
    assert "is not running: it is finished" in failure["error"] and hint in failure["hint"]
    with Workspace.open(place) as store:
        assert store.pending(RUN) == ()


def test_a_run_whose_runner_was_killed_is_not_running(place: Path) -> None:
    with Workspace.open(place) as store:
        store.set_status(RUN, "paused")
    with pytest.raises(UsageError, match="it is interrupted"):
        ask(place, RUN, "pause")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["budget", RUN], "no larger limit was given"),
        (["budget", RUN, "--steps", "many"], "--steps"),
        (["stop"], "missing argument 'RUN'"),
        (["pause", "nobody"], "There is no run nobody"),
    ],
)
def test_wrong_usage_says_so(
    place: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert message.lower() in capsys.readouterr().err.lower()


def test_a_smaller_budget_is_refused_before_it_is_sent(place: Path) -> None:
    with runner(place, obedient):
        with pytest.raises(BudgetError, match="only grow"):
            ask(place, RUN, "budget", {"env_steps": 1000})
        with Workspace.open(place) as store:
            assert store.pending(RUN) == ()


def test_a_refusal_of_the_runner_reaches_the_person(place: Path) -> None:
    def refuses(store: Workspace, listener: Listener) -> bool:
        for command in store.pending(RUN):
            if command.kind == "budget":
                store.emit(RUN, "note", {"words": "not today", "command": command.id})
                store.settle(command.id, "refused")
        return listener.stop_wanted()

    with runner(place, refuses), pytest.raises(UsageError, match="not today"):
        ask(place, RUN, "budget", {"env_steps": 2_000_000}, patience=20)


def test_a_run_that_ends_before_it_hears_drops_the_command(place: Path) -> None:
    def leaves(store: Workspace, listener: Listener) -> bool:
        return bool(store.pending(RUN))

    with runner(place, leaves):
        with pytest.raises(UsageError, match="not running") as caught:
            ask(place, RUN, "budget", {"env_steps": 2_000_000}, patience=20)
        assert "--budget-steps 2000000" in caught.value.hint
        with Workspace.open(place) as store:
            assert store.command(1).state == "dropped"


def test_a_deaf_run_leaves_the_command_waiting(place: Path) -> None:
    def deaf(store: Workspace, listener: Listener) -> bool:
        return listener.stop_wanted()

    with runner(place, deaf):
        reply = ask(place, RUN, "pause", patience=0.2)
        assert reply.state == "waiting" and "safe end" in reply.words


def test_a_running_run_is_not_raised_behind_its_runners_back(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with runner(place, obedient):
        assert main(["resume", RUN, "--budget-steps", "3000000"]) == 5
        assert f"experimenter budget {RUN} --steps 3000000" in capsys.readouterr().err
        with Workspace.open(place) as store:
            assert store.run(RUN).goal.budget.env_steps == 1_000_000
