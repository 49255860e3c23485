"""Policies: what they compute, what they survive on disk, and how their normaliser counts."""

from __future__ import annotations

import json
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experimenter.envs.pipeline import Pipeline
from experimenter.envs.spaces import space_to_json
from experimenter.errors import EnvironmentFault, WorkspaceError
from experimenter.policies.actions import CategoricalHead, GaussianHead, head_for
from experimenter.policies.network import actor_output, hidden_layers, initial_params, values, views
from experimenter.policies.normaliser import Moments, Normaliser, RewardScaler
from experimenter.policies.policy import Policy, load_policy, save_policy, spawn_generators
from experimenter.records import Network

BOX = gymnasium.spaces.Box(-1.0, 1.0, (3,))
ACTIONS = {
    "discrete": gymnasium.spaces.Discrete(4, start=2),
    "multi_discrete": gymnasium.spaces.MultiDiscrete([3, 2]),
    "multi_binary": gymnasium.spaces.MultiBinary(3),
    "continuous": gymnasium.spaces.Box(np.array([-2.0, -np.inf]), np.array([2.0, np.inf]), dtype=np.float64),
}


def _policy(space: gymnasium.Space, *, normalised: bool = True) -> Policy:
    pipeline = Pipeline.for_space(BOX)
    policy = Policy(pipeline, None, Network(hidden=(8, 8)), {}, space_to_json(BOX), space_to_json(space))
    rng = np.random.default_rng(3)
    flat = initial_params(policy.shape, rng)
    policy.params = views(flat + rng.normal(0, 0.5, flat.shape).astype(np.float32), policy.shape)
    if normalised:
        policy.normaliser = Normaliser(pipeline.size)
        policy.normaliser.update(rng.normal(3.0, 2.0, (50, 3)))
    return policy


def _obs(n: int) -> np.ndarray:
    return np.random.default_rng(5).standard_normal((n, 3)).astype(np.float32)


@pytest.mark.parametrize("kind", sorted(ACTIONS))
@pytest.mark.parametrize("mode", ["greedy", "sample"])
def test_actions_are_in_the_space(kind: str, mode) -> None:
    space = ACTIONS[kind]
    actions = _policy(space).act(_obs(40), mode, np.random.default_rng(0))
    wanted = np.float32 if kind == "continuous" else np.int64
    assert len(actions) == 40 and actions.dtype == wanted
    for action in actions:
        assert space.contains(np.asarray(action, dtype=space.dtype))


def test_a_row_is_computed_alike_whatever_stands_beside_it() -> None:
    policy, obs = _policy(ACTIONS["continuous"]), _obs(33)
    together = policy.act(obs, "sample", spawn_generators(range(33)))
    alone = [policy.act(obs[i : i + 1], "sample", spawn_generators([i]))[0] for i in range(33)]
    assert np.array_equal(together, np.stack(alone))


def test_sampling_follows_the_probabilities() -> None:
    head = CategoricalHead([3], [0], single=True)
    logits = np.log(np.array([0.7, 0.1, 0.2]))
    raw = head.sample(np.tile(logits, (20_000, 1)), None, np.random.default_rng(0))
    assert np.bincount(raw[:, 0]) / 20_000 == pytest.approx([0.7, 0.1, 0.2], abs=0.015)


def test_bounded_actions_fill_their_range() -> None:
    head = GaussianHead(np.array([0.0]), np.array([10.0]))
    assert head.execute(np.array([[-9.0], [-1.0], [0.0], [1.0], [9.0]])).ravel().tolist() == [0, 0, 5, 10, 10]


def test_a_kind_of_action_that_cannot_be_learnt_is_named() -> None:
    with pytest.raises(EnvironmentFault, match="Text"):
        head_for(gymnasium.spaces.Text(3))


def test_actor_and_critic_agree_with_computing_both_at_once() -> None:
    policy = _policy(ACTIONS["discrete"])
    x = _obs(16)
    top = hidden_layers(policy.params, policy.shape, x)[-1]
    out = top[0] @ policy.params["actor.weight"] + policy.params["actor.bias"]
    value = (top[1] @ policy.params["critic.weight"])[:, 0] + policy.params["critic.bias"][0]
    assert np.allclose(out, actor_output(policy.params, policy.shape, x), atol=1e-6)
    assert np.allclose(value, values(policy.params, policy.shape, x), atol=1e-6)


