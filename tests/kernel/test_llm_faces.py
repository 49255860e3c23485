"""What a person is told of a model's part in a run: who answered, why a run ended, and who was asked in vain."""

from __future__ import annotations

import json

import pytest
from llm_runs import WISH, lab

from experimenter.api import Experimenter
from experimenter.cli import main
from experimenter.errors import ConfigError
from experimenter.loop.results import result
from experimenter.planners.llm.scripted import ScriptedClient
from experimenter.testing.models import FakeModels, Said
from experimenter.workspace.store import Workspace


@pytest.fixture
def declining(monkeypatch):
    with FakeModels([Said(refusal="I would rather not.")]) as server:
        for name, value in server.environ().items():
            monkeypatch.setenv(name, value)
        yield server


def test_a_kind_that_is_misspelt_in_a_script_is_told_before_a_run(tmp_path):
    path = tmp_path / "script.toml"
    path.write_text("[[answers]]\nkind = 'choose_levr'\nreply = 'x'\n")
    with pytest.raises(ConfigError, match="choose_levr") as caught:
        ScriptedClient.from_file(path)
    assert "choose_lever" in caught.value.hint


def test_exchanges_say_whose_answer_was_used(declining, fast, workspace, capsys):
    lab(fast, "ollama:shy", budget_steps=8_000).run(WISH, name="shy")
    assert main(["exchanges", "shy", "--workspace", str(workspace), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["by"] for row in rows if row["kind"] == "reflect"} == {"search, after ollama:shy"}
    with Workspace.open(workspace, create=False) as store:
        words = [event.data["words"] for event in store.events("shy") if event.kind == "model.answered"]
    assert words and all("was asked" in one for one in words if "shy" in one)


@pytest.mark.slow
def test_a_search_run_asks_nobody_for_a_test_of_success_and_is_replayed(fast, workspace, capsys):
    settings = {**fast, "budget_steps": 8_000}
    first = Experimenter("corridor_env:Corridor-v0", **settings).run(WISH, name="first")
    assert main(["exchanges", "first", "--workspace", str(workspace), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows and "write_success_test" not in {row["kind"] for row in rows}
    assert {row["by"] for row in rows} == {"search"}
    second = Experimenter("corridor_env:Corridor-v0", planner="replay:first", **settings).run(
        WISH, name="second"
    )
    assert second.best.scores == first.best.scores


def test_a_runner_that_could_not_write_why_it_left_is_told_from_its_log(fast, workspace):
    agent = Experimenter("corridor_env:Corridor-v0", **{**fast, "budget_steps": 8_000})
    run = agent.prepare(WISH, name="full")
    with Workspace.open(workspace, create=False) as store:
        store.set_status(run, "running")
        folder = store.run_folder(run)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "runner.log").write_text("warming up\nerror: No space is left to write events.jsonl.\n")
    found = result(workspace, run)
    assert (found.status, found.exit_code) == ("failed", 5)
    assert "No space is left" in found.error and "experimenter resume full" in found.hint
    (folder / "runner.log").write_text("")
    assert result(workspace, run).exit_code == 130
