"""One update of ours and one of Stable-Baselines3, from the same weights and the same batch, end alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from experimenter.rl.offpolicy.batch import Batch
from experimenter.rl.offpolicy.dqn import DQNLearner, DQNShape
from experimenter.rl.offpolicy.perceptron import Layer
from experimenter.rl.offpolicy.sac import SACLearner, SACShape

sb3 = pytest.importorskip("stable_baselines3")
torch = pytest.importorskip("torch")

INPUTS, ACTIONS, N, RATE = 5, 3, 32, 3e-4


class _Space:
    """An environment's spaces, for a library that asks for an environment."""

    def __new__(cls, action_space: spaces.Space[Any]) -> Any:
        import gymnasium

        class Still(gymnasium.Env[Any, Any]):
            observation_space = spaces.Box(-1, 1, (INPUTS,), np.float32)

            def reset(self, **_: Any) -> tuple[Any, dict[str, Any]]:
                return np.zeros(INPUTS, np.float32), {}

            def step(self, action: Any) -> Any:
                return np.zeros(INPUTS, np.float32), 0.0, False, False, {}

        made = Still()
        made.action_space = action_space
        return made


def _batch(rng: np.random.Generator, action: np.ndarray) -> Batch:
    return Batch(
        obs=rng.standard_normal((N, INPUTS), dtype=np.float32),
        action=action,
        reward=3 * rng.standard_normal(N, dtype=np.float32),
        keep=(rng.random(N) > 0.2).astype(np.float32),
        next_obs=rng.standard_normal((N, INPUTS), dtype=np.float32),
    )


def _stored(batch: Batch, actions: Any) -> Any:
    from stable_baselines3.common.type_aliases import ReplayBufferSamples

    t = torch.from_numpy
    dones, rewards = t(1 - batch.keep)[:, None], t(batch.reward)[:, None]
    return ReplayBufferSamples(t(batch.obs), actions, t(batch.next_obs), dones, rewards)


def _copy(linear: list[Any], layers: list[Layer], net: int) -> None:
    for module, layer in zip(linear, layers, strict=True):
        layer.weight[net] = module.weight.detach().numpy().T
        layer.bias[net, 0] = module.bias.detach().numpy()


def _linear(module: Any) -> list[Any]:
    return [m for m in module.modules() if isinstance(m, torch.nn.Linear)]


def _flat_of_sac(model: Any, shape: SACShape) -> np.ndarray:
    flat = np.zeros(shape.size, np.float32)
    edge = shape.actor.size + shape.critics.size
    *hidden, last = shape.actor.layers(flat[: shape.actor.size])
    _copy(_linear(model.actor.latent_pi), hidden, 0)
    for at, module in enumerate((model.actor.mu, model.actor.log_std)):
        columns = slice(at * ACTIONS, (at + 1) * ACTIONS)
        last.weight[0, :, columns] = module.weight.detach().numpy().T
        last.bias[0, 0, columns] = module.bias.detach().numpy()
    for part, critic in (
        (flat[shape.actor.size : edge], model.critic),
        (flat[shape.learnt :], model.critic_target),
    ):
        for net in (0, 1):
            _copy(_linear(critic.q_networks[net]), shape.critics.layers(part), net)
    flat[edge] = float(model.log_ent_coef.detach()[0])
    return flat


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_updates_of_sac_end_where_those_of_stable_baselines3_end(activation: str) -> None:
    from stable_baselines3.common.logger import Logger

    kind = torch.nn.ReLU if activation == "relu" else torch.nn.Tanh
    env = _Space(spaces.Box(-1, 1, (ACTIONS,), np.float32))
    kwargs = {"net_arch": [16, 16], "activation_fn": kind}
    model = sb3.SAC("MlpPolicy", env, batch_size=N, policy_kwargs=kwargs, seed=0, device="cpu", tau=0.1)
    losses: dict[str, float] = {}
    logger = Logger(None, [])
    logger.record = lambda key, value, **_: losses.update({key: value})  # type: ignore[method-assign]
    model.set_logger(logger)
    shape = SACShape.of(INPUTS, (16, 16), ACTIONS, activation)
    flat = _flat_of_sac(model, shape)
    learner = SACLearner(
        shape,
        flat,
        N,
        gamma=0.99,
        tau=0.1,
        target_update_interval=1,
        target_entropy=-float(ACTIONS),
        learns_alpha=True,
    )
    rng = np.random.default_rng(1)
    for _ in range(3):
        batch = _batch(rng, rng.uniform(-1, 1, (N, ACTIONS)).astype(np.float32))
        noise = rng.standard_normal((2 * N, ACTIONS), dtype=np.float32)
        given = iter((noise[:N], noise[N:]))
        model.replay_buffer.sample = lambda *_, b=batch, **__: _stored(b, torch.from_numpy(b.action))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                torch.distributions.Normal, "rsample",
                lambda self, *_, g=given: self.mean + self.stddev * torch.from_numpy(next(g)),
            )  # fmt: skip
            model.train(1, N)
        ours = learner.update(batch, noise, RATE)
        assert ours.qf_loss == pytest.approx(losses["train/critic_loss"], rel=2e-4)
        assert ours.actor_loss == pytest.approx(losses["train/actor_loss"], rel=2e-4, abs=1e-5)
        assert ours.alpha_loss == pytest.approx(losses["train/ent_coef_loss"], rel=2e-4, abs=1e-5)
        assert ours.alpha == pytest.approx(losses["train/ent_coef"], rel=1e-5)
    np.testing.assert_allclose(flat, _flat_of_sac(model, shape), atol=1e-5)


