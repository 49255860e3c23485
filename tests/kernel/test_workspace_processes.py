"""Several real processes on one workspace at once, and one that is killed in the middle of its work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from workspace_samples import opened

from experimenter.workspace.store import Workspace

REPOSITORY = Path(__file__).resolve().parent.parent.parent

WRITER = """
import sys
sys.path.insert(0, {repository!r})
from pathlib import Path
from experimenter.budget import Ledger
from experimenter.events import NewEvent
from experimenter.workspace.store import Workspace
with Workspace.open(Path({root!r})) as store:
    print("open", flush=True)
    for i in range({count}):
        store.finish_step("{run}", f"{run}-{{i}}", "note", {{"i": i}}, spend=Ledger(env_steps=1),
                          events=(NewEvent(kind="note", data={{"i": i}}),), documents={{"last": i}})
        store.send("{run}", "hint", {{"i": i}})
        print(i, flush=True)
"""

READER = """
import sys
sys.path.insert(0, {repository!r})
from pathlib import Path
from experimenter.workspace.store import Workspace
with Workspace.open(Path({root!r}), create=False) as store:
    while True:
        spent = store.ledger("one").env_steps
        events = store.events("one")
        last = store.document("one", "last")
        assert len(events) >= spent and [event.seq for event in events] == list(range(1, len(events) + 1))
        assert last is None or last + 1 >= spent
        if spent == {count}:
            break
print("consistent")
"""

OPENER = """
import sys
sys.path.insert(0, {repository!r})
from pathlib import Path
from experimenter.workspace.store import Workspace
sys.stdin.readline()
Workspace.open(Path({root!r})).close()
print("opened")
"""


def python(code: str, root: Path, **values: object) -> subprocess.Popen[str]:
    code = code.format(repository=str(REPOSITORY), root=str(root), **values)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-c", code], text=True, **pipes)  # type: ignore[call-overload, no-any-return]


def test_two_writers_and_a_reader(workspace: Path) -> None:
    opened(workspace, "one", "two").close()
    count = 60
    processes = [python(WRITER, workspace, run=run, count=count) for run in ("one", "two")]
    processes.append(python(READER, workspace, count=count))
    ends = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], [end[1] for end in ends]
    assert ends[2][0] == "consistent\n"
    with Workspace.open(workspace) as store:
        for run in ("one", "two"):
            assert store.ledger(run).env_steps == len(store.events(run)) == len(store.pending(run)) == count
        ids = [command.id for run in ("one", "two") for command in store.pending(run)]
        assert len(set(ids)) == 2 * count


def test_what_a_killed_writer_acknowledged_is_there(workspace: Path) -> None:
    opened(workspace, "one").close()
    process = python(WRITER, workspace, run="one", count=100_000)
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    acknowledged = -1
    for line in process.stdout:
        acknowledged = int(line)
        if acknowledged == 40:
            process.kill()
            break
    acknowledged = max([acknowledged, *(int(line) for line in process.stdout.read().split("\n")[:-1])])
    process.wait()
    with Workspace.open(workspace, create=False) as store:
        spent = store.ledger("one").env_steps
        assert acknowledged + 1 <= spent <= acknowledged + 2
        assert len(store.events("one")) == spent
        assert store.document("one", "last") == spent - 1
        assert store.step(f"one-{spent - 1}") == {"i": spent - 1}
        assert store.step(f"one-{spent}") is None


def test_several_processes_may_make_the_workspace_at_once(workspace: Path) -> None:
    processes = [python(OPENER, workspace) for _ in range(4)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    ends = [process.communicate(timeout=60) for process in processes]
    assert [end[0] for end in ends] == ["opened\n"] * 4, [end[1] for end in ends]
