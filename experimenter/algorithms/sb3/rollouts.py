"""Stable-Baselines3's updates from rollouts of ours: TRPO, RecurrentPPO, MaskablePPO, its PPO."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from experimenter.algorithms.keeping import Arrays
from experimenter.algorithms.sb3.making import Told, made, network_arguments
from experimenter.algorithms.sb3.randomness import drawn_from
from experimenter.algorithms.sb3.weights import Link, actor_critic_links, memory_links, packed, unpacked
from experimenter.policies.policy import Policy
from experimenter.records import Hyperparameters
from experimenter.rl.ppo import Rollout, UpdateStats
from experimenter.rl.tensors import load_torch

__all__ = ["MaskablePPOModel", "PPOModel", "RecurrentPPOModel", "Rollouts", "TRPOModel"]

NOT_TOLD = float("nan")


class Rollouts:
    """One model of the library, made for ``policy``; see ``experimenter.algorithms.models.RolloutModel``."""

    def __init__(self, policy: Policy, hyper: Hyperparameters, rng: np.random.Generator) -> None:
        self.policy, self.told = policy, Told()
        networks = {**network_arguments(policy), "ortho_init": hyper.ortho_init, **self.arguments()}
        if policy.shape.log_std:
            networks["log_std_init"] = hyper.log_std_init
        self.model = made(self.kind(), policy, rng, self.told, policy=self.network(), policy_kwargs=networks)
        self.torch = load_torch()
        self._links = self.links()

    def kind(self) -> Any:
        """The library's class."""
        raise NotImplementedError

    def network(self) -> str:
        """The library's name for its networks."""
        return "MlpPolicy"

    def arguments(self) -> dict[str, Any]:
        """What its networks are told besides layers and activation."""
        return {}

    def links(self) -> list[Link]:
        """Which of its weights are which of the policy's."""
        return actor_critic_links(self.policy.params, self.model.policy)

    def settle(self, hyper: Hyperparameters) -> None:
        """From now on with a phase's hyperparameters."""
        raise NotImplementedError

    def stats(self, entropy: float) -> UpdateStats:
        """What the last update logged; ``entropy`` is the rollout's."""
        raise NotImplementedError

    def learn(
        self, rollout: Rollout, hyper: Hyperparameters, rate: float, rng: np.random.Generator
    ) -> UpdateStats:
        """See ``RolloutModel``."""
        self.settle(hyper)
        self.model.lr_schedule = lambda _: rate
        self.told.clear()
        with drawn_from(rng):
            self.model.rollout_buffer, entropy = self.filled(rollout, hyper)
            self.model.train()
        return self.stats(entropy)

    def filled(self, rollout: Rollout, hyper: Hyperparameters) -> tuple[Any, float]:
        """The rollout in a buffer of the library's, with advantages, and the policy's mean entropy in it.

        Where an episode was cut, the value of its true final observation is added to the last reward, discounted; that
        is how the library bootstraps.
        """
        steps, envs, inputs = rollout.obs.shape
        obs, raw = rollout.obs.reshape(-1, inputs), rollout.raw.reshape(steps * envs, -1)
        value, log_prob, entropy = self._judged(obs, raw)
        buffer = self.empty(steps, envs, hyper)
        done = rollout.terminated | rollout.truncated
        buffer.actions[:], buffer.rewards[:] = rollout.raw, rollout.reward
        self.put(buffer, rollout.obs)
        if len(rollout.final_obs):
            buffer.rewards[rollout.final_at] += hyper.gamma * self.values(rollout.final_obs)
        buffer.episode_starts[1:] = done[:-1]
        buffer.values[:], buffer.log_probs[:] = value.reshape(steps, envs), log_prob.reshape(steps, envs)
        buffer.pos, buffer.full = steps, True
        last = self.torch.from_numpy(self.values(rollout.last_obs))
        buffer.compute_returns_and_advantage(last, dones=done[-1])
        return buffer, entropy

    def empty(self, steps: int, envs: int, hyper: Hyperparameters, **more: Any) -> Any:
        """A buffer of the library's for a rollout of that size."""
        spaces = self.model.observation_space, self.model.action_space
        kind = type(self.model.rollout_buffer)
        return kind(
            steps, *spaces, device="cpu", n_envs=envs, gae_lambda=hyper.gae_lambda, gamma=hyper.gamma, **more
        )

    def put(self, buffer: Any, inputs: NDArray[np.float32]) -> None:
        """Writes what the networks saw, (T, N, inputs), into a buffer."""
        buffer.observations[:] = inputs

    def seen(self, inputs: NDArray[np.float32]) -> tuple[Any, ...]:
        """What the library's policy is asked about, as tensors, for the networks' inputs (n, inputs): the
        observations, then whatever else it wants to know."""
        return (self.torch.from_numpy(np.ascontiguousarray(inputs)),)

    def values(self, inputs: NDArray[np.float32]) -> NDArray[Any]:
        """The critic's values (n,) for the networks' inputs (n, inputs)."""
        with self.torch.no_grad():
            value: NDArray[Any] = self.model.policy.predict_values(*self.seen(inputs))[:, 0].numpy()
        return value

    def judged(self, obs: Any, actions: Any, *more: Any) -> tuple[Any, Any, Any]:
        """The library's values, log-probabilities and entropies of actions."""
        told: tuple[Any, Any, Any] = self.model.policy.evaluate_actions(obs, actions, *more)
        return told

    def _judged(
        self, inputs: NDArray[np.float32], raw: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any], float]:
        """Values (n,), log-probabilities (n,) and the mean entropy."""
        one_choice = getattr(self.policy.head, "single", False)
        actions = self.torch.from_numpy(np.ascontiguousarray(raw[:, 0] if one_choice else raw))
        obs, *more = self.seen(inputs)
        with self.torch.no_grad():
            told = self.judged(obs, actions, *more)
        value, log_prob, entropy = (part.numpy() for part in told)
        return value[:, 0], log_prob, float(entropy.mean())

    def show(self) -> None:
        """See ``Model``."""
        for link in self._links:
            link.show()

    def adopt(self) -> None:
        """See ``Model``."""
        for link in self._links:
            link.adopt()

    def arrays(self) -> Arrays:
        """See ``Model``."""
        return packed({"policy": self.model.policy}, {"optimizer": self.model.policy.optimizer})

    def restore(self, arrays: Arrays) -> None:
        """See ``Model``."""
        unpacked(arrays, {"policy": self.model.policy}, {"optimizer": self.model.policy.optimizer})