@pytest.mark.parametrize("normalised", [True, False])
@pytest.mark.parametrize("kind", sorted(ACTIONS))
def test_round_trip(tmp_path: Path, kind: str, normalised: bool) -> None:
    policy = _policy(ACTIONS[kind], normalised=normalised)
    policy.action_mode = "sample"
    found = save_policy(tmp_path / "p", policy)
    again = load_policy(tmp_path / "p", found)
    assert again.action_mode == "sample"
    for mode in ("greedy", "sample"):
        ours = policy.act(_obs(9), mode, np.random.default_rng(1))
        assert np.array_equal(ours, again.act(_obs(9), mode, np.random.default_rng(1)))
    assert save_policy(tmp_path / "q", again) == found
    assert sorted(p.name for p in (tmp_path / "p").iterdir()) == ["policy.json", "policy.safetensors"]


def _flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(bytes(data))


def test_damage_is_refused(tmp_path: Path) -> None:
    policy = _policy(ACTIONS["discrete"])

    def fresh() -> Path:
        save_policy(tmp_path, policy)
        return tmp_path

    _flip(fresh() / "policy.safetensors", -1)
    with pytest.raises(WorkspaceError, match="hash"):
        load_policy(tmp_path)
    described = json.loads((fresh() / "policy.json").read_text())
    described["normaliser"]["mean"][0] += 1e-9
    (tmp_path / "policy.json").write_text(json.dumps(described))
    with pytest.raises(WorkspaceError, match="hash"):
        load_policy(tmp_path)
    (fresh() / "policy.json").write_text("{")
    with pytest.raises(WorkspaceError, match="cannot be read"):
        load_policy(tmp_path)
    (tmp_path / "policy.json").write_text("[]")
    with pytest.raises(WorkspaceError, match="not an object"):
        load_policy(tmp_path)
    with pytest.raises(WorkspaceError, match="was expected"):
        load_policy(fresh(), "0" * 32)
    with pytest.raises(WorkspaceError, match="cannot be read"):
        load_policy(tmp_path / "nowhere")


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    policy = _policy(ACTIONS["discrete"])
    policy.params = {**policy.params, "actor.bias": np.zeros(9, np.float32)}
    save_policy(tmp_path, policy)
    with pytest.raises(WorkspaceError, match="shapes"):
        load_policy(tmp_path)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=30), min_size=1, max_size=6),
)
def test_moments_of_parts_are_those_of_the_whole(parts: list[list[float]]) -> None:
    moments = Moments(1)
    for part in parts:
        moments.update(np.array(part)[:, None])
    whole = np.concatenate([np.array(p) for p in parts])
    assert moments.count == len(whole)
    assert moments.mean[0] == pytest.approx(whole.mean(), abs=1e-6)
    assert moments.var[0] == pytest.approx(whole.var(), abs=1e-5, rel=1e-6)


def test_normaliser_centres_scales_and_clips() -> None:
    rng = np.random.default_rng(0)
    batch = rng.normal([5.0, -300.0], [0.1, 40.0], (4000, 2)).astype(np.float32)
    normaliser = Normaliser(2)
    normaliser.update(batch)
    scaled = normaliser.apply(batch)
    assert scaled.dtype == np.float32
    assert np.allclose(scaled.mean(0), 0, atol=1e-3) and np.allclose(scaled.std(0), 1, atol=1e-2)
    assert normaliser.apply(np.array([[1e6, -1e6]], np.float32)).tolist() == [[10.0, -10.0]]
    assert (
        Normaliser.from_json(json.loads(json.dumps(normaliser.to_json()))).to_json() == normaliser.to_json()
    )


def test_reward_scale_is_the_deviation_of_the_discounted_return() -> None:
    scaler = RewardScaler(2, gamma=0.5)
    rewards = np.array([[1.0, 0.0], [1.0, 2.0], [1.0, 0.0]])
    done = np.array([[False, False], [True, False], [False, False]])
    scaled = scaler.scale(rewards, done)
    returns = np.array([1.0, 0.0, 1.5, 2.0, 1.0, 1.0])
    assert scaled == pytest.approx(rewards / returns.std(), rel=1e-5)
