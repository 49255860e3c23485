"""EnvPool behind the contract: no masked steps, rows of their own, and used only where it is the same environment."""

import numpy as np
import pytest

from experimenter.envs.make import make, spec_for
from experimenter.envs.vectors.choosing import choose_vector
from experimenter.envs.vectors.contract import Vector
from experimenter.errors import UsageError

pytest.importorskip("envpool")

from experimenter.envs.vectors.pool import EnvPoolVector
from experimenter.envs.vectors.pool_check import why_not_envpool


def lives(vector, seeds, actions, rows=slice(None)):
    told = [vector.reset(seeds)[rows].copy()]
    for chosen in actions:
        step = vector.step(chosen)
        told += [step.next_obs[rows], step.obs[rows], step.reward[rows], step.terminated[rows]]
    return told


def test_every_step_is_real_and_the_final_observation_is_true():
    vector = EnvPoolVector(spec_for("CartPole-v1"), 4)
    assert isinstance(vector, Vector)
    assert vector.observation_space == make(spec_for("CartPole-v1")).observation_space
    vector.reset(range(4))
    ends = 0
    for _ in range(200):
        step = vector.step(np.ones(4, dtype=np.int64))
        outside = (np.abs(step.next_obs[:, 0]) > 2.4) | (np.abs(step.next_obs[:, 2]) > 12 * np.pi / 180)
        assert np.array_equal(step.terminated, outside)
        assert np.all(step.reward == 1.0)
        assert np.abs(step.obs[step.terminated]).max(initial=0.0) <= 0.05
        assert (vector.elapsed[step.terminated] == 0).all()
        ends += int(step.terminated.sum())
    assert ends >= 60


def test_a_row_depends_on_its_seed_and_actions_only():
    spec, seeds = spec_for("Acrobot-v1"), [2**40 + i for i in range(12)]
    actions = np.random.default_rng(0).integers(0, 3, (600, 12))
    many = lives(EnvPoolVector(spec, 12, threads=2), seeds, actions, slice(0, 3))
    few = lives(EnvPoolVector(spec, 3), seeds[:3], actions[:, :3])
    other = lives(EnvPoolVector(spec, 3), seeds[3:6], actions[:, :3])
    assert all(np.array_equal(a, b) for a, b in zip(many, few, strict=True))
    assert not np.array_equal(few[0], other[0])


def test_the_limit_is_the_python_versions():
    vector = EnvPoolVector(spec_for("Pendulum-v1"), 2)
    vector.reset([0, 1])
    cut = [bool(vector.step(np.zeros((2, 1), dtype=np.float32)).truncated.all()) for _ in range(400)]
    assert [t + 1 for t, over in enumerate(cut) if over] == [200, 400]


def test_the_test_accepts_the_same_environment():
    assert why_not_envpool(spec_for("CartPole-v1")) is None
    assert choose_vector([spec_for("CartPole-v1")], 8, forced="envpool").kind == "envpool"


def test_the_test_refuses_another_environment(monkeypatch):
    """A Python version with other masses and forces stands for one that EnvPool has copied wrongly."""
    from gymnasium.envs.classic_control.mountain_car import MountainCarEnv
    from gymnasium.envs.classic_control.pendulum import PendulumEnv

    for kind, name, factor in ((PendulumEnv, "m", 1.3), (MountainCarEnv, "force", 1.05)):
        monkeypatch.setattr(kind, "__init__", _changed(kind.__init__, name, factor))
    assert "in the Python version and" in (why_not_envpool(spec_for("Pendulum-v1")) or "")
    assert "the same state and action" in (why_not_envpool(spec_for("MountainCar-v0")) or "")


def _changed(before, name, factor):
    def init(self, *given, **named):
        before(self, *given, **named)
        setattr(self, name, factor * getattr(self, name))

    return init


@pytest.mark.parametrize(
    ("env_id", "kwargs", "words"),
    [
        ("Pendulum-v1", {"g": 9.0}, "constructor parameters"),
        ("MiniGrid-LavaGapS6-v1", {}, "EnvPool has no"),
        ("BabyAI-GoToObj-v0", {}, "'mission'"),
    ],
)
def test_what_envpool_cannot_give_is_refused_with_the_reason(env_id, kwargs, words):
    from experimenter.records import EnvSpec

    family = "minigrid" if env_id.startswith(("Mini", "Baby")) else "gymnasium"
    spec = EnvSpec(id=env_id, kwargs=kwargs, family=family)
    assert words in (why_not_envpool(spec) or "")
    with pytest.raises(UsageError, match="envpool cannot be used"):
        choose_vector([spec], 8, forced="envpool")
