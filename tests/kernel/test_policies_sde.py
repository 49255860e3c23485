"""State-dependent exploration: Stable-Baselines3's likelihood and gradient, held noise, trainings that learn."""

from __future__ import annotations

import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from experimenter.envs.pipeline import Pipeline
from experimenter.envs.spaces import space_to_json
from experimenter.envs.vector import SyncVector
from experimenter.errors import TrainingFault
from experimenter.identity import canonical_json
from experimenter.judge.evaluate import evaluate
from experimenter.policies.network import Shape, actor_output, initial_params, views
from experimenter.policies.policy import Policy, load_policy, save_policy
from experimenter.policies.sde import SDEHead
from experimenter.records import Design, EnvSpec, Hyperparameters, JudgeSpec, Network
from experimenter.rl.gradient import LossWeights, Minibatch
from experimenter.rl.population import train_population
from experimenter.rl.rollout import Collector
from experimenter.rl.training import TrainJob, train
from tests.kernel.rl_samples import CARTPOLE, TINY, job, lasting, phase, quiet

BOX = spaces.Box(-2.0, 2.0, (2,), np.float32)
WEIGHTS = LossWeights(clip_coef=0.2, ent_coef=0.013, vf_coef=0.5)


class Aim(gymnasium.Env):
    """What is seen is what is to be done, twenty times; the reward is what it misses by, squared."""

    observation_space = spaces.Box(-1.0, 1.0, (1,), np.float32)
    action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.left = 20
        return self._shown(), {}

    def step(self, action):
        self.left -= 1
        missed = -float((action[0] - self.shown[0]) ** 2)
        return self._shown(), missed, self.left == 0, False, {}

    def _shown(self):
        self.shown = self.np_random.uniform(-1.0, 1.0, 1).astype(np.float32)
        return self.shown


gymnasium.register("TinyAim-v0", Aim)
AIM = EnvSpec(id="TinyAim-v0")
SMOOTH = Hyperparameters(
    num_envs=4, num_steps=40, minibatch_size=80, learning_rate=3e-3, ent_coef=0.0, sde=True, log_std_init=-1.0,
    normalize_observations=False,
)  # fmt: skip


def _asked(workspace: Path, steps: int, hyper: Hyperparameters = SMOOTH, **changes: object) -> TrainJob:
    return job(workspace, phase(AIM, steps=steps, hyper=hyper), environment=AIM, **changes)


def _policy(network: Network = TINY) -> Policy:
    seen = spaces.Box(-1.0, 1.0, (3,), np.float32)
    policy = Policy(
        Pipeline.for_space(seen), None, network, {}, space_to_json(seen), space_to_json(BOX), said="sde"
    )
    rng = np.random.default_rng(5)
    flat = initial_params(policy.shape, rng) + rng.normal(0, 0.3, policy.shape.size).astype(np.float32)
    policy.params = views(flat, policy.shape)
    return policy


