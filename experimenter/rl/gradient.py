"""The whole PPO loss and its hand-derived gradient; the tests check it against automatic differentiation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experimenter.policies.actions import ActionHead
from experimenter.policies.network import Params, Shape, hidden_layers
from experimenter.policies.scratch import Scratch

__all__ = ["LossParts", "LossWeights", "Minibatch", "heads", "loss_and_gradient"]

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Minibatch:
    """``obs`` (n, inputs), ``raw`` actions (n, width), and (n,): old log-probabilities, advantages, returns."""

    obs: Array
    raw: NDArray[Any]
    log_prob: Array
    advantage: Array
    target: Array

    def named(self) -> tuple[tuple[str, Array], ...]:
        """Every array with its name."""
        return (
            ("obs", self.obs), ("raw", self.raw), ("log_prob", self.log_prob),
            ("advantage", self.advantage), ("target", self.target),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class LossWeights:
    clip_coef: float
    ent_coef: float
    vf_coef: float


@dataclass(frozen=True, slots=True)
class LossParts:
    """Means over the minibatch. ``approx_kl`` is Schulman's (r − 1) − log r."""

    policy: float
    value: float
    entropy: float
    approx_kl: float
    clip_share: float

    def total(self, weights: LossWeights) -> float:
        return self.policy + weights.vf_coef * self.value - weights.ent_coef * self.entropy


def loss_and_gradient(
    params: Params,
    shape: Shape,
    head: ActionHead,
    batch: Minibatch,
    weights: LossWeights,
    gradient: Params,
    scratch: Scratch,
) -> LossParts:
    """The clipped surrogate, half the squared value error, and the entropy bonus (Schulman et al. 2017).

    Writes d(policy + vf_coef · value − ent_coef · entropy) into ``gradient``'s arrays, named like ``params``, and
    works in ``scratch``.
    """
    n = len(batch.obs)
    layers, out, value = heads(params, shape, batch.obs, scratch)
    made = head.forward(out, params.get("actor.log_std"), batch.raw)
    log_ratio = made.log_prob - batch.log_prob
    ratio = np.exp(log_ratio)
    clipped = np.minimum(np.maximum(ratio, 1.0 - weights.clip_coef), 1.0 + weights.clip_coef)
    plain, bounded = -batch.advantage * ratio, -batch.advantage * clipped
    d_log_prob = np.where(plain >= bounded, plain, 0.0).astype(out.dtype, copy=False) / n
    error = value - batch.target

    d_out, d_std = head.backward(made, d_log_prob, -weights.ent_coef / n)
    d_value = (weights.vf_coef / n) * error
    _backward(params, shape, batch.obs, layers, d_out, d_value[:, None], gradient, scratch)
    if d_std is not None:
        gradient["actor.log_std"][:] = d_std
    return LossParts(
        policy=_mean(np.maximum(plain, bounded)),
        value=0.5 * _mean(np.square(error)),
        entropy=_mean(made.entropy),
        approx_kl=_mean(ratio - 1.0 - log_ratio),
        clip_share=np.count_nonzero(clipped != ratio) / n,
    )


def heads(params: Params, shape: Shape, obs: Array, scratch: Scratch) -> tuple[list[Array], Array, Array]:
    """The hidden layers' activations (2, n, width), the actor's output (n, outputs) and the critic's values (n,)."""
    layers = hidden_layers(params, shape, obs, scratch)
    top = layers[-1] if layers else np.broadcast_to(obs, (2, *obs.shape))
    out = np.matmul(top[0], params["actor.weight"])
    out += params["actor.bias"]
    value = np.matmul(top[1], params["critic.weight"][:, 0])
    value += params["critic.bias"]
    return layers, out, value


def _mean(values: Array) -> float:
    """What ``values.mean()`` says, without its wrapper's checks: five of them a minibatch add up."""
    return float(np.add.reduce(values) / len(values))


def _backward(
    params: Params,
    shape: Shape,
    obs: Array,
    layers: list[Array],
    d_out: Array,
    d_value: Array,
    gradient: Params,
    scratch: Scratch,
) -> None:
    """From the derivatives by both heads' outputs to those by every weight."""
    top = layers[-1] if layers else np.broadcast_to(obs, (2, *obs.shape))
    np.matmul(top[0].T, d_out, out=gradient["actor.weight"])
    # Sums over rows as products with ones: a fraction of the time of a reduction along the first axis.
    ones = scratch.ones(len(obs), d_out.dtype)
    np.matmul(ones, d_out, out=gradient["actor.bias"])
    np.matmul(top[1].T, d_value, out=gradient["critic.weight"])
    np.matmul(ones, d_value, out=gradient["critic.bias"])
    if not layers:
        return
    d_h = scratch.array("by the top layer", top.shape, top.dtype)
    np.matmul(d_out, params["actor.weight"].T, out=d_h[0])
    # A product over one term is none: multiplied row by row it takes a quarter of the time.
    np.multiply(d_value, params["critic.weight"][:, 0], out=d_h[1])
    for i in range(len(layers) - 1, -1, -1):
        d_z = _through(shape.activation, layers[i], d_h)
        np.matmul(ones, d_z, out=gradient[f"hidden.{i}.bias"][:, 0])
        below = layers[i - 1].transpose(0, 2, 1) if i else obs.T
        np.matmul(below, d_z, out=gradient[f"hidden.{i}.weight"])
        if i:
            free = layers[i]
            if free.shape != layers[i - 1].shape:
                free = scratch.array(f"by layer {i - 1}", layers[i - 1].shape, d_z.dtype)
            d_h = np.matmul(d_z, params[f"hidden.{i}.weight"].transpose(0, 2, 1), out=free)


def _through(activation: str, h: Array, d_h: Array) -> Array:
    """Derivatives by what went into the activation, given its values, which are used up, and the derivatives by
    those, which become them. Fewer arrays stay in the second-level cache."""
    if activation == "tanh":
        np.square(h, out=h)
        np.subtract(1.0, h, out=h)
        return np.multiply(d_h, h, out=d_h)
    return np.multiply(d_h, h > 0, out=d_h)
