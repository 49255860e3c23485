"""Policies that remember: by numpy as by torch, judged seed by seed, and learning what no perceptron can."""

from __future__ import annotations

import json
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from experimenter.envs.pipeline import Pipeline
from experimenter.envs.spaces import space_to_json
from experimenter.envs.vector import SyncVector
from experimenter.errors import WorkspaceError
from experimenter.judge.evaluate import evaluate, play_episode
from experimenter.policies.acting import Actor
from experimenter.policies.network import Shape, actor_top, features, initial_params, perceived, views
from experimenter.policies.policy import DESCRIPTION, WEIGHTS, Policy, _hash, load_policy, save_policy
from experimenter.policies.recurrence import remembered
from experimenter.records import Convolution, EnvSpec, Hyperparameters, JudgeSpec, Network, Training
from experimenter.rl.rollout import Collector
from experimenter.rl.training import train
from tests.kernel.image_samples import Catch
from tests.kernel.rl_samples import job, phase

WAIT = 10
REMEMBERING = Network(hidden=(16,), memory=16)
LONG = Network(hidden=(16,), memory=16, cell="lstm")
CELLS = [pytest.param(REMEMBERING, id="gru"), pytest.param(LONG, id="lstm")]


class Cue(gymnasium.Env):
    """A cue of −1 or 1 is shown in the first observation only; ten steps later the action has to be the same.

    The second number says when it is time to answer. Reward 1 for the right answer, −1 for the wrong one.
    """

    observation_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.cue, self.at = int(self.np_random.integers(2)), 0
        return np.array([2 * self.cue - 1, 0], np.float32), {}

    def step(self, action):
        self.at += 1
        over = self.at > WAIT
        reward = (1.0 if action == self.cue else -1.0) if over else 0.0
        return np.array([0, self.at == WAIT], np.float32), reward, over, False, {}


gymnasium.register("TinyCue-v0", Cue)
CUE = EnvSpec(id="TinyCue-v0")


def _policy(space: spaces.Space, network: Network) -> Policy:
    acting = space_to_json(spaces.Discrete(2))
    policy = Policy(Pipeline.for_space(space), None, network, {}, space_to_json(space), acting)
    rng = np.random.default_rng(5)
    flat = initial_params(policy.shape, rng) + rng.normal(0, 0.3, policy.shape.size).astype(np.float32)
    policy.params = views(flat, policy.shape)
    return policy


def test_numpy_remembers_what_torch_remembers() -> None:
    torch = pytest.importorskip("torch")
    rng, shape = np.random.default_rng(0), Shape(5 + 6, (4,), 2, False, memory=6)
    params = views(initial_params(shape, rng), shape)
    for name in ("memory.sight.bias", "memory.state.bias"):
        params[name][:] = rng.normal(0, 0.5, 18)
    cell = torch.nn.GRUCell(5, 6)
    with torch.no_grad():
        cell.weight_ih.copy_(torch.tensor(params["memory.sight.weight"].T))
        cell.weight_hh.copy_(torch.tensor(params["memory.state.weight"].T))
        cell.bias_ih.copy_(torch.tensor(params["memory.sight.bias"]))
        cell.bias_hh.copy_(torch.tensor(params["memory.state.bias"]))
    seen, before = (rng.normal(size=(7, k)).astype(np.float32) for k in (5, 6))
    expected = cell(torch.tensor(seen), torch.tensor(before)).detach().numpy()
    assert np.abs(remembered(params, seen, before) - expected).max() < 1e-6
    assert np.array_equal(
        features(params, shape, np.concatenate([seen, before], axis=1)), remembered(params, seen, before)
    )


