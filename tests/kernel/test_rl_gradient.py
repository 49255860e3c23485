"""The hand-derived gradient of the whole loss equals automatic differentiation's, for every kind of action: that of
the engine's own PyTorch path, and that of torch's distributions, which nothing of ours stands in."""

from __future__ import annotations

import numpy as np
import pytest

from experimenter.policies.actions import ActionHead, CategoricalHead, GaussianHead
from experimenter.policies.network import Params, Shape, initial_params, views
from experimenter.policies.scratch import Scratch
from experimenter.rl.autograd import AutogradLearner
from experimenter.rl.gradient import LossWeights, Minibatch, loss_and_gradient

torch = pytest.importorskip("torch")
WEIGHTS = LossWeights(clip_coef=0.2, ent_coef=0.013, vf_coef=0.5)
HEADS = {
    "discrete": CategoricalHead([4], [0], single=True),
    "multi_discrete": CategoricalHead([3, 2, 5], [0, 0, 0], single=False),
    "continuous": GaussianHead(np.array([-2.0, -np.inf, 0.0]), np.array([2.0, np.inf, 1.0])),
}


def _torch_loss(params: dict, shape: Shape, head: ActionHead, batch: Minibatch):
    h = [torch.tensor(batch.obs)] * 2
    function = torch.tanh if shape.activation == "tanh" else torch.relu
    for i in range(len(shape.hidden)):
        weight, bias = params[f"hidden.{i}.weight"], params[f"hidden.{i}.bias"]
        h = [function(h[half] @ weight[half] + bias[half]) for half in (0, 1)]
    out = h[0] @ params["actor.weight"] + params["actor.bias"]
    value = (h[1] @ params["critic.weight"])[:, 0] + params["critic.bias"][0]
    if isinstance(head, GaussianHead):
        made = torch.distributions.Normal(out, params["actor.log_std"].exp())
        log_prob, entropy = made.log_prob(torch.tensor(batch.raw)).sum(1), made.entropy().sum(1)
    else:
        assert isinstance(head, CategoricalHead)
        parts = [torch.distributions.Categorical(logits=out[:, part]) for part in head.parts]
        raw = torch.tensor(batch.raw)
        log_prob = sum(p.log_prob(raw[:, i]) for i, p in enumerate(parts))
        entropy = sum(p.entropy() for p in parts)
    ratio = (log_prob - torch.tensor(batch.log_prob)).exp()
    advantage = torch.tensor(batch.advantage)
    clipped = ratio.clamp(1 - WEIGHTS.clip_coef, 1 + WEIGHTS.clip_coef)
    policy = torch.max(-advantage * ratio, -advantage * clipped).mean()
    value_loss = 0.5 * (value - torch.tensor(batch.target)).square().mean()
    return policy + WEIGHTS.vf_coef * value_loss - WEIGHTS.ent_coef * entropy.mean()


def _batch(shape: Shape, head: ActionHead, params: Params, rng: np.random.Generator) -> Minibatch:
    """Old log-probabilities are moved away, so that a good part of the ratios is clipped, on both sides."""
    n = 37
    obs = rng.standard_normal((n, shape.inputs))
    if isinstance(head, CategoricalHead):
        raw = np.stack([rng.integers(0, size, n) for size in head.sizes], axis=1)
    else:
        raw = rng.standard_normal((n, head.width))
    layers = obs
    for i in range(len(shape.hidden)):
        z = layers @ params[f"hidden.{i}.weight"][0] + params[f"hidden.{i}.bias"][0]
        layers = np.tanh(z) if shape.activation == "tanh" else np.maximum(z, 0)
    out = layers @ params["actor.weight"] + params["actor.bias"]
    old = head.forward(out, params.get("actor.log_std"), raw).log_prob + rng.normal(0, 0.3, n)
    return Minibatch(obs, raw, old, rng.standard_normal(n), rng.standard_normal(n))


@pytest.mark.parametrize("kind", sorted(HEADS))
@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("hidden", [(), (16,), (16, 12), (8, 8, 8)])
def test_gradient_equals_autograd(kind: str, activation: str, hidden: tuple[int, ...]) -> None:
    rng, head = np.random.default_rng(7), HEADS[kind]
    shape = Shape(5, hidden, head.outputs, head.log_std, activation)  # type: ignore[arg-type]
    flat = initial_params(shape, rng).astype(np.float64)
    flat += rng.normal(0, 0.3, flat.shape)
    params = views(flat, shape)
    batch = _batch(shape, head, params, rng)

    gradient = views(np.zeros_like(flat), shape)
    parts = loss_and_gradient(params, shape, head, batch, WEIGHTS, gradient, Scratch())

    tensors = {name: torch.tensor(array, requires_grad=True) for name, array in params.items()}
    loss = _torch_loss(tensors, shape, head, batch)
    loss.backward()
    assert parts.total(WEIGHTS) == pytest.approx(loss.item(), rel=1e-10)
    assert 0.1 < parts.clip_share < 0.9
    for name, tensor in tensors.items():
        expected = np.zeros(tensor.shape) if tensor.grad is None else tensor.grad.numpy()
        scale = max(1e-8, float(np.abs(expected).max()))
        assert np.abs(gradient[name] - expected).max() / scale < 1e-5, name


@pytest.mark.parametrize("kind", sorted(HEADS))
@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("hidden", [(), (16,), (16, 12)])
def test_both_paths_of_the_engine_agree(kind: str, activation: str, hidden: tuple[int, ...]) -> None:
    rng, head = np.random.default_rng(3), HEADS[kind]
    shape = Shape(5, hidden, head.outputs, head.log_std, activation)  # type: ignore[arg-type]
    flat = initial_params(shape, rng).astype(np.float64)
    flat += rng.normal(0, 0.3, flat.shape)
    params = views(flat, shape)
    batch = _batch(shape, head, params, rng)

    by_hand = np.zeros_like(flat)
    parts = loss_and_gradient(params, shape, head, batch, WEIGHTS, views(by_hand, shape), Scratch())
    told, by_torch = AutogradLearner(shape, head, flat).loss_and_gradient(batch, WEIGHTS)

    for name in ("policy", "value", "entropy", "approx_kl", "clip_share"):
        assert getattr(told, name) == pytest.approx(getattr(parts, name), rel=1e-10), name
    for name, array in views(by_torch, shape).items():
        scale = max(1e-8, float(np.abs(array).max()))
        assert np.abs(array - views(by_hand, shape)[name]).max() / scale < 1e-5, name


def test_gradient_of_float32_stays_float32() -> None:
    """A silent float64 anywhere would halve the speed."""
    rng, head = np.random.default_rng(1), HEADS["discrete"]
    shape = Shape(5, (8, 8), head.outputs, head.log_std)
    params = views(initial_params(shape, rng), shape)
    batch = _batch(shape, head, params, rng)
    small = Minibatch(*(a.astype(np.float32) if a.dtype == np.float64 else a for a in _fields(batch)))
    out = head.forward(np.ones((3, 4), np.float32), None, np.zeros((3, 1), np.int64))
    assert out.log_prob.dtype == out.entropy.dtype == np.float32
    gradient = views(np.zeros(shape.size, np.float32), shape)
    loss_and_gradient(params, shape, head, small, WEIGHTS, gradient, Scratch())
    d_out, _ = head.backward(out, np.ones(3, np.float32), -0.01)
    assert d_out.dtype == np.float32


def _fields(batch: Minibatch) -> tuple[np.ndarray, ...]:
    return batch.obs, batch.raw, batch.log_prob, batch.advantage, batch.target
