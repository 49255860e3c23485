"""Every error leaves through one door: words, what to do next, an exit code, and never a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from experimenter import errors
from experimenter.cli import main
from experimenter.cli.failures import EXIT_CODES, failure_of, show_failure

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "numpy", "gymnasium", "optuna", "langgraph", "matplotlib", "textual", "minigrid", "psutil")


def _python(*words: str, **extra: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, **extra},
        timeout=60,
    )


def test_help_loads_nothing_heavy() -> None:
    start = "import sys\nfrom experimenter.cli import main\nmain(['--help'])\n"
    code = f"{start}print([m for m in {HEAVY} if m in sys.modules])"
    assert _python("-c", code).stdout.splitlines()[-1] == "[]"


def test_help_documents_every_exit_code_and_command() -> None:
    text = _python("-m", "experimenter", "--help").stdout
    for code, words in EXIT_CODES:
        assert f"{code:>3}  {words}" in text
    for name in (
        "run",
        "resume",
        "stop",
        "pause",
        "unpause",
        "budget",
        "list",
        "show",
        "report",
        "envs",
        "judge",
        "doctor",
        "config",
        "tui",
        "watch",
    ):
        assert f"\n  {name} " in text


def test_every_error_of_ours_has_a_documented_code() -> None:
    documented = dict(EXIT_CODES)
    for name in errors.__all__:
        kind = getattr(errors, name)
        if isinstance(kind, type):
            assert kind.exit_code in documented
            failure = failure_of(kind("what", "do this"))
            assert (failure.message, failure.hint, failure.exit_code) == ("what", "do this", kind.exit_code)


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["rnu"], "no such command 'rnu'", "Did you mean run?"),
        (["list", "--jsno"], "no such option: --jsno", "Did you mean --json?"),
        (["envs", "crad", "x"], "no such command 'crad'", "Did you mean card?"),
        (["run", "x"], "missing option '--env'", "See 'experimenter run --help'."),
        (["run", "x", "--env", "E", "--seed", "-1"], "--seed", "--help"),
        (["run", "x", "--env", "E", "--budget-steps", "many"], "--budget-steps", "--help"),
        (["run", "x", "--env", "E", "--set", "size"], "--set wants KEY=VALUE, not 'size'", "size=8"),
        (["run", "x", "--env", "E", "--set", "a=1", "--set", "a=2"], "gives 'a' twice", "Keep one"),
        (["run", "x", "--env", "E", "--set", "a=NaN"], "cannot take NaN", "finite"),
        (["run", "x", "--env", "E", "--name", "My Run"], "'My Run' cannot name a run", "lower-case"),
        (["run", "x", "--env", "E", "--json", "--events"], "exclude each other", "Keep one"),
        (["run", "x", "--env", "E", "--controls", "all-of-them"], "--controls", "controls:"),
        (["envs"], "needs a command", "--help"),
    ],
)
def test_wrong_usage_is_exit_two_with_a_hint(
    words: list[str], message: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("error: ") and message in lines[0]
    assert lines[-1].startswith("→ ") and hint in lines[-1]
    assert len(lines) == 2


def test_with_json_an_error_is_one_object_on_stdout(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["list", "--workspace", str(workspace), "--json"]) == 2
    found = json.loads(capsys.readouterr().out)
    assert found.keys() == {"error", "hint", "exit_code"}
    assert (
        found["exit_code"] == 2 and "no workspace" in found["error"] and "experimenter run" in found["hint"]
    )
    assert not workspace.exists()
    assert main(["lst", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["hint"].startswith("Did you mean list?")


def test_the_unforeseen_goes_to_a_log_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("EXPERIMENTER_DEBUG", raising=False)
    code = show_failure(failure_of(ZeroDivisionError("by \x1b[31mzero")), as_json=False)
    shown = capsys.readouterr().err
    assert code == 1 and "ZeroDivisionError: by zero" in shown and "Traceback" not in shown
    (log,) = (tmp_path / "experimenter").iterdir()
    assert str(log) in shown and "ZeroDivisionError" in log.read_text()


def test_debug_shows_the_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EXPERIMENTER_DEBUG", "1")
    try:
        raise KeyError("x")
    except KeyError as error:
        failure_of(error)
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_the_workspaces_fault(tmp_path: Path) -> None:
    try:
        (tmp_path / "none" / "file").write_text("x")
    except OSError as error:
        failure = failure_of(error)
    assert failure.exit_code == 5 and str(tmp_path / "none" / "file") in failure.message


def test_a_damaged_workspace_is_exit_five_without_a_traceback(workspace: Path) -> None:
    workspace.mkdir()
    (workspace / "workspace.sqlite").write_bytes(b"not a database at all" * 400)
    done = _python("-m", "experimenter", "list", "--workspace", str(workspace))
    assert done.returncode == 5 and "Traceback" not in done.stderr and "→" in done.stderr


def test_a_wrong_setting_names_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "experimenter.toml").write_text("worker = 3\n")
    monkeypatch.chdir(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "experimenter", "config", "show"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])},
    )
    assert done.returncode == 2 and "experimenter.toml: worker" in done.stderr and "workers" in done.stderr


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("experimenter ")
