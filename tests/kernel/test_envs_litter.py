"""Environments leave no files in the folder where a person happens to work."""

from pathlib import Path

import numpy as np
import pytest

from experimenter.envs.make import make, spec_for

mujoco = pytest.importorskip("mujoco")


def unstable_step(env):
    """What learning agents do to a simulation now and then."""
    env.reset(seed=0)
    env.unwrapped.data.qpos[:] = np.nan
    env.step(env.action_space.sample())


def test_a_simulation_that_becomes_unstable_warns_without_leaving_a_file(tmp_path: Path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    unstable_step(make(spec_for("Hopper-v5")))
    assert "unstable" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(mujoco, "MjLogConfig"), reason="this MuJoCo cannot be told where to log")
def test_a_log_that_a_person_asked_for_is_still_written(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before, config = mujoco.MjLogConfig.get(), mujoco.MjLogConfig.get()
    config.logto_file, config.logfile = True, str(tmp_path / "mine.txt")
    config.set()
    try:
        unstable_step(make(spec_for("Hopper-v5")))
    finally:
        before.set()
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