class PPOModel(Rollouts):
    """The library's own PPO: what ours is held against."""

    def kind(self) -> Any:
        from stable_baselines3 import PPO

        return PPO

    def settle(self, hyper: Hyperparameters) -> None:
        model = self.model
        model.clip_range = lambda _: hyper.clip_coef
        model.n_epochs, model.batch_size = hyper.update_epochs, hyper.minibatch_size
        model.ent_coef, model.vf_coef, model.max_grad_norm = (
            hyper.ent_coef,
            hyper.vf_coef,
            hyper.max_grad_norm,
        )

    def stats(self, entropy: float) -> UpdateStats:
        told = self.told
        losses = told["policy_gradient_loss"], told["value_loss"]
        finite = bool(np.isfinite([*losses, told["approx_kl"]]).all())
        return UpdateStats(
            *losses, entropy, told["approx_kl"], told["clip_fraction"], NOT_TOLD, told["explained_variance"], finite
        )  # fmt: skip


class MaskablePPOModel(PPOModel):
    """The library's PPO for actions of which not all are possible; the mask is a part of what is seen."""

    def kind(self) -> Any:
        from sb3_contrib import MaskablePPO

        return MaskablePPO

    def put(self, buffer: Any, inputs: NDArray[np.float32]) -> None:
        super().put(buffer, inputs)
        buffer.action_masks[:] = self._mask(inputs)

    def values(self, inputs: NDArray[np.float32]) -> NDArray[Any]:
        with self.torch.no_grad():
            value: NDArray[Any] = self.model.policy.predict_values(self.seen(inputs)[0])[:, 0].numpy()
        return value

    def seen(self, inputs: NDArray[np.float32]) -> tuple[Any, ...]:
        return (*super().seen(inputs), self.torch.from_numpy(np.ascontiguousarray(self._mask(inputs))))

    def _mask(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        mask = self.policy.shape.mask
        assert mask is not None, "its policies say that they are masked"
        return inputs[..., slice(*mask)]


class RecurrentPPOModel(PPOModel):
    """The library's PPO with a long short-term memory, which actor and critic share as the engine's policies do: only
    the actor's gradient shapes it."""

    def kind(self) -> Any:
        from sb3_contrib import RecurrentPPO

        return RecurrentPPO

    def network(self) -> str:
        return "MlpLstmPolicy"

    def arguments(self) -> dict[str, Any]:
        width = self.policy.shape.features
        return {"lstm_hidden_size": width, "shared_lstm": True, "enable_critic_lstm": False}

    def links(self) -> list[Link]:
        return [*memory_links(self.policy.params, self.model.policy.lstm_actor), *super().links()]

    def empty(self, steps: int, envs: int, hyper: Hyperparameters, **more: Any) -> Any:
        shape = (steps, 1, envs, self.policy.shape.features)
        return super().empty(steps, envs, hyper, hidden_state_shape=shape, **more)

    def put(self, buffer: Any, inputs: NDArray[np.float32]) -> None:
        seen, hidden, cell = self._parts(inputs)
        buffer.observations[:] = seen
        buffer.hidden_states_pi[:, 0] = buffer.hidden_states_vf[:, 0] = hidden
        buffer.cell_states_pi[:, 0] = buffer.cell_states_vf[:, 0] = cell

    def seen(self, inputs: NDArray[np.float32]) -> tuple[Any, ...]:
        """Each row is a sequence of one step, and goes on from what it remembers."""
        parts = (np.ascontiguousarray(part) for part in self._parts(inputs))
        obs, hidden, cell = (self.torch.from_numpy(part) for part in parts)
        return obs, (hidden[None], cell[None]), self.torch.zeros(len(inputs))

    def judged(self, obs: Any, actions: Any, *more: Any) -> tuple[Any, Any, Any]:
        from sb3_contrib.common.recurrent.type_aliases import RNNStates

        states, starts = more
        return super().judged(obs, actions, RNNStates(states, states), starts)

    def _parts(self, inputs: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """What is seen, and what was remembered: the output and the cell."""
        shape = self.policy.shape
        edge = shape.inputs - shape.memory
        return np.split(inputs, [edge, edge + shape.features], axis=-1)


class TRPOModel(Rollouts):
    """TRPO (Schulman et al. 2015) with the library's bound on the divergence, 0.01. ``update_epochs`` and
    ``minibatch_size`` are the critic's; there is no clipping, entropy bonus, or bound on a gradient's norm."""

    def kind(self) -> Any:
        from sb3_contrib import TRPO

        return TRPO

    def settle(self, hyper: Hyperparameters) -> None:
        self.model.n_critic_updates, self.model.batch_size = hyper.update_epochs, hyper.minibatch_size

    def stats(self, entropy: float) -> UpdateStats:
        told = self.told
        losses = -told["policy_objective"], told["value_loss"]
        finite = bool(np.isfinite([*losses, told["kl_divergence_loss"]]).all())
        return UpdateStats(
            *losses, entropy, told["kl_divergence_loss"], 0.0, NOT_TOLD, told["explained_variance"], finite
        )  # fmt: skip
