"""Where a run's processes start, and what they leave there."""

from __future__ import annotations

import pytest

from experimenter.api import Experimenter
from experimenter.loop import launch
from experimenter.loop.assemble import TEMPORARY

TINY = {
    "budget_steps": 6_000,
    "confirm_seeds": 2,
    "designs": 2,
    "eval_episodes": 2,
    "card_steps": 200,
    "chunk_steps": 1024,
    "workers": 1,
    "memory": "off",
}
ENVIRONMENT = """
import gymnasium as gym

gym.register("InThisFolder-v0", "gymnasium.envs.classic_control.cartpole:CartPoleEnv", max_episode_steps=50)
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A person's folder, with an environment of theirs and a folder that is named like our package."""
    folder = tmp_path / "mine"
    (folder / "experimenter").mkdir(parents=True)
    (folder / "experimenter" / "__init__.py").write_text("raise RuntimeError('the wrong experimenter')")
    (folder / "envs_of_this_folder.py").write_text(ENVIRONMENT)
    monkeypatch.chdir(folder)
    return folder


def test_a_run_is_not_led_astray_by_a_folder_of_our_name_and_leaves_nothing_temporary(place):
    agent = Experimenter("envs_of_this_folder:InThisFolder-v0", workspace=str(place / "kept"), **TINY)
    agent.prepare("keep it up", name="here")
    left = place / "kept" / "runs" / "here" / TEMPORARY / "experimenter-probe-of-a-killed-worker"
    left.mkdir(parents=True)
    launch.start(place / "kept", "here")
    events = list(launch.follow(place / "kept", "here"))
    assert events[-1].kind == "run.finished", (place / "kept" / "runs" / "here" / "runner.log").read_text()
    assert not left.parent.exists()
