"""Gymnasium's batched environments: real transitions only, rows that know nothing of each other, and a strict test."""

from pathlib import Path

import numpy as np
import pytest

from experimenter.envs.make import spec_for
from experimenter.envs.vector import SyncVector
from experimenter.envs.vectors.contract import Vector
from experimenter.envs.vectors.native import NativeVector
from experimenter.envs.vectors.native_check import why_not_native
from experimenter.errors import EnvironmentFault, UsageError

STRANGERS = str(Path(__file__).parents[1] / "strangers")


@pytest.fixture(autouse=True)
def _strangers(monkeypatch):
    monkeypatch.syspath_prepend(STRANGERS)


def lives(vector, seeds, actions, rows=slice(None)):
    """Everything that some rows meet, as bytes can be compared."""
    told = [vector.reset(seeds)[rows]]
    for chosen in actions:
        step = vector.step(chosen)
        told += [step.next_obs[rows], step.obs[rows], step.reward[rows]]
        told += [step.terminated[rows], step.truncated[rows], vector.elapsed[rows]]
    return [array.copy() for array in told]


def same(one, other):
    return all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("kwargs", [{}, {"sutton_barto_reward": True}])
def test_cartpole_is_the_python_version_step_by_step(kwargs):
    spec = spec_for("CartPole-v1", kwargs)
    python, native = SyncVector(spec, 8), NativeVector(spec, 8)
    assert isinstance(native, Vector) and isinstance(python, Vector)
    assert native.observation_space == python.observation_space
    assert native.action_space == python.action_space
    actions = np.random.default_rng(0).integers(0, 2, (600, 8))
    ours, theirs = lives(native, range(8), actions), lives(python, range(8), actions)
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype == b.dtype and np.allclose(a, b, 1e-5, 1e-6)


def test_a_row_lives_the_same_life_whoever_stands_beside_it():
    spec, seeds = spec_for("CartPole-v1"), list(range(1000, 1064))
    actions = np.random.default_rng(1).integers(0, 2, (400, 64))
    many = lives(NativeVector(spec, 64), seeds, actions, slice(0, 8))
    few = lives(NativeVector(spec, 8), seeds[:8], actions[:, :8])
    assert same(many, few)


def test_episodes_are_cut_at_the_limit_and_begin_anew_within_the_step():
    vector = NativeVector(spec_for("CartPole-v1"), 2)
    obs = vector.reset([3, 4])
    lengths, length = [], 0
    for _ in range(1100):
        step = vector.step((obs[:, 2] + obs[:, 3] > 0).astype(np.int64))
        length += 1
        if step.truncated[0] or step.terminated[0]:
            lengths.append(length)
            assert not np.array_equal(step.next_obs[0], step.obs[0]) and np.abs(step.obs[0]).max() <= 0.05
            assert vector.elapsed[0] == 0
            length = 0
        obs = step.obs
    assert lengths[0] == 500


def test_the_same_seeds_give_the_same_again_and_arrays_are_kept():
    vector = NativeVector(spec_for("CartPole-v1"), 4)
    actions = np.random.default_rng(2).integers(0, 2, (150, 4))
    first = lives(vector, [5, 6, 7, 8], actions)
    kept = vector.step(actions[0])
    before = kept.next_obs.copy()
    assert same(first, lives(vector, [5, 6, 7, 8], actions))
    assert np.array_equal(before, kept.next_obs)
    assert not same(first, lives(vector, [6, 5, 7, 8], actions))


def test_rows_moved_side_by_side_go_on_as_they_would_have_alone():
    spec = spec_for("CartPole-v1")
    actions = np.random.default_rng(3).integers(0, 2, (300, 8))
    alone = lives(NativeVector(spec, 8), range(8), actions)
    parts, joint = [NativeVector(spec, 4), NativeVector(spec, 4)], NativeVector(spec, 8)
    for index, part in enumerate(parts):
        lives(part, range(4 * index, 4 * index + 4), actions[:100, 4 * index : 4 * index + 4])
    joint.put_rows([part.rows() for part in parts])
    for t in range(100, 200):
        joint.step(actions[t])
    for index, part in enumerate(parts):
        part.put_rows([joint.rows(slice(4 * index, 4 * index + 4))])
    for t in range(200, 300):
        steps = [part.step(actions[t, 4 * i : 4 * i + 4]) for i, part in enumerate(parts)]
        obs, reward, ended, cut, elapsed = alone[6 * t + 2 : 6 * t + 7]
        assert np.array_equal(np.concatenate([step.obs for step in steps]), obs)
        assert np.array_equal(np.concatenate([part.elapsed for part in parts]), elapsed)
        assert np.array_equal(np.concatenate([step.terminated for step in steps]), ended)
        assert reward.sum() == 8 and not cut.all()