def test_an_lstm_of_numpy_is_torchs() -> None:
    """Step after step, from a blank memory; and a sequence of our autograd path is torch's ``LSTM``."""
    torch = pytest.importorskip("torch")
    from experimenter.rl.tensors import Networks

    rng, shape = np.random.default_rng(0), Shape(5 + 12, (4,), 2, False, memory=12, cell="lstm")
    flat = initial_params(shape, rng)
    flat += rng.normal(0, 0.4, len(flat)).astype(np.float32)
    params, cell, whole = views(flat, shape), torch.nn.LSTMCell(5, 6), torch.nn.LSTM(5, 6)
    with torch.no_grad():
        for module, end in ((cell, ""), (whole, "_l0")):
            getattr(module, f"weight_ih{end}").copy_(torch.tensor(params["memory.sight.weight"].T))
            getattr(module, f"weight_hh{end}").copy_(torch.tensor(params["memory.state.weight"].T))
            getattr(module, f"bias_ih{end}").copy_(torch.tensor(params["memory.sight.bias"]))
            getattr(module, f"bias_hh{end}").copy_(torch.tensor(params["memory.state.bias"]))
    seen = rng.normal(0, 2.0, (9, 7, 5)).astype(np.float32)
    memory, state, outputs = np.zeros((7, 12), np.float32), None, []
    for row in seen:
        memory = remembered(params, row, memory, "lstm")
        state = cell(torch.tensor(row), state)
        assert np.abs(memory - torch.cat(state, 1).detach().numpy()).max() < 1e-6
        outputs.append(memory[:, :6])
    expected = whole(torch.tensor(seen))[0].detach().numpy()
    assert np.abs(np.stack(outputs) - expected).max() < 1e-6

    rows = np.concatenate([seen, np.zeros((9, 7, 12), np.float32)], axis=2)
    out, _ = Networks(shape, flat, "cpu").in_turn(torch.from_numpy(rows), torch.ones(9, 7, 1))
    top = actor_top(params, shape, expected.reshape(-1, 6))
    assert np.abs(out.detach().numpy() - top).max() < 1e-5


@pytest.mark.parametrize(
    "network",
    [
        *CELLS,
        *(
            Network(convolution=(Convolution(filters=4, kernel=3),), memory=8, cell=c)
            for c in ("gru", "lstm")
        ),
    ],
)
def test_whole_sequences_are_what_acting_was_step_by_step(network: Network) -> None:
    """With the memory before the first step, and blank again wherever an episode ended."""
    torch = pytest.importorskip("torch")
    from experimenter.rl.tensors import Networks

    rng = np.random.default_rng(3)
    policy = _policy(Catch.observation_space if network.convolution else Cue.observation_space, network)
    steps, n, m = 9, 4, policy.shape.memory
    seen = rng.random((steps, n, policy.shape.inputs - m)).astype(np.float32)
    over = rng.random((steps, n)) < 0.25
    memory = rng.normal(size=(n, m)).astype(np.float32)
    rows = np.empty((steps, n, policy.shape.inputs), np.float32)
    for t in range(steps):
        rows[t] = np.concatenate([seen[t], memory], axis=1)
        memory = perceived(policy.params, policy.shape, rows[t])
        memory[over[t]] = 0.0
    begun = np.ones((steps, n, 1), np.float32)
    begun[1:, :, 0] -= over[:-1]
    flat = np.concatenate([array.ravel() for array in policy.params.values()])
    networks = Networks(policy.shape, flat, "cpu")
    with torch.no_grad():
        out, value = networks.in_turn(torch.from_numpy(rows), torch.from_numpy(begun))
        expected_out, expected = networks.both(torch.from_numpy(rows.reshape(steps * n, -1)))
    assert over[:-1].sum() > 3
    assert np.abs((out - expected_out).numpy()).max() < 1e-5
    assert np.abs((value - expected).numpy()).max() < 1e-5


@pytest.mark.parametrize("network", CELLS)
def test_a_rollout_keeps_each_environments_memory_until_its_episode_ends(network: Network) -> None:
    policy, vector = _policy(Cue.observation_space, network), SyncVector(CUE, 3)
    collector = Collector(vector, policy)
    collector.reset((1, 2, 3))
    first, second = (collector.collect(8, np.random.default_rng(i)) for i in (0, 1))
    vector.close()
    rows = np.concatenate([first.inputs, second.inputs])
    done = np.concatenate([first.done, second.done])
    assert done.sum() == 3
    memory = policy.blank(3)
    for t in range(16):
        assert np.array_equal(rows[t, :, 2:], memory), t
        memory = perceived(policy.params, policy.shape, rows[t])
        memory[done[t]] = 0.0
    assert np.array_equal(first.last_inputs, second.inputs[0])
    assert np.abs(memory).max() > 0.01


