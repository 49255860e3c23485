"""``experimenter reward check`` as a person and as a script meet it: words, tables, JSON, exit codes, Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from experimenter.cli import main

ROOT = Path(__file__).resolve().parents[2]
GOOD = """
def reward(t):
    upright = 1.0 - np.abs(t.next.pole_angle) / 0.21
    return {"upright": upright, "nothing": 0.0 * upright}
"""
HOSTILE_WORDS = 'def reward(t):\n    return {"a": t.now["\x1b]0;owned\x07"]}\n'


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("CARD_STEPS", "200"), ("EVAL_EPISODES", "4"), ("WORKERS", "1")):
        monkeypatch.setenv(f"EXPERIMENTER_{name}", value)
    monkeypatch.setenv("COLUMNS", "110")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "stand.py"
    path.write_text(GOOD)
    return path


def _check(path: Path, *words: str, env: str = "CartPole-v1") -> int:
    return main(["reward", "check", str(path), "--env", env, *words])


def test_the_gates_alone_as_json(file, capsys):
    assert _check(file, "--steps", "0", "--json") == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert found["accepted"] and found["refused_by"] is None and found["trained"] is None
    assert [one["state"] for one in found["gates"]["layers"]] == ["passed"] * 6 + ["not reached"]
    assert found["program"]["name"] == "stand" and found["program"]["source"] == GOOD
    assert found["gates"]["level"] and found["gates"]["microseconds_per_transition"] > 0
    assert captured.err.splitlines() == ["measuring the environment", "the gates"]


def test_a_refusal_is_exit_one_with_the_verdict_first(file, capsys):
    file.write_text('def reward(t):\n    return {"a": t.now.pole_angel}\n')
    assert _check(file, "--steps", "0") == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("✗ Refused by the static check: Line 2: t.now.pole_angel is no feature")
    assert "Did you mean pole_angle" in lines[1] and lines[1].startswith("→ ")
    rows = [line.split()[:2] for line in lines if line.strip()[:1] in "✓✗·" and line.strip()]
    assert rows[1:4] == [["✓", "file"], ["✗", "static"], ["·", "containment"]]


def test_a_training_ends_with_tables_and_an_honest_sentence(file, capsys):
    assert _check(file, "--steps", "2048", "--seeds", "1") == 0
    out = capsys.readouterr().out
    assert out.startswith("✓ Accepted: it passed every gate and 1 short training.")
    for words in (
        "dead: always 0",
        "correlation",
        "the program",
        "the native reward",
        "random actions",
        "1 seed: too few to say",
        "Diagnosis: Dead component: nothing never paid anything.",
        "µs per transition",
        "containment: ",
        "reads: t.next.pole_angle",
    ):
        assert words in out, words


def test_without_the_native_arm_nothing_is_compared(file, capsys):
    assert _check(file, "--steps", "1024", "--seeds", "1", "--no-native", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["native"] is None and found["comparison"] is None and found["against_native"] == ""
    traces = found["trained"]["trainings"][0]["components"]
    assert {one["name"] for one in traces} == {"upright", "nothing"} and "correlation" in traces[0]


def test_constructor_parameters_and_the_judge_are_the_environments(file, capsys):
    words = ("--set", "sutton_barto_reward=true", "--judge", "length>=100", "--steps", "0", "--json")
    assert _check(file, *words) == 0
    found = json.loads(capsys.readouterr().out)
    assert "100" in found["judge"] and found["random_return"] == pytest.approx(-1.0)


@pytest.mark.parametrize(
    ("name", "env", "code", "message"),
    [
        ("none.py", "CartPole-v1", 2, "cannot be read"),
        ("stand.py", "CratPole-v1", 2, "no environment CratPole-v1"),
        ("stand.py", "faulty_envs:FaultyStep-v0", 3, "the robot fell apart"),
    ],
)
def test_what_is_not_the_programs_fault_has_its_own_exit_code(name, env, code, message, file, capsys):
    assert _check(file.parent / name, "--steps", "0", env=env) == code
    captured = capsys.readouterr()
    assert message in captured.err and "→ " in captured.err and captured.out == ""


def test_a_file_of_bytes_is_refused_and_not_an_error(file, capsys):
    file.write_bytes(os.urandom(300_000))
    assert _check(file) == 1
    assert capsys.readouterr().out.startswith("✗ Refused by the look at its file: stand.py is too large")


def test_without_a_file_it_says_what_to_do(capsys):
    assert main(["reward", "check", "--env", "CartPole-v1"]) == 2
    assert "--features" in capsys.readouterr().err


def test_the_features_are_listed_on_request(capsys):
    assert main(["reward", "check", "--env", "CartPole-v1", "--features"]) == 0
    out = capsys.readouterr().out
    assert "pole_angular_velocity" in out and "t.native_reward" in out
    assert main(["reward", "check", "--env", "CartPole-v1", "--features", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["features"][0]["name"] == "cart_position" and "next_obs" in found["fields"]


def test_what_a_program_says_reaches_no_terminal(file, capsys):
    file.write_text(HOSTILE_WORDS)
    assert _check(file, "--steps", "0") == 1
    captured = capsys.readouterr()
    assert "\x1b]" not in captured.out + captured.err and "\x07" not in captured.out


def test_the_help_documents_the_exit_codes(capsys):
    assert main(["reward", "check", "--help"]) == 0
    words = " ".join(capsys.readouterr().out.split())
    assert "0 accepted; 1 refused by a gate; 2 no such file" in words and "4 generated code" in words


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop_it_leaves_no_process_and_no_folder(sent, file, tmp_path):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    command = ["reward", "check", str(file), "--env", "CartPole-v1", "--steps", "5000000", "--seeds", "1"]
    viewer = subprocess.Popen(
        [sys.executable, "-m", "experimenter", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary)},
        # Tests that run in the background of a shell inherit an ignored SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        assert viewer.stderr is not None
        assert any("short training" in line for line in viewer.stderr)
        _until(lambda: list(temporary.glob("experimenter-bench-*/experimenter-sandbox-*/scratch")))
        below = psutil.Process(viewer.pid).children(recursive=True)
        assert len(below) >= 2
        os.kill(viewer.pid, sent)
        _, err = viewer.communicate(timeout=60)
    finally:
        viewer.kill()
    assert viewer.returncode == 130 and "stopped on request" in err and "Traceback" not in err
    assert list(temporary.iterdir()) == []
    _until(lambda: not any(one.is_running() and one.status() != "zombie" for one in below))


def _until(true) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)