@pytest.mark.parametrize("hidden", [(), (16,), (16, 12)])
def test_likelihood_and_gradient_are_those_of_stable_baselines(hidden: tuple[int, ...]) -> None:
    """Its distribution over a network of torch's, differentiated by torch; old log-probabilities are moved away, so
    that a good part of the ratios is clipped."""
    torch = pytest.importorskip("torch")
    distributions = pytest.importorskip("stable_baselines3.common.distributions")
    from experimenter.rl.autograd import AutogradLearner

    rng, n = np.random.default_rng(7), 41
    shape = Shape(5, hidden, 2, True, sde=True)
    head = SDEHead(BOX.low, BOX.high).above(shape.top)
    flat = initial_params(shape, rng).astype(np.float64) + rng.normal(0, 0.3, shape.size)
    params = views(flat, shape)
    obs, raw = rng.standard_normal((n, 5)), rng.standard_normal((n, 2))

    tensors = {name: torch.tensor(array, requires_grad=True) for name, array in params.items()}
    h = [torch.tensor(obs)] * 2
    for i in range(len(hidden)):
        weight, bias = tensors[f"hidden.{i}.weight"], tensors[f"hidden.{i}.bias"]
        h = [torch.tanh(h[half] @ weight[half] + bias[half]) for half in (0, 1)]
    mean = h[0] @ tensors["actor.weight"] + tensors["actor.bias"]
    value = (h[1] @ tensors["critic.weight"])[:, 0] + tensors["critic.bias"][0]
    made = distributions.StateDependentNoiseDistribution(2)
    made.proba_distribution_net(shape.top)
    made.proba_distribution(mean, tensors["actor.log_std"], h[0])
    log_prob, entropy = made.log_prob(torch.tensor(raw)), made.entropy()

    out = np.concatenate([mean.detach().numpy(), h[0].detach().numpy()], axis=1)
    ours = head.forward(out, params["actor.log_std"], raw)
    assert np.abs(ours.log_prob - log_prob.detach().numpy()).max() < 1e-9
    assert np.abs(ours.entropy - entropy.detach().numpy()).max() < 1e-9

    old = ours.log_prob + rng.normal(0, 0.3, n)
    batch = Minibatch(obs, raw, old, rng.standard_normal(n), rng.standard_normal(n))
    ratio = (log_prob - torch.tensor(old)).exp()
    advantage, clipped = torch.tensor(batch.advantage), ratio.clamp(0.8, 1.2)
    loss = torch.max(-advantage * ratio, -advantage * clipped).mean() - WEIGHTS.ent_coef * entropy.mean()
    loss = loss + WEIGHTS.vf_coef * 0.5 * (value - torch.tensor(batch.target)).square().mean()
    loss.backward()

    parts, gradient = AutogradLearner(shape, head, flat).loss_and_gradient(batch, WEIGHTS)
    assert parts.total(WEIGHTS) == pytest.approx(loss.item(), rel=1e-10)
    assert 0.1 < parts.clip_share < 0.9
    for name, array in views(gradient, shape).items():
        expected = tensors[name].grad.numpy()
        assert np.abs(expected).max() > 1e-6, name
        assert np.abs(array - expected).max() / np.abs(expected).max() < 1e-8, name


def test_what_is_drawn_has_the_likelihood_that_is_learnt_from() -> None:
    policy, rng = _policy(), np.random.default_rng(1)
    seen = np.repeat(rng.uniform(-1, 1, (1, 3)).astype(np.float32), 20_000, axis=0)
    out, log_std = policy.outputs(seen), policy.params["actor.log_std"]
    raw = policy.head.sample(out, log_std, rng)
    entropy = policy.head.forward(out[:1], log_std, raw[:1]).entropy[0]
    told = policy.head.forward(out, log_std, raw).log_prob
    assert -told.mean() == pytest.approx(entropy, abs=0.03)
    assert np.abs(raw.mean(axis=0) - out[0, :2]).max() < 0.05


@pytest.mark.parametrize(("every", "held"), [(-1, (12,)), (5, (5, 5, 2)), (40, (12,))])
def test_the_noise_is_one_function_of_the_state_as_long_as_it_is_held(
    every: int, held: tuple[int, ...]
) -> None:
    vector = SyncVector(AIM, 3)
    policy = Policy(
        Pipeline.for_space(Aim.observation_space), None, Network(hidden=(3,)), {},
        space_to_json(Aim.observation_space), space_to_json(Aim.action_space), said="sde",
    )  # fmt: skip
    policy.params = views(initial_params(policy.shape, np.random.default_rng(2)) + 0.5, policy.shape)
    collector = Collector(vector, policy, held=every)
    collector.reset((1, 2, 3))
    rng = np.random.default_rng(4)
    first, second = (collector.collect(12, rng) for _ in range(2))
    vector.close()
    found = []
    for rollout in (first, second):
        start = 0
        for length in held:
            for env in range(3):
                part = slice(start, start + length)
                out = policy.outputs(rollout.inputs[part, env])
                noise, hidden = rollout.raw[part, env] - out[:, :1], out[:, 1:]
                matrix, *_ = np.linalg.lstsq(hidden, noise, rcond=None)
                assert np.abs(hidden @ matrix - noise).max() < 1e-5
                if length > 3:
                    found.append(matrix[:, 0])
            start += length
    assert len(found) >= 6
    assert min(np.abs(a - b).max() for i, a in enumerate(found) for b in found[:i]) > 0.01


