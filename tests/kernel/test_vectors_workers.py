"""Environments in worker processes: the results of one process, and typed faults however a worker ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from experimenter.contracts import Job
from experimenter.envs.make import spec_for
from experimenter.envs.vector import SyncVector
from experimenter.envs.vectors.contract import Vector
from experimenter.envs.vectors.workers import WorkerVector
from experimenter.errors import EnvironmentFault
from experimenter.execution.local import LocalExecutor
from experimenter.rl.population import train_population
from tests.kernel.rl_samples import job, phase

STRANGERS = str(Path(__file__).parents[1] / "strangers")


@pytest.fixture(autouse=True)
def _strangers(monkeypatch):
    monkeypatch.syspath_prepend(STRANGERS)


def equal(one, other):
    if isinstance(one, dict):
        return set(one) == set(other) and all(equal(one[name], other[name]) for name in one)
    return one.dtype == other.dtype and np.array_equal(one, other)


@pytest.mark.parametrize(
    ("env_id", "kwargs"),
    [("MiniGrid-Empty-5x5-v0", {}), ("Pendulum-v1", {"g": 9.0}), ("CartPole-v1", {})],
)
def test_results_are_those_of_one_process_bit_for_bit(env_id, kwargs):
    spec = spec_for(env_id, kwargs)
    one, many = SyncVector(spec, 5), WorkerVector(spec, 5, workers=2)
    assert isinstance(many, Vector)
    one.action_space.seed(0)
    try:
        for seed in (0, 100):
            assert equal(one.reset(range(seed, seed + 5)), many.reset(range(seed, seed + 5)))
            for _ in range(150):
                actions = np.array([one.action_space.sample() for _ in range(5)])
                a, b = one.step(actions), many.step(actions)
                assert equal(a.next_obs, b.next_obs) and equal(a.obs, b.obs)
                assert equal(a.reward, b.reward) and equal(a.terminated, b.terminated)
                assert equal(a.truncated, b.truncated) and equal(one.elapsed, many.elapsed)
    finally:
        many.close()


def test_arrays_are_kept_and_each_row_may_have_its_own_parameters():
    specs = [spec_for("Pendulum-v1", {"g": g}) for g in (9.0, 10.0, 11.0)]
    one, many = SyncVector(specs, 3), WorkerVector(specs, 3, workers=3)
    try:
        one.reset([1, 1, 1])
        first = many.reset([1, 1, 1]).copy()
        kept = [many.step(np.ones((3, 1), dtype=np.float32)) for _ in range(20)]
        again = [one.step(np.ones((3, 1), dtype=np.float32)) for _ in range(20)]
        assert all(equal(a.obs, b.obs) for a, b in zip(kept, again, strict=True))
        assert len({step.obs.tobytes() for step in kept} | {first.tobytes()}) == 21
    finally:
        many.close()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("Step", r"FaultyStep-v0 raised .* at step 5 of an episode.*environments? 1 to 2"),
        ("NanReward", "returned the reward nan at step 5"),
        ("Reset", "at reset"),
    ],
)
def test_an_environment_that_raises_is_named(fault, words):
    vector = WorkerVector(spec_for(f"faulty_envs:Faulty{fault}-v0"), 4, workers=2)
    workers = vector.processes
    with pytest.raises(EnvironmentFault, match=words):
        vector.reset(range(4))
        for _ in range(9):
            vector.step(np.zeros(4, dtype=np.int64))
    assert gone(workers)


def test_an_environment_that_hangs_is_named_and_ended():
    vector = WorkerVector(spec_for("faulty_envs:FaultyHang-v0"), 2, workers=2, silence=4.0)
    workers = vector.processes
    vector.reset([0, 1])
    with pytest.raises(EnvironmentFault, match=r"environment 1 .*did not answer within 2 s"):
        for _ in range(9):
            vector.step(np.zeros(2, dtype=np.int64))
    assert gone(workers)


def two_trainings(folder, silence):
    """One in an environment that hangs at its fifth step, one in a sound one; both in worker processes."""
    made = []
    for name, env_id in (("hangs", "faulty_envs:FaultyHang-v0"), ("sound", "CartPole-v1")):
        spec = spec_for(env_id)
        settings = {
            "environment": spec,
            "vector": "workers",
            "cores": 2,
            "step": name,
            "validation_seeds": (),
        }
        made.append(job(folder / name, phase(spec, steps=256), silence=silence, **settings))
    return made


def test_of_several_trainings_the_one_whose_environment_hangs_ends_alone(tmp_path):
    """Found out within half of the silence after which the whole process would be ended."""
    hangs, sound = train_population(two_trainings(tmp_path, 8.0), lambda *_: None)
    assert isinstance(hangs.error, EnvironmentFault) and "did not answer within 4 s" in hangs.error.message
    assert "silence_seconds" in hangs.error.hint
    assert sound.training is not None and sound.training.steps == 256


@pytest.mark.slow
def test_a_hang_is_an_environments_fault_before_it_is_a_silent_process(tmp_path):
    """As in a run: whoever watches the process still hears from it when its environment is given up."""
    jobs = [one.model_dump(mode="json") for one in two_trainings(tmp_path, 30.0)]
    executor = LocalExecutor(1)
    try:
        several = Job(id="several", kind="population", payload={"jobs": jobs}, silence=30.0)
        [result] = executor.run([several], role="train", progress=lambda *_: None, interrupt=lambda: False)
    finally:
        executor.close()
    assert result.ok, result.message
    hangs, sound = result.value["ends"]
    assert hangs["error"] == "EnvironmentFault" and "did not answer within 15 s" in hangs["message"]
    assert sound["ok"]


def test_a_worker_that_dies_is_named():
    vector = WorkerVector(spec_for("CartPole-v1"), 4, workers=2)
    vector.reset(range(4))
    os.kill(vector.processes[1], signal.SIGKILL)
    with pytest.raises(EnvironmentFault, match=r"environments 3 to 4 .*signal SIGKILL"):
        for _ in range(3):
            vector.step(np.zeros(4, dtype=np.int64))
    with pytest.raises(EnvironmentFault, match="closed"):
        vector.step(np.zeros(4, dtype=np.int64))


def test_workers_end_with_the_process_that_started_them():
    words = (
        "import sys; from experimenter.envs.make import spec_for\n"
        "from experimenter.envs.vectors.workers import WorkerVector\n"
        "vector = WorkerVector(spec_for('CartPole-v1'), 2, workers=2)\n"
        "print(*vector.processes, flush=True); sys.stdin.read()\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", words], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert parent.stdout is not None and parent.stdin is not None
    workers = tuple(int(word) for word in parent.stdout.readline().split())
    assert len(workers) == 2
    parent.kill()
    parent.wait()
    parent.stdin.close()
    parent.stdout.close()
    assert all(ends(worker) for worker in workers)


def gone(processes):
    return not any(alive(process) for process in processes)


def alive(process):
    """A zombie whose new parent has not looked yet is no longer alive."""
    status = Path(f"/proc/{process}/stat")
    try:
        return status.read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def ends(process):
    """Waits for what the kernel does by itself, without asking how long it takes."""
    while alive(process):
        os.sched_yield()
    return True
