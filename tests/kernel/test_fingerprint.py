"""The fingerprint names what changed about an environment, and nothing where nothing did."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from experimenter.envs.fingerprint import STEPS, changes, fingerprint
from experimenter.envs.make import spec_for
from experimenter.errors import EnvironmentFault, NotFound
from experimenter.loop.certify import fingerprint_of
from experimenter.records import Fingerprint

ENVIRONMENTS = ["CartPole-v1", "Pendulum-v1", "MiniGrid-DoorKey-5x5-v0", "stranger_envs:SwitchCorridor-v0"]


def parts(found):
    return [change.part for change in found]


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_the_same_environment_has_the_same_fingerprint_in_another_process(env):
    here, there = fingerprint(spec_for(env)), fingerprint_of(spec_for(env))
    assert here.deterministic and len(here.trace) == STEPS + 1
    assert changes(here, there) == () and here.hash == there.hash
    assert Fingerprint.model_validate_json(here.model_dump_json()) == here


def test_another_value_of_a_parameter_is_named():
    (found,) = changes(fingerprint(spec_for("Pendulum-v1")), fingerprint(spec_for("Pendulum-v1", {"g": 9.0})))
    assert found.part == "parameters" and "g is 9.0" in found.words


def test_a_constant_that_moved_under_the_same_name_is_a_change_of_dynamics():
    before = fingerprint(spec_for("Pendulum-v1"))
    moved = fingerprint(spec_for("Pendulum-v1", {"g": 10.01})).model_copy(update={"parameters": {}})
    (found,) = changes(before, moved)
    assert found.part == "dynamics" and "observation" in found.words
    assert before.hash != moved.hash


def test_a_reward_that_changed_alone_is_named_as_such():
    before = fingerprint(spec_for("CartPole-v1"))
    trace = tuple((*row[:8], row[8] * 1.5, *row[9:]) for row in before.trace)
    (found,) = changes(before, before.model_copy(update={"trace": trace}))
    assert found.part == "dynamics" and "the reward differs from step 1 " in found.words


def test_noise_in_the_last_digits_is_no_change():
    before = fingerprint(spec_for("Pendulum-v1"))
    noisy = tuple(tuple(number * (1 + 3e-7) for number in row) for row in before.trace)
    assert changes(before, before.model_copy(update={"trace": noisy})) == ()


def test_a_new_release_alone_is_a_version_and_leaves_the_hash():
    before = fingerprint(spec_for("CartPole-v1"))
    after = before.model_copy(update={"versions": {"gymnasium": "9.9"}})
    (found,) = changes(before, after)
    assert found.part == "version" and "gymnasium is 9.9" in found.words
    assert before.hash == after.hash


def test_other_spaces_and_limits_are_named_before_anything_else():
    before = fingerprint(spec_for("CartPole-v1"))
    other = before.model_copy(update={"action": {"type": "Discrete", "n": 3, "start": 0}, "limit": 200})
    assert parts(changes(before, other)) == ["spaces", "limit"]
    assert parts(changes(before, fingerprint(spec_for("Acrobot-v1")))) == ["spaces", "spaces", "parameters"]


WILD = """
import gymnasium, numpy as np
class Wild(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    def reset(self, *, seed=None, options=None):
        return np.random.default_rng().uniform(-1, 1, 2).astype(np.float32), {}
    def step(self, action):
        return np.random.default_rng().uniform(-1, 1, 2).astype(np.float32), 0.0, False, False, {}
gymnasium.register("Wild-v0", Wild)
"""


def test_an_environment_that_ignores_its_seed_is_not_compared(tmp_path):
    (tmp_path / "wild.py").write_text(WILD)
    script = (
        "from experimenter.envs.fingerprint import *; from experimenter.envs.make import spec_for; import json\n"
        "one, two = (fingerprint(spec_for('wild:Wild-v0')) for _ in range(2))\n"
        "print(json.dumps([one.deterministic, len(one.trace), len(changes(one, two)), one.hash == two.hash]))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert json.loads(done.stdout.splitlines()[-1]) == [False, 0, 0, True], done.stderr


def test_what_cannot_be_probed_is_a_typed_error():
    with pytest.raises(NotFound):
        fingerprint_of(spec_for("CartPol-v1"))
    with pytest.raises(EnvironmentFault, match="sign of life"):
        fingerprint_of(spec_for("faulty_envs:FaultyHang-v0"), silence=4.0)
