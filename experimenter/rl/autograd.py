"""The same PPO with PyTorch's derivatives: the general path, for networks whose gradient nobody derived by hand.

The mathematics is ``ppo.Learner``'s to the last formula, and so is the state, so that a training may change from one
to the other between two updates. Lean on purpose: one thread, no distribution objects, nothing read back inside an
update, log-probabilities and values of a rollout computed once without a graph.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from experimenter.policies.actions import LOG_TWO_PI, ActionHead, CategoricalHead
from experimenter.policies.network import Shape, features, hidden_layers, views
from experimenter.policies.sde import EPSILON, SDEHead
from experimenter.records import Hyperparameters
from experimenter.rl.adam import Adam
from experimenter.rl.descent import Descent
from experimenter.rl.dormant import dormant_share
from experimenter.rl.gradient import LossParts, LossWeights, Minibatch
from experimenter.rl.ppo import Rollout, UpdateStats, advantages, explained_variance_of, minibatches
from experimenter.rl.tensors import Networks, load_torch

__all__ = ["AutogradLearner"]

Floats = NDArray[np.float32]
# Rows whose values are computed at once; the activations of more images would fill the memory.
BLOCK: Final = 1024


class AutogradLearner:
    """Actor and critic with their optimiser; the interface of ``ppo.Learner``.

    ``flat`` is changed in place, and on the CPU it is what torch computes with; with ``device="cuda"`` it is copied
    there and back at every update. Raises TrainingFault where torch is not installed.
    """

    def __init__(self, shape: Shape, head: ActionHead, flat: NDArray[Any], device: str = "cpu") -> None:
        self._torch = load_torch()
        if device != "cpu":
            self._torch.backends.cudnn.deterministic = True
        self.shape, self.head, self.flat, self.device = shape, head, flat, device
        self.params = views(flat, shape)
        self.adam = Adam(shape.size)
        self.networks = Networks(shape, flat, device)
        self._epsilon = self.networks.flat.new_full((shape.outputs,), EPSILON)

    def next_values(self, rollout: Rollout, value: Floats) -> Floats:
        """(T, N) values of what truly followed each step."""
        following = np.empty_like(value)
        following[:-1] = value[1:]
        self.networks.pull()
        following[-1] = self._values(rollout.last_obs)
        if len(rollout.final_obs):
            following[rollout.final_at] = self._values(rollout.final_obs)
        return following

    def update(
        self, rollout: Rollout, hyper: Hyperparameters, rate: float, rng: np.random.Generator
    ) -> UpdateStats:
        """``update_epochs`` passes over one rollout at learning rate ``rate``."""
        torch, networks = self._torch, self.networks
        steps, envs, inputs = rollout.obs.shape
        networks.pull()
        obs, raw = self._tensor(rollout.obs.reshape(-1, inputs)), self._raw(rollout.raw)
        log_prob, value = self._judge(obs, raw)
        value = value.reshape(steps, envs)
        gae = advantages(
            rollout.reward, value, self.next_values(rollout, value),
            rollout.terminated, rollout.truncated, hyper.gamma, hyper.gae_lambda,
        )  # fmt: skip
        begun = self._begun(rollout)
        told = self._tensor(np.stack([log_prob, gae.advantage.reshape(-1), gae.target.reshape(-1)]))
        weights = LossWeights(hyper.clip_coef, hyper.ent_coef, hyper.vf_coef)
        adam = Descent(self.adam, networks)
        sums, count = torch.zeros(6, dtype=obs.dtype, device=self.device), 0
        for _ in range(hyper.update_epochs):
            for rows in self._split(steps, envs, hyper.minibatch_size, rng):
                at = self._tensor(rows)
                old, advantage, target = told.index_select(1, at).unbind()
                made = self._outputs(obs.index_select(0, at), begun, at)
                advantage = self._standardised(advantage)
                loss, parts = self._loss(made, raw.index_select(0, at), old, advantage, target, weights)
                networks.gradient.zero_()
                loss.backward()
                sums += torch.stack([*parts, adam.clip_norm(hyper.max_grad_norm)])
                adam.step(rate)
                count += 1
        networks.push()
        adam.push()
        mean = sums.cpu().numpy().astype(np.float64) / count
        finite = bool(np.isfinite(mean).all() and np.isfinite(self.flat).all())
        policy, critic, entropy, kl, clipped, norm = (float(x) for x in mean)
        explained = explained_variance_of(value.reshape(-1), gae.target.reshape(-1))
        return UpdateStats(policy, critic, entropy, kl, clipped, norm, explained, finite)

    def loss_and_gradient(self, batch: Minibatch, weights: LossWeights) -> tuple[LossParts, NDArray[Any]]:
        """The loss of one minibatch and its derivative by every weight, flat; see ``gradient.loss_and_gradient``."""
        self.networks.pull()
        self.networks.gradient.zero_()
        given = (batch.obs, batch.raw, batch.log_prob, batch.advantage, batch.target)
        obs, raw, old, advantage, target = (self._tensor(array) for array in given)
        loss, parts = self._loss(self.networks.both(obs), raw, old, advantage, target, weights)
        loss.backward()
        return LossParts(*(float(part) for part in parts)), self.networks.gradient.cpu().numpy().copy()

    def dormant_share(self, obs: Floats, threshold: float = 0.025) -> float:
        """Share of the perceptrons' hidden units that are dormant; see ``ppo.Learner.dormant_share``."""
        read = features(self.params, self.shape, obs)
        return dormant_share(hidden_layers(self.params, self.shape, read), threshold)

    def _tensor(self, array: NDArray[Any]) -> Any:
        return self._torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def _raw(self, raw: NDArray[Any]) -> Any:
        return self._tensor(raw.reshape(raw.shape[0] * raw.shape[1], -1))

    def _values(self, obs: NDArray[Any]) -> NDArray[Any]:
        with self._torch.inference_mode():
            parts = [
                self.networks.both(self._tensor(obs[i : i + BLOCK]))[1] for i in range(0, len(obs), BLOCK)
            ]
            made: NDArray[Any] = self._torch.cat(parts).cpu().numpy()
        return made

    def _judge(self, obs: Any, raw: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        """Log-probabilities and values (n,) of a whole rollout."""
        log_probs, values = [], []
        with self._torch.inference_mode():
            for i in range(0, len(obs), BLOCK):
                out, value = self.networks.both(obs[i : i + BLOCK])
                log_probs.append(self._distribution(out, raw[i : i + BLOCK])[0])
                values.append(value)
            return self._torch.cat(log_probs).cpu().numpy(), self._torch.cat(values).cpu().numpy()

    def _standardised(self, advantage: Any) -> Any:
        if len(advantage) < 2:
            return advantage
        spread, mean = self._torch.std_mean(advantage)
        return (advantage - mean) / (spread + 1e-8)

    def _split(self, steps: int, envs: int, size: int, rng: np.random.Generator) -> list[NDArray[np.int64]]:
        """Rows (of T·N, time first) of each minibatch: any, or with a memory all of some environments."""
        if not self.shape.memory:
            return minibatches(steps * envs, size, rng)
        chosen = minibatches(envs, max(1, round(size / steps)), rng)
        return [(np.arange(steps)[:, None] * envs + some).reshape(-1) for some in chosen]

    def _begun(self, rollout: Rollout) -> Any:
        """(T, N, 1): zero where an episode begins after a rollout's first step; ``None`` without a memory."""
        if not self.shape.memory:
            return None
        begun = np.ones((*rollout.reward.shape, 1), dtype=self.flat.dtype)
        begun[1:, :, 0] -= (rollout.terminated | rollout.truncated)[:-1]
        return self._tensor(begun)

    def _outputs(self, obs: Any, begun: Any, at: Any) -> tuple[Any, Any]:
        """The networks' outputs for a minibatch's rows, each after those of its environment before it."""
        if begun is None:
            return self.networks.both(obs)
        steps = len(begun)
        chosen = begun.view(-1).index_select(0, at).view(steps, -1, 1)
        return self.networks.in_turn(obs.view(steps, -1, self.shape.inputs), chosen)

    def _loss(
        self, made: tuple[Any, Any], raw: Any, old: Any, advantage: Any, target: Any, weights: LossWeights
    ) -> tuple[Any, list[Any]]:
        """What is to be differentiated, and the five parts of ``LossParts`` without a graph."""
        torch, (out, value) = self._torch, made
        log_prob, entropy = self._distribution(out, raw)
        log_ratio = log_prob - old
        ratio = log_ratio.exp()
        clipped = ratio.clamp(1.0 - weights.clip_coef, 1.0 + weights.clip_coef)
        policy = -torch.minimum(advantage * ratio, advantage * clipped).mean()
        error = 0.5 * torch.nn.functional.mse_loss(value, target)
        bonus = entropy.mean()
        with torch.no_grad():
            kl = (ratio - 1.0 - log_ratio).mean()
            clip_share = (clipped != ratio).to(ratio.dtype).mean()
            parts = [policy.detach(), error.detach(), bonus.detach(), kl, clip_share]
        return policy + weights.vf_coef * error - weights.ent_coef * bonus, parts

    def _distribution(self, out: Any, raw: Any) -> tuple[Any, Any]:
        """Log-probabilities (n,) and entropies (n,) of raw actions (n, width); a Gaussian's entropy is one number."""
        torch, log_std = self._torch, self.networks.log_std
        if isinstance(self.head, SDEHead):
            assert log_std is not None
            mean, hidden = out.split([self.shape.outputs, self.shape.top], 1)
            variance = torch.addmm(self._epsilon, hidden.square(), torch.exp(2.0 * log_std))
            log_variance = variance.log()
            log_prob = -0.5 * ((raw - mean).square() / variance + log_variance + LOG_TWO_PI).sum(1)
            return log_prob, 0.5 * (log_variance + 1.0 + LOG_TWO_PI).sum(1)
        if not isinstance(self.head, CategoricalHead):
            assert log_std is not None
            scaled = (raw - out) * torch.exp(-log_std)
            log_prob = (-0.5 * scaled.square() - log_std - 0.5 * LOG_TWO_PI).sum(1)
            return log_prob, (log_std + 0.5 * (1.0 + LOG_TWO_PI)).sum()
        log_probs, entropies = [], []
        for i, part in enumerate(self.head.parts):
            log_all = torch.log_softmax(out[:, part] if len(self.head.parts) > 1 else out, 1)
            log_probs.append(log_all.gather(1, raw[:, i : i + 1]).squeeze(1))
            entropies.append(-(log_all.exp() * log_all).sum(1))
        if len(log_probs) == 1:
            return log_probs[0], entropies[0]
        return torch.stack(log_probs).sum(0), torch.stack(entropies).sum(0)
