"""Hand-derived kernels, PyTorch's derivatives and Stable-Baselines3 learn alike: exactly at first, in the end by seeds.

All three train PPO on CartPole with the same settings, in the end from the same first weights. What they come to is
judged by the frozen judge, greedily, on the same episodes, and compared by the statistics that verdicts rest on: one
score for each training seed, interquartile means, and the bootstrap's 95 % interval of their difference.
Stable-Baselines3's networks are moved into a policy of ours, weight by weight, so that the judge plays all of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experimenter.envs.vector import SyncVector
from experimenter.identity import seeds
from experimenter.judge.evaluate import evaluate
from experimenter.judge.statistics import compare, interval
from experimenter.policies.network import Params, views
from experimenter.policies.policy import Policy, load_policy, save_policy
from experimenter.records import Hyperparameters, JudgeSpec, Network, PolicyRef
from experimenter.rl.beginning import fresh_policy
from experimenter.rl.learners import make_learner
from experimenter.rl.ppo import Rollout
from experimenter.rl.rollout import Collector
from experimenter.rl.state import load_newest
from experimenter.rl.training import TrainJob, train
from tests.kernel.rl_samples import CARTPOLE, job, phase, quiet

torch = pytest.importorskip("torch")
sb3 = pytest.importorskip("stable_baselines3")

# Those of rl-baselines3-zoo for CartPole, with smaller minibatches and fewer passes: most trainings come to 500 so
# within these few steps. Nothing is normalised, because only ours would.
SETTINGS = Hyperparameters(
    num_envs=8, num_steps=32, minibatch_size=64, update_epochs=10, learning_rate=1e-3, gamma=0.98, gae_lambda=0.8,
    ent_coef=0.0, normalize_observations=False, normalize_rewards=False,
)  # fmt: skip
WHOLE = SETTINGS.model_copy(update={"minibatch_size": 256, "update_epochs": 20})
NETWORK = Network(hidden=(64, 64))
STEPS = 20_480
SEEDS = range(20)
# Of 500, the range of CartPole's scores.
MARGIN = 25.0


def _ours(folder: Path, learner: str, seed: int, steps: int = STEPS, **change: Any) -> TrainJob:
    """One chunk without validation, so that what is judged is the last policy, as with the library."""
    made = {"learner": learner, "seed": seed, "chunk_steps": steps, "validation_seeds": (), **change}
    learning = phase(CARTPOLE, steps=STEPS, hyper=SETTINGS)
    return job(folder / learner / str(seed), learning, network=NETWORK, until=steps, **made)


def _from(first: Policy, one: TrainJob) -> TrainJob:
    """The same training from these weights."""
    found = save_policy(one.workspace / "first", first)
    start = PolicyRef(path="first", hash=found, lineage_steps=0)
    return one.model_copy(update={"design": one.design.model_copy(update={"start": start})})


def _trained(one: TrainJob) -> Policy:
    training = train(one, quiet)
    assert training.policy is not None
    return load_policy(one.workspace / training.policy.path, training.policy.hash)


def _library(seed: int, s: Hyperparameters = SETTINGS) -> Any:
    from stable_baselines3.common.env_util import make_vec_env

    torch.set_num_threads(1)
    return sb3.PPO(
        "MlpPolicy", make_vec_env("CartPole-v1", s.num_envs, seed=seed), n_steps=s.num_steps,
        batch_size=s.minibatch_size, n_epochs=s.update_epochs, learning_rate=lambda left: s.learning_rate * left,
        gamma=s.gamma, gae_lambda=s.gae_lambda, clip_range=s.clip_coef, ent_coef=s.ent_coef,
        # Its value loss is the mean squared error, ours half of it.
        vf_coef=s.vf_coef / 2, max_grad_norm=s.max_grad_norm, policy_kwargs={"net_arch": list(NETWORK.hidden)},
        seed=seed, device="cpu",
    )  # fmt: skip


def _pairs(model: Any, params: Params) -> list[tuple[Any, np.ndarray]]:
    """The library's parameters beside our views of the same numbers, transposed where it keeps them transposed."""
    towers = (model.policy.mlp_extractor.policy_net, model.policy.mlp_extractor.value_net)
    made = []
    for net, tower in enumerate(towers):
        for index, layer in enumerate((tower[0], tower[2])):
            made.append((layer.weight, params[f"hidden.{index}.weight"][net].T))
            made.append((layer.bias, params[f"hidden.{index}.bias"][net, 0]))
    for name, layer in (("actor", model.policy.action_net), ("critic", model.policy.value_net)):
        made += [(layer.weight, params[f"{name}.weight"].T), (layer.bias, params[f"{name}.bias"])]
    return made


def _moved(model: Any, like: Policy) -> Policy:
    """The library's networks as a policy of ours."""
    for theirs, ours in _pairs(model, like.params):
        ours[...] = theirs.detach().numpy()
    return like


def _judged(policy: Policy) -> float:
    found = evaluate(policy, CARTPOLE, seeds(0, "confirm_eval", 20), JudgeSpec(), "greedy")
    return float(np.mean(found.scores))