def test_a_stored_policy_acts_as_before_and_is_judged_by_its_means(tmp_path: Path) -> None:
    policy = _policy()
    save_policy(tmp_path, policy)
    assert '"head":"sde"' in (tmp_path / "policy.json").read_text().replace(" ", "")
    loaded = load_policy(tmp_path)
    assert loaded.params["actor.log_std"].shape == (16, 2)
    seen = np.random.default_rng(0).uniform(-1, 1, (9, 3)).astype(np.float32)
    rngs = [np.random.default_rng(i) for i in range(9)], [np.random.default_rng(i) for i in range(9)]
    for mode, drawn in (("greedy", rngs), ("sample", rngs)):
        assert np.array_equal(policy.act(seen, mode, drawn[0]), loaded.act(seen, mode, drawn[1]))
    assert policy.head.modes == ("greedy",)


def test_it_learns_to_aim_and_a_killed_training_comes_to_the_same(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    asked = _asked(tmp_path / "whole", 9_600, chunk_steps=3_200)
    whole = train(asked, quiet)
    train(_asked(tmp_path / "parts", 9_600, chunk_steps=3_200, until=3_200), quiet)
    parts = train(_asked(tmp_path / "parts", 9_600, chunk_steps=3_200), quiet)
    assert lasting(whole) == lasting(parts)
    assert whole.policy is not None and whole.curve[-1].true_return is not None
    assert whole.curve[-1].true_return > -1.0, "who always does nothing gets about -6.7"
    policy = load_policy(asked.workspace / whole.policy.path, whole.policy.hash)
    assert policy.action_mode == "greedy" and policy.said == "sde"
    scores = evaluate(policy, AIM, range(900, 910), JudgeSpec()).scores
    assert np.mean(scores) > -1.5


def test_members_get_to_the_bit_what_they_get_alone(tmp_path: Path) -> None:
    pytest.importorskip("torch")

    def members(folder: Path) -> list[TrainJob]:
        plain = SMOOTH.model_copy(update={"sde": False})
        held = SMOOTH.model_copy(update={"sde_sample_freq": 4})
        return [
            _asked(folder / str(i), 640, hyper, step=f"s{i}", seed=20 + i)
            for i, hyper in enumerate((SMOOTH, plain, held))
        ]

    alone = [train(one, quiet) for one in members(tmp_path / "alone")]
    ended = train_population(members(tmp_path / "together"), lambda *_: None)
    for one, other in zip(ended, alone, strict=True):
        assert one.training is not None and lasting(one.training) == lasting(other)
    assert len({training.policy.hash for training in alone if training.policy}) == 3


def test_the_first_deviation_is_what_was_asked_for(tmp_path: Path) -> None:
    from experimenter.rl.beginning import fresh_policy

    for sde, shape in ((True, (16, 1)), (False, (1,))):
        hyper = SMOOTH.model_copy(update={"sde": sde, "log_std_init": -2.5})
        fresh = fresh_policy(_asked(tmp_path, 640, hyper)).params["actor.log_std"]
        assert fresh.shape == shape and (fresh == np.float32(-2.5)).all()


def test_a_network_may_begin_as_torchs_layers_do(tmp_path: Path) -> None:
    from experimenter.rl.beginning import fresh_policy

    network = Network(hidden=(64, 200), memory=9)
    hyper = SMOOTH.model_copy(update={"ortho_init": False, "log_std_init": -2.5})
    asked = _asked(tmp_path, 640, hyper, network=network)
    params = fresh_policy(asked).params
    reads = {"memory.sight": 9, "memory.state": 9, "hidden.0": 9, "hidden.1": 64, "actor": 200, "critic": 200}
    for layer, count in reads.items():
        bound = 1.0 / np.sqrt(count)
        both = np.concatenate([params[f"{layer}.weight"].ravel(), params[f"{layer}.bias"].ravel()])
        assert np.abs(both).max() <= bound and np.abs(both).max() > 0.9 * bound, layer
        assert np.std(both) == pytest.approx(bound / np.sqrt(3), rel=0.15), layer
    assert not np.array_equal(params["hidden.1.weight"][0], params["hidden.1.weight"][1])
    assert (params["actor.log_std"] == np.float32(-2.5)).all()
    usual = fresh_policy(_asked(tmp_path, 640, SMOOTH, network=network)).params["hidden.1.bias"]
    assert not usual.any()


def test_where_it_cannot_be_had_the_reason_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    discrete = job(tmp_path / "discrete", phase(CARTPOLE, steps=640, hyper=SMOOTH))
    with pytest.raises(TrainingFault, match="continuous actions") as told:
        train(discrete, quiet)
    assert "sde" in told.value.hint
    plain = SMOOTH.model_copy(update={"sde": False})
    both = phase(AIM, steps=640, hyper=SMOOTH), phase(AIM, steps=640, hyper=plain)
    with pytest.raises(TrainingFault, match="some phases"):
        train(job(tmp_path / "phases", *both, environment=AIM), quiet)
    with pytest.raises(TrainingFault, match="kernels"):
        train(_asked(tmp_path / "kernels", 640, learner="kernels"), quiet)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(TrainingFault) as missing:
        train(_asked(tmp_path / "torch", 640), quiet)
    assert "rl-experimenter[torch]" in missing.value.hint


def test_settings_without_it_are_written_as_they_always_were() -> None:
    usual = Hyperparameters()
    assert not any(name in canonical_json(usual) for name in ("sde", "log_std", "ortho"))
    asked = SMOOTH.model_copy(update={"sde_sample_freq": 8, "ortho_init": False})
    assert Hyperparameters.model_validate_json(canonical_json(asked)) == asked
    hashes = [
        Design(name="a", phases=(phase(AIM, steps=640, hyper=hyper),)).hash
        for hyper in (usual, usual.model_copy(update={"sde": True}), asked)
    ]
    assert len(set(hashes)) == 3
    with pytest.raises(ValueError, match="sde_sample_freq"):
        Hyperparameters(sde_sample_freq=0)


@pytest.mark.parametrize("network", [TINY, Network(hidden=(8,), memory=6), Network(memory=6, cell="lstm")])
def test_torch_learns_from_the_likelihood_with_which_numpy_acted(network: Network) -> None:
    torch = pytest.importorskip("torch")
    from experimenter.rl.autograd import AutogradLearner
    from experimenter.rl.tensors import Networks

    policy, rng = _policy(network), np.random.default_rng(3)
    seen = rng.normal(size=(7, 3)).astype(np.float32)
    blank = np.concatenate([seen, policy.blank(7)], axis=1)
    out = actor_output(policy.params, policy.shape, blank)
    raw = policy.head.sample(out, policy.params["actor.log_std"], rng)
    flat = np.concatenate([array.ravel() for array in policy.params.values()])
    learner = AutogradLearner(policy.shape, policy.head, flat)
    with torch.no_grad():
        made = Networks(policy.shape, flat, "cpu").both(torch.from_numpy(blank))[0]
        told = [x.numpy() for x in learner._distribution(made, torch.from_numpy(raw))]
    expected = policy.head.forward(out, policy.params["actor.log_std"], raw)
    assert np.abs(told[0] - expected.log_prob).max() < 1e-4
    assert np.abs(told[1] - expected.entropy).max() < 1e-5
