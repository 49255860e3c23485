"""Whole runs planned by language models, with real clients, against a server on loopback: billed, replayed, resumed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from llm_runs import ENV, WISH, by_the_book, heading, lab
from twins import fingerprint

from experimenter.api import Experimenter
from experimenter.errors import BudgetError, ConfigError, ExperimenterError
from experimenter.identity import canonical_json
from experimenter.planners.llm.faults import ModelFault
from experimenter.testing.models import FakeModels, Fault, Said
from experimenter.workspace.locks import RunLock
from experimenter.workspace.store import Workspace

PROVIDERS = {
    "openai:gpt-x": "responses",
    "anthropic:claude-x": "messages",
    "openai-compat:local": "chat",
    "ollama:llama3.1": "chat",
}


@pytest.fixture
def served(monkeypatch):
    """Starts a fake server to which the environment points, for the runner to find."""
    servers = []

    def serve(*args, **kwargs):
        server = FakeModels(*args, **kwargs).__enter__()
        servers.append(server)
        for name, value in server.environ().items():
            monkeypatch.setenv(name, value)
        return server

    yield serve
    for server in servers:
        server.__exit__(None, None, None)


def exchanges(root: Path, run: str):
    with Workspace.open(root, create=False) as store:
        return store.exchanges(run)


def ledger(root: Path, run: str):
    with Workspace.open(root, create=False) as store:
        return store.ledger(run)


def told(root: Path, run: str) -> str:
    with Workspace.open(root, create=False) as store:
        return "\n".join(str(event.data.get("words", "")) for event in store.events(run))


# One run for each dialect; the other halves are slow ones.
WAYS = [
    ("openai:gpt-x", True),
    ("anthropic:claude-x", False),
    ("ollama:llama3.1", False),
    pytest.param("openai:gpt-x", False, marks=pytest.mark.slow),
    pytest.param("anthropic:claude-x", True, marks=pytest.mark.slow),
    pytest.param("openai-compat:local", True, marks=pytest.mark.slow),
    pytest.param("openai-compat:local", False, marks=pytest.mark.slow),
    pytest.param("ollama:llama3.1", True, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("name", "structured"), WAYS)
def test_a_whole_run_by_each_provider_is_billed_to_the_token(served, fast, workspace, name, structured):
    server = served(by_the_book, rungs=("native", "tool", "text") if structured else ("text",))
    found = lab(fast, name, budget_steps=8_000).run(WISH, name="run")
    assert found.status == "finished" and found.planner == "llm" and found.trials >= 2
    assert {asked.dialect for asked in server.asked} == {PROVIDERS[name]}
    rungs = {asked.rung for asked in server.asked}
    assert rungs == ({"native", "text"} if structured else {"text"}), "code is always asked for as text"
    billed_in, billed_out = sum(t.input for t in server.billed), sum(t.output for t in server.billed)
    usage = [one.usage for one in exchanges(workspace, "run")]
    assert sum(one["input_tokens"] for one in usage if one.get("calls")) == billed_in
    assert sum(one["output_tokens"] for one in usage if one.get("calls")) == billed_out
    spent = ledger(workspace, "run")
    assert spent.tokens == spent.unpriced_tokens == billed_in + billed_out
    with Workspace.open(workspace, create=False) as store:
        programs = [c.design.phases[-1].reward for t in store.trials("run") for c in t.candidates]
    assert any(program and program.origin == "llm" for program in programs)


def test_a_replay_takes_the_same_decisions_byte_for_byte_and_pays_nothing(
    served, fast, workspace, monkeypatch
):
    server = served(by_the_book)
    lab(fast, "openai-compat:local").run(WISH, name="first")
    asked = len(server.asked)
    monkeypatch.delenv("EXPERIMENTER_COMPAT_BASE_URL")
    lab(fast, None, planner="replay:first").run(WISH, name="second")
    assert len(server.asked) == asked
    before, after = exchanges(workspace, "first"), exchanges(workspace, "second")
    assert [(e.kind, e.question, e.answer) for e in before] == [(e.kind, e.question, e.answer) for e in after]
    assert [e.usage["replayed"] for e in after] == [e.usage for e in before]
    assert ledger(workspace, "second").tokens == 0
    with Workspace.open(workspace, create=False) as store:
        policies = [
            [
                c.training.policy.hash
                for t in store.trials(run)
                for c in t.candidates
                if c.training and c.training.policy
            ]
            for run in ("first", "second")
        ]
    assert policies[0] == policies[1] and policies[0]
    assert fingerprint(workspace, "first").keys() == fingerprint(workspace, "second").keys()


@pytest.mark.slow
def test_a_published_archive_is_replayed_elsewhere_and_ends_where_its_answers_end(
    served, fast, workspace, tmp_path, monkeypatch
):
    from experimenter.cli import main

    served(by_the_book)
    lab(fast, "anthropic:m").run(WISH, name="first")
    archive = tmp_path / "archive.json"
    assert main(["exchanges", "first", "--out", str(archive), "--workspace", str(workspace)]) == 0
    for key in ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(key)
    elsewhere = {**fast, "workspace": str(tmp_path / "elsewhere")}
    found = lab(elsewhere, None, planner=f"replay:{archive}").run(WISH, name="again")
    assert found.status == "finished"
    with pytest.raises(ExperimenterError, match="The archive of first has no answer to this question"):
        lab(elsewhere, None, planner=f"replay:{archive}").run("another wish", name="other")
    assert "unlike the run that is replayed: the goal's wish was" in told(tmp_path / "elsewhere", "other")
    archive.write_text("{}")
    with pytest.raises(ConfigError, match="is no archive of exchanges"):
        lab(elsewhere, None, planner=f"replay:{archive}").run(WISH)


def test_a_reply_that_came_before_a_kill_is_not_paid_for_twice(served, fast, workspace):
    hold, held = threading.Event(), threading.Event()

    def script(asked):
        if "Write program" in asked.turns[-1][1] and not hold.is_set():
            held.set()
            hold.wait(60)
        return by_the_book(asked)

    server = served(script)
    agent = lab(fast, "openai:gpt-x")
    run = agent.start(WISH, name="run")
    assert held.wait(60), "the run never asked for a program"
    with Workspace.open(workspace, create=False) as store:
        folder = store.run_folder(run)
        kept = len(store.calls(run))
        paid = store.ledger(run).tokens
    assert kept >= 2 and paid > 0
    pid = RunLock(folder).holder()
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while RunLock(folder).holder() is not None and time.monotonic() < deadline:
        time.sleep(0.02)
    hold.set()
    before = [(heading(asked), asked.turns[-1][1]) for asked in server.asked]
    found = agent.resume(run)
    assert found.status == "finished"
    after = [(heading(asked), asked.turns[-1][1]) for asked in server.asked[len(before) :]]
    assert after[0] == before[-1], "the question that was open is put again, and no other"
    assert not set(before[:-1]) & set(after)
    with Workspace.open(workspace, create=False) as store:
        calls = store.calls(run)
        assert len({call["id"] for call in calls}) == len(calls)
        used = [call["reply"]["usage"] for call in calls]
        assert store.ledger(run).tokens == sum(u["input_tokens"] + u["output_tokens"] for u in used)


def test_a_bad_key_stops_the_run_with_what_to_do_and_resume_goes_on(served, fast, workspace, monkeypatch):
    served(by_the_book)
    right = os.environ["ANTHROPIC_API_KEY"]
    monkeypatch.setenv("ANTHROPIC_API_KEY", "canary-key-that-is-wrong-7f3a")
    agent = lab(fast, "anthropic:m")
    with pytest.raises(ExperimenterError) as caught:
        agent.run(WISH, name="run")
    assert "canary" not in str(caught.value) and "key" in str(caught.value)
    monkeypatch.setenv("ANTHROPIC_API_KEY", right)
    assert agent.resume("run").status == "finished"
    assert all(b"canary-key" not in path.read_bytes() for path in workspace.rglob("*") if path.is_file())


def test_nothing_is_created_where_no_model_can_be_asked(fast, workspace, monkeypatch):
    for key in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(key, raising=False)
    with pytest.raises(ConfigError, match="No language model is named"):
        lab(fast, None).run(WISH)
    with pytest.raises(ModelFault, match="OPENAI_API_KEY is not set"):
        lab(fast, "openai:gpt-x").run(WISH)
    with pytest.raises(ConfigError, match="There is no provider 'opnai'"):
        lab(fast, "opnai:gpt-x").run(WISH)
    with pytest.raises(ConfigError, match="There is no question 'choose_leaver'"):
        lab(fast, "scripted:x", routes={"choose_leaver": "search"}).run(WISH)
    with pytest.raises(ConfigError, match="takes nothing after a colon"):
        lab(fast, None, planner="search:deep").run(WISH)
    assert not (workspace / "workspace.sqlite").exists()


def test_a_limit_in_dollars_needs_a_price_and_one_in_tokens_is_never_passed(served, fast, workspace):
    server = served(by_the_book)
    with pytest.raises(BudgetError, match="price of this model is unknown"):
        lab(fast, "openai-compat:local", budget_dollars=1.0).run(WISH)
    agent = lab(fast, "openai-compat:local", budget_tokens=6_000, model_tokens=1_000)
    found = agent.run(WISH, name="limited")
    assert found.status == "finished" and found.best is not None, "a confirmation needs no model"
    spent = ledger(workspace, "limited").tokens
    assert 0 < spent == sum(t.input + t.output for t in server.billed) <= 6_000
    assert "6,000 tokens" in told(workspace, "limited")


@pytest.mark.slow
def test_keys_choose_the_model_and_never_the_planner(served, fast, workspace):
    server = served(by_the_book)
    found = Experimenter(ENV, **{**fast, "budget_steps": 8_000, "success_test": "off"}).run(WISH)
    assert found.planner == "search" and not server.asked
    lab(fast, None, budget_steps=8_000).run(WISH)
    assert {asked.dialect for asked in server.asked} == {"messages"}, "Anthropic's key is looked at first"


@pytest.mark.slow
def test_routes_send_single_questions_elsewhere(served, fast, workspace):
    server = served(by_the_book)
    agent = lab(fast, "openai-compat:m", planner="search", routes={"reflect": "llm"}, budget_steps=8_000)
    found = agent.run(WISH, name="mixed")
    assert found.planner == "search"
    assert {heading(asked) for asked in server.asked} == {"Reflect on a trial"}
    by = {one.kind: one.usage.get("planner") for one in exchanges(workspace, "mixed")}
    assert by["reflect"] == "llm"


@pytest.mark.slow
def test_notes_reach_every_prompt_as_they_were_when_the_run_began(served, fast, workspace, tmp_path):
    server = served(by_the_book)
    paper = tmp_path / "paper.txt"
    paper.write_text("Potential-based shaping keeps the best policies.")
    agent = lab(fast, "openai-compat:m", notes=("rule: never pay for standing still", str(paper)))
    run = agent.prepare(WISH, name="noted")
    paper.write_text("Something else entirely.")
    agent.resume(run)
    assert server.asked
    for asked in server.asked:
        assert "never pay for standing still" in asked.turns[0][1]
        assert "Potential-based shaping" in asked.turns[0][1] and "paper.txt" in asked.turns[0][1]
        assert "Something else" not in asked.turns[0][1] and str(tmp_path) not in asked.turns[0][1]
    with pytest.raises(ConfigError, match=r"missing\.txt cannot be read"):
        lab(fast, "openai-compat:m", notes=("missing.txt",)).run(WISH)


@pytest.mark.parametrize(
    "turn",
    [
        pytest.param(Fault("server_error"), marks=pytest.mark.slow),
        Fault("html"),
        pytest.param(Said(refusal="I will not."), marks=pytest.mark.slow),
    ],
)
def test_a_model_that_fails_throughout_leaves_a_run_that_search_planned_and_that_says_so(
    served, fast, workspace, turn
):
    served([turn])
    found = lab(fast, "openai-compat:m", model_seconds=2.0, budget_steps=8_000).run(WISH, name="run")
    assert found.status == "finished" and found.best is not None
    assert {one.usage["planner"] for one in exchanges(workspace, "run")} == {"search"}
    assert "so search answered it" in told(workspace, "run")


def test_a_canary_key_is_nowhere_in_what_a_run_leaves_also_where_the_server_quotes_it(
    served, fast, workspace, tmp_path
):
    """Server errors that quote the key in words and headers, a docstring's worth of events, logs, report, archive."""
    canary = "canary-key-5e1f0c2a9b"
    turns = iter([Fault("echo"), Fault("echo"), Fault("echo"), Fault("server_error")])
    server = served(lambda asked: next(turns, None) or by_the_book(asked), keys=(canary,))
    found = lab(fast, "openai:gpt-x").run(WISH, name="run")
    assert found.status == "finished" and any(asked.key == canary for asked in server.asked)
    done = subprocess.run(
        [sys.executable, "-m", "experimenter", "exchanges", "run", "--workspace", str(workspace), "--json"],
        capture_output=True,
        check=True,
    )
    said = {"stdout": done.stdout, "stderr": done.stderr, "result": found.model_dump_json().encode()}
    written = {str(path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert len(written) > 10 and any(name.endswith("report.html") for name in written)
    assert [name for name, data in (said | written).items() if canary.encode() in data] == []


def test_worker_processes_never_see_a_key(monkeypatch):
    from experimenter.execution.local import KEYS, runner_environment, worker_environment

    for key in KEYS:
        monkeypatch.setenv(key, "canary")
    assert not KEYS & worker_environment().keys()
    assert runner_environment().keys() >= KEYS


@pytest.mark.slow
def test_the_scripted_run_on_doorkey_repairs_its_slips_and_is_replayed_byte_for_byte(fast, workspace):
    """The shipped script: a feature that there is not, a division by zero, their repairs, and lessons."""
    script = Path(__file__).parents[2] / "docs" / "examples" / "doorkey.toml"
    settings = {**fast, "designs": 8, "chunk_steps": 16_384, "workers": 2, "success_test": "off"}
    given = settings | {"budget_steps": 400_000, "card_steps": 2_000}

    def run(name, **planner):
        agent = Experimenter("MiniGrid-DoorKey-8x8-v0", **given, **planner)
        return agent.run("fetch the key, open the door, reach the goal", name=name)

    first = run("first", planner="llm", model=f"scripted:{script}")
    second = run("second", planner="replay:first")
    asked = [
        [(e.kind, e.question, e.answer) for e in exchanges(workspace, name)] for name in ("first", "second")
    ]
    assert canonical_json(asked[0]) == canonical_json(asked[1]) and len(asked[0]) >= 5
    usage = [one.usage for one in exchanges(workspace, "first")]
    assert sum(one["repairs"] for one in usage if "repairs" in one) == 1
    assert {one["planner"] for one in usage} == {"llm"}, "nothing was left to the search"
    with Workspace.open(workspace, create=False) as store:
        repaired = [c for t in store.trials("first") for c in t.candidates if c.repairs]
        policies = [
            [c.training.policy.hash for t in store.trials(n) for c in t.candidates if c.training]
            for n in ("first", "second")
        ]
    assert [c.design.phases[-1].reward.name for c in repaired] == ["nearer"]
    assert policies[0] == policies[1]
    assert first.best.scores == second.best.scores
    assert first.best.success_rate > 0.9