def test_both_learners_of_ours_train_alike_at_first(tmp_path: Path) -> None:
    """The same curves and weights for four chunks; later, where rounding has changed an action, no longer."""
    for seed in range(3):
        made = []
        for learner in ("kernels", "autograd"):
            one = _ours(
                tmp_path, learner, seed, 1024, chunk_steps=256, validation_seeds=seeds(0, "validation", 4)
            )
            state = (train(one, quiet), load_newest(Path(one.folder)))
            assert state[1] is not None
            made.append((state[0].curve, state[1].flat))
        (curve, weights), (other_curve, other_weights) = made
        assert [point.true_return for point in curve] == [point.true_return for point in other_curve]
        assert np.abs(weights - other_weights).max() < 1e-4
        shaped, other = ([point.shaped_return for point in c] for c in (curve, other_curve))
        assert shaped == other and len({point.steps for point in curve}) == 4


def test_an_update_from_the_same_rollout_ends_where_the_librarys_ends(tmp_path: Path) -> None:
    """Twenty passes over one rollout as a single minibatch, whose order does not matter: weight by weight."""
    for seed in range(3):
        rollout, policy, model = _rollout(tmp_path, seed)
        flat, shape = np.concatenate([p.reshape(-1) for p in policy.params.values()]), policy.shape
        learner = make_learner(_ours(tmp_path, "kernels", seed), shape, policy.head, flat)
        _update(model, rollout)
        learner.update(rollout, WHOLE, WHOLE.learning_rate, np.random.default_rng(seed))
        for theirs, ours in _pairs(model, views(flat, shape)):
            np.testing.assert_allclose(theirs.detach().numpy(), ours, rtol=0, atol=2e-5)
        before = np.concatenate([array.reshape(-1) for array in policy.params.values()])
        assert np.abs(flat - before).max() > 1e-3, "something was learnt"


def _rollout(folder: Path, seed: int) -> tuple[Rollout, Policy, Any]:
    """What a fresh policy of the library's weights did, and both sides' copies of it."""
    model = _library(seed, WHOLE)
    policy = _moved(model, fresh_policy(_ours(folder, "kernels", seed)))
    vector = SyncVector(CARTPOLE, SETTINGS.num_envs)
    collector = Collector(vector, policy)
    collector.reset(tuple(range(SETTINGS.num_envs)))
    e = collector.collect(SETTINGS.num_steps, np.random.default_rng(seed))
    assert e.terminated.any() and not e.truncated.any()
    reward = e.native.astype(np.float32)
    made = (e.inputs, e.raw, reward, e.terminated, e.truncated, e.final_inputs, e.final_at, e.last_inputs)
    return Rollout(*made), policy, model


def _update(model: Any, r: Rollout) -> None:
    """The library's own update, on this rollout."""
    model._setup_learn(1, None)
    buffer, started = model.rollout_buffer, np.ones(SETTINGS.num_envs, dtype=bool)
    buffer.reset()
    with torch.no_grad():
        for t in range(len(r.obs)):
            value, log_prob, _ = model.policy.evaluate_actions(
                torch.tensor(r.obs[t]), torch.tensor(r.raw[t, :, 0])
            )
            buffer.add(r.obs[t], r.raw[t], r.reward[t], started, value, log_prob)
            started = r.terminated[t]
        last = model.policy.predict_values(torch.tensor(r.last_obs))
    buffer.compute_returns_and_advantage(last_values=last, dones=started)
    model._current_progress_remaining = 1.0
    model.train()


@pytest.mark.slow
def test_over_twenty_seeds_all_three_end_alike(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No lead whose 95 % interval leaves ±25 of 500 without holding zero."""
    scores: dict[str, list[float]] = {"kernels": [], "autograd": [], "library": []}
    for seed in SEEDS:
        model, like = _library(seed), fresh_policy(_ours(tmp_path, "kernels", seed))
        first = _moved(model, like.copy())
        for learner in ("kernels", "autograd"):
            scores[learner].append(_judged(_trained(_from(first, _ours(tmp_path, learner, seed)))))
        scores["library"].append(_judged(_moved(model.learn(STEPS), like)))
    ends = {name: interval(own, 0) for name, own in scores.items()}
    said = [f"{name}: IQM {end.iqm:.1f} [{end.low:.1f}, {end.high:.1f}]" for name, end in ends.items()]
    pairs = [("kernels", "autograd"), ("kernels", "library"), ("autograd", "library")]
    found = [compare(other, scores[one], scores[other], seed=0) for one, other in pairs]
    for (one, other), f in zip(pairs, found, strict=True):
        said.append(f"{one} - {other}: {f.difference:+.1f} [{f.low:+.1f}, {f.high:+.1f}], p {f.p:.2f}")
    with capsys.disabled():
        print("", *said, sep="\n")
    for f in found:
        assert f.low <= 0.0 <= f.high or -MARGIN <= f.low <= f.high <= MARGIN
    assert min(end.iqm for end in ends.values()) > 300, "and all of them learnt"