def test_who_lends_rows_keeps_generators_untouched():
    spec = spec_for("CartPole-v1")
    actions = np.random.default_rng(4).integers(0, 2, (200, 4))
    lender, borrower = NativeVector(spec, 4), NativeVector(spec, 4)
    lender.reset(range(4))
    borrower.put_rows([lender.rows()])
    for chosen in actions:
        borrower.step(chosen)
    after = [lender.step(chosen).obs for chosen in actions]
    fresh = NativeVector(spec, 4)
    fresh.reset(range(4))
    assert all(np.array_equal(a, fresh.step(chosen).obs) for a, chosen in zip(after, actions, strict=True))


@pytest.mark.parametrize("env_id", ["DriftSame-v0", "DriftMasked-v0"])
def test_other_ways_of_beginning_again_give_the_same_transitions(env_id):
    spec = spec_for(f"batched_envs:{env_id}")
    python, native = SyncVector(spec, 3), NativeVector(spec, 3)
    actions = np.random.default_rng(5).integers(0, 2, (200, 3))
    ours, theirs = lives(native, [1, 2, 3], actions), lives(python, [1, 2, 3], actions)
    ends = sum(int(array.sum()) for array in ours[4::6])
    assert ends >= 3
    for a, b in zip(ours, theirs, strict=True):
        assert np.allclose(a, b, 1e-5, 1e-5)


def test_infos_are_told_by_row_where_there_are_any():
    vector = NativeVector(spec_for("batched_envs:DriftSame-v0"), 3)
    vector.reset([1, 2, 3])
    step = vector.step(np.array([0, 1, 1]))
    assert [set(info) for info in step.infos] == [{"side"}] * 3
    assert [bool(info["side"]) for info in step.infos] == (step.next_obs[:, 0] > 0).tolist()
    plain = NativeVector(spec_for("CartPole-v1"), 2)
    plain.reset([1, 2])
    assert list(plain.step(np.array([0, 1])).infos) == [{}, {}]


@pytest.mark.parametrize(
    "env_id", ["CartPole-v1", "batched_envs:DriftSame-v0", "batched_envs:DriftMasked-v0"]
)
def test_what_is_the_same_environment_may_be_used(env_id):
    assert why_not_native(spec_for(env_id)) is None


@pytest.mark.parametrize(
    ("env_id", "words"),
    [
        ("Acrobot-v1", "registers no batched version"),
        ("MiniGrid-Empty-5x5-v0", "registers no batched version"),
        ("batched_envs:DriftShared-v0", "depends on the rows beside it"),
        ("batched_envs:DriftStronger-v0", "in the Python version"),
        ("batched_envs:DriftSickly-v0", "NaN"),
        ("batched_envs:DriftLater-v0", "resets on the step after"),
    ],
)
def test_what_is_another_environment_is_refused_with_the_reason(env_id, words):
    assert words in (why_not_native(spec_for(env_id)) or "")


def test_faults_name_environment_and_step():
    vector = NativeVector(spec_for("batched_envs:DriftSickly-v0"), 4)
    vector.reset(range(4))
    with pytest.raises(EnvironmentFault, match=r"DriftSickly-v0 returned an observation with NaN.*at step 5"):
        for _ in range(9):
            vector.step(np.zeros(4, dtype=np.int64))


def test_actions_outside_the_space_and_mixed_rows_are_refused():
    vector = NativeVector(spec_for("CartPole-v1"), 2)
    vector.reset([0, 1])
    for wrong in (np.array([0, 2]), np.array([-1, 0])):
        with pytest.raises(EnvironmentFault, match="outside Discrete"):
            vector.step(wrong)
    other = spec_for("CartPole-v1", {"sutton_barto_reward": True})
    with pytest.raises(UsageError, match="one specification"):
        NativeVector([spec_for("CartPole-v1"), other], 2)
