"""The examples of the documentation, run as a reader would."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parent.parent / "docs" / "examples"


def run(name: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), "12000"],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_first_run_prints_a_verdict_and_a_judgement(tmp_path):
    words = run("first_run.py", tmp_path)
    assert "true score" in words
    assert "judged again on 10 fresh episodes" in words
    assert (tmp_path / "experiments" / "workspace.sqlite").exists()


def test_memory_and_skills_recalls_and_acts(tmp_path):
    words = run("memory_and_skills.py", tmp_path)
    assert "it recalled" in words and "lesson:" in words and "skill:" in words
    last = words.rstrip().splitlines()[-1]
    assert last.startswith("keep-the-pole-up") and int(last.split()[-2]) > 8


def test_judge_and_report_benches_judges_and_writes(tmp_path):
    words = run("judge_and_report.py", tmp_path)
    assert "the program: Accepted" in words
    assert "judged on 10 fresh episodes" in words
    for name in ("report.html", "report.md", "MODEL_CARD.md"):
        assert (tmp_path / "experiments" / "runs" / "judged" / name).exists()


def test_async_runs_go_on_at_once_and_one_is_given_up(tmp_path):
    words = run("async_runs.py", tmp_path)
    assert "The best design" in words and "swing_up ended because" in words
    assert "given up after eight seconds" in words
    assert {path.name for path in (tmp_path / "experiments" / "runs").iterdir()} >= {
        "keep_the_pole_up",
        "swing_up",
    }


def test_watch_events_stops_and_goes_on(tmp_path):
    words = run("watch_events.py", tmp_path)
    assert "one trial is enough for now" in words
    assert "the run is stopped; going on" in words
    assert words.rstrip().splitlines()[-1].startswith("The best design")
