"""Stable-Baselines3's networks as our policies: the same actions, the same values, the same advantages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from experimenter.policies.policy import Policy
from experimenter.records import Hyperparameters, Network, OffPolicySettings
from experimenter.rl.algorithms import algorithm
from experimenter.rl.ppo import Learner, Rollout, advantages
from tests.plugins.algorithm_samples import blank_policy

pytest.importorskip("sb3_contrib")
torch = pytest.importorskip("torch")

REPLAYING = ("td3", "tqc", "sb3-sac", "qrdqn", "sb3-dqn")
ROLLING = ("trpo", "sb3-ppo", "recurrent-ppo")


def _model(name: str, policy: Policy, settings: Any = None) -> Any:
    default = Hyperparameters() if name in ROLLING else OffPolicySettings()
    return algorithm(name).model()(policy, settings or default, np.random.default_rng(3))  # type: ignore[attr-defined]


def _shaken(model: Any) -> None:
    """Weights that no initialisation would give, so that no layer is left out of the comparison by being zero."""
    with torch.no_grad():
        for weight in model.model.policy.parameters():
            weight.add_(
                0.2 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(weight.numel()))
            )


def _stretched(policy: Policy, predicted: np.ndarray) -> np.ndarray:
    """What the library calls an action, in the environment's own measure."""
    raw = predicted[:, None] if predicted.ndim == 1 else predicted
    return policy.head.execute(raw)


SPACES = [
    *((name, None) for name in (*REPLAYING, "trpo", "sb3-ppo")),
    ("trpo", spaces.Discrete(4, start=2)),
    ("sb3-ppo", spaces.MultiDiscrete([3, 2])),
    ("sb3-ppo", spaces.MultiBinary(3)),
]


@pytest.mark.parametrize(("name", "space"), SPACES, ids=str)
def test_a_converted_policy_acts_as_the_librarys_own_does(name: str, space: Any) -> None:
    policy = blank_policy(name, space)
    model = _model(name, policy)
    _shaken(model)
    model.show()
    seen = 3 * np.random.default_rng(0).standard_normal((1000, 5)).astype(np.float32)
    expected, _ = model.model.predict(seen, deterministic=True)
    found = policy.act(seen, "greedy", np.random.default_rng(0))
    assert len(np.unique(found, axis=0)) > 3
    np.testing.assert_allclose(found, _stretched(policy, expected), atol=1e-5)


def test_a_converted_memory_acts_as_the_librarys_own_does() -> None:
    policy = blank_policy("recurrent-ppo", network=Network(hidden=(16,), memory=8, cell="lstm"))
    model = _model("recurrent-ppo", policy)
    _shaken(model)
    model.show()
    rng, memory, state = np.random.default_rng(0), policy.blank(10), None
    for _ in range(100):
        seen = rng.standard_normal((10, 5)).astype(np.float32)
        expected, state = model.model.predict(seen, state=state, deterministic=True)
        found = policy.act(seen, "greedy", rng, memory)
        np.testing.assert_allclose(found, _stretched(policy, expected), atol=1e-5)


@pytest.mark.parametrize("name", [*REPLAYING, *ROLLING])
def test_a_policy_to_start_from_is_taken_over_exactly(name: str) -> None:
    network = Network(hidden=(16,), memory=8, cell="lstm") if name == "recurrent-ppo" else None
    policy = blank_policy(name, network=network)
    given = {key: array.copy() for key, array in policy.params.items()}
    model = _model(name, policy)
    model.adopt()
    for array in policy.params.values():
        array[...] = 0.0
    model.show()
    width = policy.head.width
    for key, array in policy.params.items():
        # TD3's deviations are constants, whatever they were.
        part = slice(0, width) if name == "td3" and key.startswith("actor") else slice(None)
        np.testing.assert_allclose(array[..., part], given[key][..., part], rtol=1e-6, atol=1e-7)


def _rollout(rng: np.random.Generator) -> Rollout:
    """Twelve steps in three environments, some of which end or are cut; what followed a cut is far from a reset."""
    shape = (12, 3)
    terminated = rng.random(shape) < 0.15
    truncated = ~terminated & (rng.random(shape) < 0.2)
    times, envs = np.nonzero(truncated)
    return Rollout(
        obs=rng.standard_normal((*shape, 5)).astype(np.float32),
        raw=rng.standard_normal((*shape, 2)).astype(np.float32),
        reward=rng.standard_normal(shape).astype(np.float32),
        terminated=terminated, truncated=truncated,
        final_obs=5 * rng.standard_normal((len(times), 5)).astype(np.float32), final_at=(times, envs),
        last_obs=rng.standard_normal((3, 5)).astype(np.float32),
    )  # fmt: skip


def test_the_librarys_advantages_are_ours_where_episodes_end_and_where_they_are_cut() -> None:
    rollout, hyper = _rollout(np.random.default_rng(4)), Hyperparameters(gamma=0.97, gae_lambda=0.9)
    assert rollout.truncated.sum() > 3 and rollout.terminated.sum() > 1
    policy = blank_policy("sb3-ppo")
    model = _model("sb3-ppo", policy)
    model.adopt()
    buffer, entropy = model.filled(rollout, hyper)
    flat = np.concatenate([array.reshape(-1) for array in policy.params.values()])
    ours = Learner(policy.shape, policy.head, flat)
    log_prob, value = ours._judge(rollout.obs.reshape(-1, 5), rollout.raw.reshape(-1, 2))
    np.testing.assert_allclose(buffer.values.reshape(-1), value, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(buffer.log_probs.reshape(-1), log_prob, rtol=1e-4, atol=1e-5)
    value = value.reshape(12, 3)
    gae = advantages(
        rollout.reward, value, ours.next_values(rollout, value), rollout.terminated, rollout.truncated, 0.97, 0.9
    )  # fmt: skip
    np.testing.assert_allclose(buffer.advantages, gae.advantage, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(buffer.returns, gae.target, rtol=1e-4, atol=1e-4)
    nothing = np.zeros((1, 2))
    ours_entropy = ours.head.forward(nothing, ours.params["actor.log_std"], nothing).entropy[0]
    assert entropy == pytest.approx(ours_entropy, rel=1e-5)
