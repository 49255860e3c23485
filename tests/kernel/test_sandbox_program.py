"""Contained programs: the contract of a call, the limits, and that a kill is quick and leaves nothing behind."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from experimenter.errors import ProgramRejected
from experimenter.sandbox.program import ContainedProgram
from experimenter.sandbox.supervisor import Bounds

SUM = "def reward(t):\n    return {'a': t.next.x - t.now.x, 'b': 100.0 * t.terminated}\n"


def batch(count: int = 64, **more: object) -> dict[str, object]:
    rng = np.random.default_rng(0)
    return {
        "obs": rng.normal(size=(count, 4)).astype(np.float32),
        "now.x": rng.normal(size=count).astype(np.float32),
        "next.x": rng.normal(size=count).astype(np.float32),
        "terminated": rng.random(count) < 0.5,
        "elapsed": np.arange(count, dtype=np.int32),
        "gamma": 0.9,
        **more,
    }


def program(lines: str, **options: object) -> ContainedProgram:
    return ContainedProgram(f"def reward(t):\n    {lines}\n", **options)


def rejected(lines: str, *, given: dict[str, object] | None = None, calls: int = 1, **options: object):
    with pytest.raises(ProgramRejected) as caught, program(lines, **options) as opened:
        for _ in range(calls):
            opened.call(given or batch())
    return caught.value


def test_a_call_gives_finite_columns_in_the_programs_order():
    given = batch()
    with ContainedProgram(SUM) as opened:
        got = opened.call(given)
        assert opened.fields == {"next.x", "now.x", "terminated"}
        assert opened.components == ("a", "b")
    assert all(column.dtype == np.float64 and column.flags.writeable for column in got.values())
    np.testing.assert_array_equal(got["a"], (given["next.x"] - given["now.x"]).astype(np.float64))
    np.testing.assert_array_equal(got["b"], 100.0 * given["terminated"])


def test_only_the_named_fields_are_needed_and_numbers_arrive_as_numbers():
    given = {name: value for name, value in batch().items() if name in {"elapsed", "gamma"}}
    with program("return {'a': t.gamma ** t.elapsed}") as opened:
        np.testing.assert_allclose(opened.call(given)["a"], 0.9 ** np.arange(64))


def test_dictionaries_of_arrays_arrive_without_texts():
    image = np.arange(64 * 12, dtype=np.uint8).reshape(64, 2, 6)
    given = batch(obs={"image": image, "mission": np.array(["go"] * 64), "more": {"deep": np.ones(64)}})
    with program("return {'a': 1.0 * t.obs['image'].sum(axis=(1, 2)) + t.obs['more']['deep']}") as opened:
        np.testing.assert_array_equal(opened.call(given)["a"], image.sum(axis=(1, 2)) + 1.0)
        assert "mission" in rejected("return {'a': t.obs['mission']}", given=given).message


def test_a_large_batch_is_sent_in_parts_and_nothing_changes():
    pixels = np.random.default_rng(1).random((3000, 2000), dtype=np.float32)
    with program("return {'a': t.obs[:, 0] + t.obs[:, -1], 'b': 1.0 * t.elapsed}") as opened:
        got = opened.call({"obs": pixels, "elapsed": np.arange(3000, dtype=np.int32)})
    np.testing.assert_array_equal(got["a"], (pixels[:, 0] + pixels[:, -1]).astype(np.float64))
    np.testing.assert_array_equal(got["b"], np.arange(3000.0))


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("return {'a': t.next.x[:3]}", "shape"),
        ("return {'a': t.next.x.sum() * 1.0}", "shape"),
        ("return t.next.x", "dict"),
        ("return {'a': t.next.x / 0.0}", "at row 0"),
        ("return {'a': np.log(-np.abs(t.next.x))}", "nan"),
        ("return {'Bad name': t.next.x}", "names like"),
        ("x = t.obs\n    return {}", "names like"),
        ("return {f'c{i}': t.next.x for i in range(40)}", ""),
        ("return {'a': [str(x) for x in t.next.x]}", "not numbers"),
        ("return {'a': t.obs @ t.obs}", "line 2"),
        ("return {'a': t.now.speed}", "not offered"),
        ("t.next.x[0] = 1.0\n    return {'a': t.next.x}", "read-only"),
        ("return {'a': np.array([[1.0], 2.0], dtype='O') + t.next.x}", ""),
    ],
)
def test_broken_contracts(lines, words):
    error = rejected(lines)
    assert error.layer in {"contract", "limits"}
    assert words in str(error)


def test_names_stay_the_same():
    given = batch()
    with program("return {'a': t.next.x} if len(t.obs) > 10 else {'b': t.next.x}") as opened:
        opened.call(given)
        with pytest.raises(ProgramRejected, match="after"):
            opened.call(batch(5))
        with pytest.raises(ProgramRejected, match="after"):
            opened.call(given)


def test_an_error_at_load_is_a_rejection():
    with pytest.raises(ProgramRejected, match="division by zero"):
        ContainedProgram("K = 1 / 0\ndef reward(t):\n    return {'a': t.next.x}\n")


def test_an_infinite_loop_is_killed_quickly_and_leaves_nothing():
    started = time.monotonic()
    error = rejected("for i in range(10 ** 15):\n        x = t.next.x\n    return {'a': x}", deadline=0.3)
    assert error.layer == "limits" and "time" in error.message
    assert time.monotonic() - started < 3.0
    assert not [c for c in psutil.Process().children() if "sandbox" in " ".join(c.cmdline())]


def test_an_answer_that_came_while_others_were_at_work_is_not_late():
    """Whoever asked was busy beyond the program's own time; what the program had said by then counts."""
    with program("return {'a': 2.0 * t.now.x}") as asked:
        answer = asked.begin(batch())
        heard = select.poll()
        heard.register(asked._worker._output, select.POLLIN)
        assert heard.poll(20_000)
        asked._deadline = 0.0
        assert np.array_equal(answer()["a"], 2.0 * batch()["now.x"])


