"""``experimenter models`` as a person and as a script meet it: providers, prices, and the check of a model."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from exam_samples import right, truths

from experimenter.cli import main
from experimenter.config import Settings
from experimenter.loop.examination import prepare_exam
from experimenter.loop.qualification import load_qualification, warning_for
from experimenter.planners.llm.faults import ModelFault
from experimenter.planners.llm.listing import list_models, provider_of, providers
from experimenter.planners.llm.prices import price_table
from experimenter.testing.models import KEY, FakeModels, Fault

CANARY = "sk-canary-7421-7421"
VARIABLES = (
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_BASE_URL",
    "OLLAMA_HOST",
    "EXPERIMENTER_OPENAI_API",
    "EXPERIMENTER_COMPAT_BASE_URL",
    "EXPERIMENTER_COMPAT_API_KEY",
)
SCRIPT = """
[[answers]]
kind = "choose_hyperparameters"
reply = { choices = [{ learning_rate = 1.23e-4 }] }
repeat = true

[[answers]]
kind = "design_environments"
refusal = "I would rather not."
repeat = true

[[answers]]
kind = "write_rewards"
reply = { ideas = [{ name = "a", idea = "b" }] }
repeat = true

[[answers]]
kind = "read_curve"
reply = { seen = "It rises.", state = "improving", keep_training = true }
repeat = true

[[answers]]
kind = "rank_rollouts"
reply = { reason = "a", order = ["b", "a"] }
repeat = true
"""


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """No key, no settings, and a folder of one's own."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def served(monkeypatch):
    """Every provider is the server on loopback, which is given here."""

    def use(server):
        for name, value in server.environ().items():
            monkeypatch.setenv(name, value)
        return server

    return use


@pytest.fixture(scope="module")
def measured():
    """The examination with all curves and pairs, and little of what takes longer; its environments measured once."""
    exam = prepare_exam(Settings())
    return replace(exam, configurations=exam.configurations[:3], rewards=exam.rewards[:2])


@pytest.fixture
def briefly(monkeypatch, measured):
    monkeypatch.setattr("experimenter.loop.examination.prepare_exam", lambda *_: measured)


def test_providers_are_told_from_the_environment_alone(capsys, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", CANARY)
    assert main(["models", "list"]) == 0
    captured = capsys.readouterr()
    assert "OPENAI_API_KEY is not set" in captured.out and "ANTHROPIC_API_KEY is set" in captured.out
    assert "http://127.0.0.1:11434/v1" in captured.out
    assert "Nothing was sent" in captured.err
    assert CANARY not in captured.out + captured.err


def test_the_list_as_json_with_roles_and_aliases(capsys, tmp_path):
    text = (
        'model = "small,scripted:b"\n[models]\ncoder = "openai:gpt-5"\n[aliases]\nsmall = "ollama:llama3.1"\n'
    )
    (tmp_path / "experimenter.toml").write_text(text)
    assert main(["models", "list", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    ready = {one["name"]: one["ready"] for one in found["providers"]}
    assert ready == {
        "openai": False, "anthropic": False, "ollama": True, "openai-compat": False, "scripted": True
    }  # fmt: skip
    assert found["roles"]["planner"] == ["ollama:llama3.1", "scripted:b"]
    assert found["roles"]["coder"] == ["openai:gpt-5"] and found["aliases"] == {"small": "ollama:llama3.1"}


def test_without_any_model_the_list_says_how_to_name_one(capsys):
    assert main(["models", "list"]) == 0
    assert "--model provider:model" in " ".join(capsys.readouterr().out.split())


def test_a_provider_whose_library_is_missing_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    found = provider_of("anthropic", {"ANTHROPIC_API_KEY": CANARY})
    assert not found.ready and "pip install 'rl-experimenter[anthropic]'" in found.missing
    assert CANARY not in repr(providers({"ANTHROPIC_API_KEY": CANARY}))


@pytest.mark.parametrize("provider", ["openai", "anthropic", "ollama", "openai-compat"])
def test_a_service_lists_its_models(provider, capsys, served):
    with FakeModels(models=("gpt-z", "gpt-a")) as server:
        served(server)
        assert main(["models", "list", provider]) == 0
        assert main(["models", "list", provider, "--json"]) == 0
        assert server.attempts == 2 and not server.asked
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert lines[:2] == [f"{provider}:gpt-a", f"{provider}:gpt-z"]
    assert json.loads("\n".join(lines[2:]))["models"] == ["gpt-a", "gpt-z"]
    assert "2 models at http://127.0.0.1:" in captured.err


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_a_wrong_key_is_told_without_showing_it(provider, capsys, monkeypatch, served):
    with FakeModels() as server:
        served(server)
        monkeypatch.setenv(f"{provider.upper()}_API_KEY", CANARY)
        assert main(["models", "list", provider]) == 1
        with pytest.raises(ModelFault) as caught:
            list_models(provider)
    assert caught.value.kind == "bad_key"
    told = capsys.readouterr()
    assert "refuses the key" in told.err and CANARY not in told.err + told.out + repr(caught.value)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["list", "openai"], 1, "OPENAI_API_KEY is not set"),
        (["list", "opnai"], 2, "Did you mean openai?"),
        (["list", "scripted"], 2, "scripted:FILE"),
        (["price", "gpt-5"], 2, "names no model"),
        (["check", "openai:gpt-5", "--yes"], 1, "OPENAI_API_KEY is not set"),
        (["check", "scripted:nowhere.toml", "--yes"], 2, "is no script of answers"),
        (["check", "ollama:a,ollama:b"], 2, "one at a time"),
    ],
)
def test_what_cannot_be_done_says_why(words, code, said, capsys, tmp_path):
    assert main(["models", *words]) == code
    assert said in capsys.readouterr().err
    assert not (tmp_path / "experiments").exists()