@pytest.mark.parametrize("network", CELLS)
def test_a_seeds_result_depends_on_the_seed_alone(network: Network, tmp_path: Path) -> None:
    policy = _policy(Cue.observation_space, network)
    seeds = list(range(40, 61))
    made = [evaluate(policy, CUE, seeds, JudgeSpec(), "sample", seats=seats) for seats in (1, 5, 16)]
    assert made[0].scores == made[1].scores == made[2].scores
    assert len(set(made[0].scores)) == 2
    watched = [
        play_episode(policy, CUE, seed, JudgeSpec(), "sample", lambda _: None).score for seed in seeds[:6]
    ]
    assert tuple(watched) == made[0].scores[:6]

    save_policy(tmp_path / "policy", policy)
    actor, env = Actor(load_policy(tmp_path / "policy")), gymnasium.make("TinyCue-v0")
    actor.policy.action_mode = "sample"
    for seed, score in zip(seeds[:6], made[0].scores, strict=False):
        (observation, _), reward, over = env.reset(seed=seed), 0.0, False
        actor.reset(seed)
        while not over:
            observation, reward, over, _, _ = env.step(actor.act(observation))
        assert reward == score


def test_the_kind_of_memory_is_written_only_where_it_is_another(tmp_path: Path) -> None:
    assert "cell" not in REMEMBERING.model_dump(mode="json")
    assert Network.model_validate(LONG.model_dump(mode="json")) == LONG
    assert "LSTM" in LONG.words and "LSTM" not in REMEMBERING.words
    with pytest.raises(ValueError, match="memory"):
        Network(cell="lstm")

    policy, kept = _policy(Cue.observation_space, LONG), tmp_path / "policy"
    save_policy(kept, policy)
    loaded, seen = load_policy(kept), np.random.default_rng(1).normal(size=(5, 2)).astype(np.float32)
    first, second = policy.blank(5), loaded.blank(5)
    for _ in range(3):
        assert np.array_equal(policy.outputs(seen, first), loaded.outputs(seen, second))
    assert np.array_equal(first, second) and first.shape == (5, 32) and np.abs(first).max() > 0.01


@pytest.mark.parametrize(
    "changes", [{"cell": "peephole"}, {"memory": 0}, {"cell": None}, {"memory": 15}, {"cell": "gru"}]
)
def test_a_stored_memory_of_another_kind_is_refused(changes: dict, tmp_path: Path) -> None:
    """Also where whoever wrote it made the hash fit."""
    save_policy(tmp_path, _policy(Cue.observation_space, LONG))
    described = json.loads((tmp_path / DESCRIPTION).read_text())
    described["architecture"] |= changes
    described["hash"] = _hash(described, (tmp_path / WEIGHTS).read_bytes())
    (tmp_path / DESCRIPTION).write_text(json.dumps(described))
    with pytest.raises(WorkspaceError, match="damaged"):
        load_policy(tmp_path)


def test_a_policy_that_remembers_is_not_asked_without_its_memory() -> None:
    policy = _policy(Cue.observation_space, REMEMBERING)
    with pytest.raises(ValueError, match="remembers"):
        policy.act(np.zeros((2, 2), np.float32), "greedy", np.random.default_rng(0))


def _trained(workspace: Path, network: Network, steps: int) -> Training:
    hyper = Hyperparameters(
        num_envs=16, num_steps=44, minibatch_size=352, update_epochs=6, learning_rate=3e-3, gamma=0.98,
        normalize_observations=False,
    )  # fmt: skip
    asked = job(
        workspace, phase(CUE, steps=steps, hyper=hyper), environment=CUE, network=network, chunk_steps=4224
    )
    return train(asked, lambda _: None)


@pytest.mark.parametrize("network", CELLS)
def test_remembering_solves_what_a_perceptron_cannot(network: Network, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    remembering = _trained(tmp_path / "remembering", network, 8_448)
    forgetful = _trained(tmp_path / "mlp", Network(hidden=(16,)), 8_448)
    assert remembering.curve[-1].true_return is not None
    assert forgetful.curve[-1].true_return is not None
    assert remembering.curve[-1].true_return > 0.95
    assert forgetful.curve[-1].true_return < 0.6