def _flat_of_dqn(model: Any, shape: DQNShape) -> np.ndarray:
    flat = np.zeros(shape.size, np.float32)
    _copy(_linear(model.q_net), shape.network.layers(flat[: shape.learnt]), 0)
    _copy(_linear(model.q_net_target), shape.network.layers(flat[shape.learnt :]), 0)
    return flat


@pytest.mark.parametrize("limit", [0.05, 10.0])
def test_updates_of_dqn_end_where_those_of_stable_baselines3_end(limit: float) -> None:
    from stable_baselines3.common.logger import Logger

    env = _Space(spaces.Discrete(ACTIONS))
    model = sb3.DQN(
        "MlpPolicy", env, batch_size=N, policy_kwargs={"net_arch": [16, 16]}, seed=0, device="cpu",
        learning_rate=RATE, max_grad_norm=limit,
    )  # fmt: skip
    model.set_logger(Logger(None, []))
    shape = DQNShape.of(INPUTS, (16, 16), ACTIONS)
    flat = _flat_of_dqn(model, shape)
    learner = DQNLearner(
        shape, flat, N, gamma=0.99, tau=1.0, target_update_interval=10, double_q=False, max_grad_norm=limit
    )
    rng = np.random.default_rng(2)
    for _ in range(3):
        batch = _batch(rng, rng.integers(ACTIONS, size=(N, 1)).astype(np.float32))
        action = torch.from_numpy(batch.action.astype(np.int64))
        model.replay_buffer.sample = lambda *_, b=batch, a=action, **__: _stored(b, a)
        model.train(1, N)
        learner.update(batch, RATE)
    np.testing.assert_allclose(flat, _flat_of_dqn(model, shape), atol=1e-6)


def test_double_q_learning_values_the_learning_networks_choice_by_the_target_network() -> None:
    shape = DQNShape.of(INPUTS, (), ACTIONS)
    flat = np.zeros(shape.size, np.float32)
    online, target = (shape.network.layers(part)[0] for part in np.split(flat, 2))
    online.bias[0, 0], target.bias[0, 0] = (0, 5, 1), (7, 2, 3)
    rng = np.random.default_rng(0)
    batch = _batch(rng, np.zeros((N, 1), np.float32))
    for double_q, following in ((True, 2.0), (False, 7.0)):
        weights = flat.copy()
        learner = DQNLearner(
            shape,
            weights,
            N,
            gamma=0.5,
            tau=1.0,
            target_update_interval=10,
            double_q=double_q,
            max_grad_norm=1e9,
        )
        error = 0.0 - (batch.reward + 0.5 * batch.keep * following)
        small = np.clip(error, -1, 1)
        assert learner.update(batch, RATE).td_loss == pytest.approx(
            float((small * (error - small / 2)).mean())
        )
