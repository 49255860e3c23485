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


def test_watch_events_stops_and_goes_on(tmp_path):
    words = run("watch_events.py", tmp_path)
    assert "one trial is enough for now" in words
    assert "the run is stopped; going on" in words
    assert words.rstrip().splitlines()[-1].startswith("The best design")