def test_prices_and_what_is_unknown(capsys):
    table = price_table()
    assert (
        main(["models", "price", "openai:gpt-5", "--input", "1000000", "--output", "100000", "--json"]) == 0
    )
    found = json.loads(capsys.readouterr().out)
    one = found["models"][0]
    assert one["cost"] == pytest.approx(one["input"] + one["output"] / 10)
    assert found["table"]["version"] == table.version and "openai:gpt-5" in table.names
    assert main(["models", "price", "openai:gtp-5", "ollama:llama3.1", "scripted:a"]) == 0
    captured = capsys.readouterr()
    rows = {line.split()[0]: line.split()[1:] for line in captured.out.splitlines() if ":" in line}
    assert rows == {
        "openai:gtp-5": ["unknown", "unknown"],
        "ollama:llama3.1": ["unknown", "unknown"],
        "scripted:a": ["$0.00", "$0.00"],
    }
    assert "Did you mean openai:gpt-5" in captured.err and "Only its owner knows" in captured.err
    assert table.version in captured.err


def test_checking_a_script_marks_it_by_hand_and_keeps_the_result(capsys, tmp_path):
    (tmp_path / "answers.toml").write_text(SCRIPT)
    assert main(["models", "check", "scripted:answers.toml", "--json"]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    marks = {one["name"]: (one["right"], one["unanswered"]) for one in found["sections"]}
    mixtures = {one["name"]: one["asked"] for one in found["sections"]}["configurations"] - 7
    assert marks == {
        "configurations": (7, mixtures), "rewards": (0, 10), "curves": (6, 0), "rankings": (10, 0)
    }  # fmt: skip
    assert found["verdict"] == "weak" and len(found["weaknesses"]) == 3 and found["dollars"] == 0.0
    kept = load_qualification(tmp_path / "experiments", "scripted:answers.toml")
    assert kept is not None and kept.model_dump(mode="json").items() <= found.items()
    assert Path(found["file"]).parent == tmp_path / "experiments" / "models"
    assert "worse than none" in warning_for(tmp_path / "experiments", "scripted:answers.toml")
    for words in ("measuring the environments", "65 questions", "asking for learning curves read"):
        assert words in captured.err


def test_a_price_that_is_unknown_is_asked_about_first(capsys, served, tmp_path, briefly, monkeypatch):
    with FakeModels() as server:
        served(server)
        assert main(["models", "check", "ollama:small"]) == 2
        monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
        monkeypatch.setattr("typer.confirm", lambda *_, **__: False)
        assert main(["models", "check", "ollama:small"]) == 2
        assert server.attempts == 0
    told = capsys.readouterr().err
    assert "at an unknown price" in told and "--yes" in told and "not started" in told
    assert not (tmp_path / "experiments").exists()


def test_a_real_client_against_a_server_without_structured_answers(capsys, served, tmp_path, briefly):
    told = truths()

    def says(asked):
        if asked.rung != "text":
            return Fault("echo")
        return right([text for _, text in asked.turns], told)

    with FakeModels(says) as server:
        served(server)
        assert main(["models", "check", "openai-compat:local", "--yes"]) == 0
        billed = sum(tokens.input + tokens.output for tokens in server.billed)
    captured = capsys.readouterr()
    assert captured.out.startswith("openai-compat:local: fine")
    assert "price unknown" in captured.out and "served as local-2026" in captured.out
    kept = load_qualification(tmp_path / "experiments", "openai-compat:local")
    assert kept is not None and kept.dollars is None
    assert kept.input_tokens + kept.output_tokens == billed
    assert [one.right == one.asked for one in kept.sections] == [True] * 4
    written = (tmp_path / "experiments").rglob("*")
    assert all(KEY not in path.read_text() for path in written if path.is_file())
    assert KEY not in captured.out + captured.err


def test_a_service_that_goes_away_leaves_nothing_behind(capsys, served, tmp_path, briefly):
    told = truths()
    count = iter(range(1000))

    def says(asked):
        return right([text for _, text in asked.turns], told) if next(count) < 3 else Fault("quota")

    with FakeModels(says) as server:
        served(server)
        assert main(["models", "check", "openai:gpt-5", "--yes"]) == 1
    told_last = capsys.readouterr().err
    assert "The check ended after 3 questions" in told_last and "Top up" in told_last
    assert not (tmp_path / "experiments").exists()


@pytest.fixture
def interruptible():
    """Ctrl-C as in a terminal, also where these tests run in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_says_what_was_done_and_stores_nothing(capsys, served, tmp_path, briefly, interruptible):
    told = truths()
    count = iter(range(1000))

    def says(asked):
        if next(count) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return right([text for _, text in asked.turns], told)

    with FakeModels(says) as server:
        served(server)
        assert main(["models", "check", "openai-compat:local", "--yes"]) == 130
    told_last = capsys.readouterr().err
    assert "stopped on request after 2 questions" in told_last and "Nothing was stored" in told_last
    assert not (tmp_path / "experiments").exists()
