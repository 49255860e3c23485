"""Ctrl-C in the viewer: once asks the run to stop and waits; twice ends it at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from run_samples import begin

from experimenter.workspace.locks import RunLock
from experimenter.workspace.store import Workspace

RUNNER = """
import sys, time
from pathlib import Path
from experimenter.workspace.locks import RunLock
from experimenter.workspace.store import Workspace

obedient = sys.argv[2] == "obedient"
with Workspace.open(Path(sys.argv[1])) as store, RunLock(store.run_folder("reach_the_flag")):
    store.set_status("reach_the_flag", "running")
    store.emit("reach_the_flag", "run.started", {})
    while not (obedient and store.pending("reach_the_flag")):
        time.sleep(0.05)
    store.set_status("reach_the_flag", "stopped")
    store.emit("reach_the_flag", "run.stopped", {"words": "asked to stop"})
"""


def _start(root: Path, temper: str) -> tuple[subprocess.Popen[str], subprocess.Popen[str]]:
    with Workspace.open(root) as store:
        begin(store)
    runner = subprocess.Popen(
        [sys.executable, "-c", RUNNER, str(root), temper], text=True, start_new_session=True
    )
    lock = RunLock(root / "runs" / "reach_the_flag")
    _until(lambda: bool(lock.holder()))
    command = [sys.executable, "-m", "experimenter", "watch", "latest", "--workspace", str(root)]
    viewer = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert viewer.stderr is not None
    for line in viewer.stderr:
        if "run started" in line:
            break
    return runner, viewer


def _until(true) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_once_asks_the_run_to_stop_and_waits_for_it(workspace: Path) -> None:
    runner, viewer = _start(workspace, "obedient")
    os.kill(viewer.pid, signal.SIGINT)
    out, err = viewer.communicate(timeout=20)
    assert viewer.returncode == 130 and runner.wait(timeout=10) == 0
    assert "asked the run to stop" in err and "Traceback" not in err
    assert "stopped" in out and "experimenter resume reach_the_flag" in out
    with Workspace.open(workspace) as store:
        assert [command.kind for command in store.pending("reach_the_flag")] == ["stop"]


def test_twice_ends_a_run_that_does_not_listen(workspace: Path) -> None:
    runner, viewer = _start(workspace, "deaf")
    began = time.monotonic()
    os.kill(viewer.pid, signal.SIGINT)
    assert viewer.stderr is not None
    assert "asked the run to stop" in viewer.stderr.readline()
    os.kill(viewer.pid, signal.SIGINT)
    _, err = viewer.communicate(timeout=20)
    assert viewer.returncode == 130 and "left at once" in err and "experimenter resume" in err
    assert runner.wait(timeout=10) == -signal.SIGKILL
    assert time.monotonic() - began < 8
    with Workspace.open(workspace) as store:
        assert len(store.trials("reach_the_flag")) == 3
