"""Runs, commands and exchanges of a workspace."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from workspace_samples import opened, run_record

from experimenter.errors import BudgetError, NotFound, WorkspaceError
from experimenter.identity import valid_name
from experimenter.records import Budget
from experimenter.workspace.store import new_run_name


def test_a_run_comes_back_as_it_was_stored(workspace: Path) -> None:
    with opened(workspace) as store:
        given_record = run_record("one", versions={"torch": "2"}, pid=12)
        store.create_run(given_record)
        found = store.run("one")
        assert found.created == found.updated != ""
        assert found.model_copy(update={"created": "", "updated": ""}) == given_record
        assert (workspace / "runs" / "one").is_dir()


def test_a_name_is_taken_once(workspace: Path) -> None:
    with opened(workspace, "one") as store, pytest.raises(WorkspaceError, match="named one already"):
        store.create_run(run_record("one"))


@pytest.mark.parametrize("name", ["latest", "One", "1", "", "a/b", "a" * 41, "a\n"])
def test_names_that_no_run_may_have(name: str) -> None:
    with pytest.raises(ValidationError):
        run_record(name)


def test_finding_by_prefix_and_latest(workspace: Path) -> None:
    with opened(workspace, "land_softly", "land_fast", "hop") as store:
        assert store.run("latest").id == "hop"
        assert store.run("land_s").id == "land_softly"
        assert [run.id for run in store.runs()] == ["land_softly", "land_fast", "hop"]
        with pytest.raises(NotFound, match="beginning of 2 runs") as caught:
            store.run("land")
        assert "land_fast, land_softly" in caught.value.hint
        with pytest.raises(NotFound, match="no run land_soffly") as caught:
            store.run("land_soffly")
        assert caught.value.hint.startswith("Did you mean land_softly")
        with pytest.raises(NotFound):
            store.run("")


def test_an_exact_name_wins_over_longer_ones(workspace: Path) -> None:
    with opened(workspace, "land", "land_2") as store:
        assert store.run("land").id == "land"


def test_a_control_arm_is_never_the_latest_run(workspace: Path) -> None:
    with opened(workspace, "land", "land_random") as store:
        store.put_document("land_random", "control_of", {"run": "land"})
        assert store.run("latest").id == "land"
        assert store.run("lan").id == "land"
        assert store.run("land_random").id == "land_random"


def test_no_runs_yet_says_how_to_start(workspace: Path) -> None:
    with opened(workspace) as store, pytest.raises(NotFound) as caught:
        store.run("latest")
    assert "experimenter run" in caught.value.hint


def test_status_keeps_the_pid_until_the_end(workspace: Path) -> None:
    with opened(workspace, "one") as store:
        store.set_status("one", "running", pid=77)
        store.set_status("one", "paused")
        assert (store.run("one").status, store.run("one").pid) == ("paused", 77)
        store.set_status("one", "failed", "it broke", "mend it")
        ended = store.run("one")
        assert (ended.status, ended.error, ended.hint, ended.pid) == ("failed", "it broke", "mend it", None)
        assert ended.updated > ended.created
        with pytest.raises(NotFound):
            store.set_status("other", "failed")


def test_a_budget_only_grows(workspace: Path) -> None:
    with opened(workspace, "one") as store:
        store.raise_budget("one", Budget(env_steps=20_000))
        for smaller in (Budget(env_steps=19_999), Budget(env_steps=20_000, seconds=5.0)):
            with pytest.raises(BudgetError, match="can only grow"):
                store.raise_budget("one", smaller)
        assert store.run("one").goal.budget == Budget(env_steps=20_000)
        store.raise_budget("one", Budget())
        assert store.run("one").goal.budget.env_steps is None
        assert store.run("one").settings == run_record().settings


def test_a_run_folder_stays_inside_the_workspace(workspace: Path) -> None:
    with opened(workspace) as store:
        for name in ("..", "a/../../b", "/etc"):
            with pytest.raises(NotFound):
                store.run_folder(name)


def test_commands_are_pending_until_settled(workspace: Path) -> None:
    with opened(workspace, "one", "two") as store:
        first = store.send("one", "pause")
        store.send("one", "hint", {"words": "lower the gain"})
        store.send("two", "stop")
        assert [command.kind for command in store.pending("one")] == ["pause", "hint"]
        store.settle(first, "done")
        (left,) = store.pending("one")
        assert left.payload == {"words": "lower the gain"}
        with pytest.raises(NotFound):
            store.send("three", "stop")
        with pytest.raises(NotFound):
            store.settle(99, "done")


def test_the_first_answer_to_a_question_stays(workspace: Path) -> None:
    with opened(workspace, "one") as store:
        assert store.exchange("q") is None
        assert store.put_exchange("one", "q", "reflect", {"seed": 1}, {"sentence": "first"}, {"tokens": 3})
        assert not store.put_exchange("one", "q", "reflect", {"seed": 1}, {"sentence": "second"}, {})
        assert store.exchange("q") == {"sentence": "first"}
        (kept,) = store.exchanges("one")
        assert (kept.question, kept.usage) == ({"seed": 1}, {"tokens": 3})


@given(st.text(), st.lists(st.text(alphabet="abcdefghij_", min_size=1), max_size=5))
def test_new_names_are_valid_and_new(words: str, taken: list[str]) -> None:
    first = new_run_name(words, taken)
    second = new_run_name(words, [*taken, first])
    assert valid_name(first) and valid_name(second)
    assert len({first, second, "latest"}) == 3
    assert not {first, second} & set(taken)