def test_memory_is_bounded():
    small = Bounds(memory_bytes=1 << 27)
    assert rejected("return {'a': np.ones((40000, 40000))[0, 0] * t.next.x}", bounds=small).layer == "limits"
    grow = "rows = [np.ones(1000000) for i in range(10 ** 6)]\n    return {'a': t.next.x}"
    assert rejected(grow, bounds=small).layer == "limits"


def test_a_closed_program_says_so():
    opened = ContainedProgram(SUM)
    opened.close()
    opened.close()
    with pytest.raises(ProgramRejected, match="closed"):
        opened.call(batch())


def test_an_empty_batch_is_the_callers_mistake():
    with ContainedProgram(SUM) as opened, pytest.raises(ValueError, match="at least one"):
        opened.call(
            {name: np.asarray(value)[:0] if np.ndim(value) else value for name, value in batch().items()}
        )


def test_overhead_per_rollout_is_small():
    given = batch(1024)
    with ContainedProgram(SUM) as opened:
        opened.call(given)
        seconds = []
        for _ in range(100):
            start = time.perf_counter()
            opened.call(given)
            seconds.append(time.perf_counter() - start)
    assert np.quantile(seconds, 0.25) < 2e-3


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal is Linux's")
def test_the_worker_dies_with_its_parent():
    code = (
        "from experimenter.sandbox.program import ContainedProgram\n"
        "import numpy as np\n"
        "p = ContainedProgram('def reward(t):\\n    for i in range(10 ** 15): x = t.obs\\n', deadline=60)\n"
        "print(p._worker._process.pid, flush=True)\n"
        "p.call({'obs': np.ones(3)})\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        assert psutil.pid_exists(worker)
        time.sleep(0.1)
        parent.send_signal(signal.SIGKILL)
    for _ in range(100):
        if not psutil.pid_exists(worker) or psutil.Process(worker).status() == psutil.STATUS_ZOMBIE:
            return
        time.sleep(0.02)
    os.kill(worker, signal.SIGKILL)
    pytest.fail("the worker outlived its parent")


def test_folders_of_killed_processes_are_cleared(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    stale, fresh = (tmp_path / f"experimenter-sandbox-{ended.pid}-{word}" for word in ("stale", "fresh"))
    alive = tmp_path / f"experimenter-sandbox-{os.getpid()}-alive"
    for folder in (stale, fresh, alive):
        (folder / "scratch").mkdir(parents=True)
    for folder in (stale, alive):
        os.utime(folder, (0, 0))
    with ContainedProgram(SUM) as opened:
        assert opened.call(batch())
    assert not stale.exists() and fresh.exists() and alive.exists()
    assert len(list(tmp_path.iterdir())) == 2
