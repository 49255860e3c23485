"""Stable-Baselines3's off-policy updates, fed from our replay buffer: TD3, TQC, QR-DQN, and its own SAC and DQN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experimenter.algorithms.keeping import Arrays
from experimenter.algorithms.losses import ActorLosses, EntropyLosses, ValueLosses
from experimenter.algorithms.sb3.making import Told, made, network_arguments
from experimenter.algorithms.sb3.randomness import drawn_from
from experimenter.algorithms.sb3.weights import (
    Link,
    deterministic_links,
    gaussian_links,
    packed,
    quantile_links,
    unpacked,
    value_links,
)
from experimenter.policies.policy import Policy
from experimenter.policies.squashed import SquashedHead
from experimenter.records import OffPolicySettings
from experimenter.rl.figures import Figures
from experimenter.rl.offpolicy.buffer import ReplayBuffer
from experimenter.rl.offpolicy.learning import Lesson
from experimenter.rl.tensors import load_torch

__all__ = ["Alive", "EntropyModel", "Fed", "QuantileModel", "Replaying", "TD3Model", "ValueModel"]

Alive = Callable[[], None]


class Fed:
    """Our replay buffer as the library samples it: at places that were drawn beforehand."""

    def __init__(self, buffer: ReplayBuffer, places: NDArray[np.int64], alive: Alive) -> None:
        self._buffer, self._places, self._alive = buffer, iter(places), alive
        self._torch = load_torch()

    def sample(self, batch_size: int, env: Any = None) -> Any:
        """The next batch."""
        from stable_baselines3.common.type_aliases import ReplayBufferSamples

        self._alive()
        batch, tensor = self._buffer.batch(next(self._places)), self._torch.from_numpy
        return ReplayBufferSamples(
            observations=tensor(np.ascontiguousarray(batch.obs)),
            actions=self._actions(tensor(np.ascontiguousarray(batch.action))),
            next_observations=tensor(np.ascontiguousarray(batch.next_obs)),
            dones=tensor(1.0 - batch.keep)[:, None],
            rewards=tensor(np.ascontiguousarray(batch.reward))[:, None],
        )

    def _actions(self, actions: Any) -> Any:
        return actions


class FedChoices(Fed):
    """The same for discrete actions, which are indices."""

    def _actions(self, actions: Any) -> Any:
        return actions.long()


class Replaying:
    """One model of the library, made for ``policy``; see ``experimenter.algorithms.models.ReplayModel``."""

    def __init__(self, policy: Policy, settings: OffPolicySettings, rng: np.random.Generator) -> None:
        self.policy, self.told, self.updates = policy, Told(), 0
        arguments = {"policy_kwargs": network_arguments(policy), "buffer_size": 1}
        self.model = made(self.kind(), policy, rng, self.told, **arguments, **self.arguments(settings))
        self._links = self.links()

    def kind(self) -> Any:
        """The library's class."""
        raise NotImplementedError

    def arguments(self, settings: OffPolicySettings) -> dict[str, Any]:
        """What its constructor is told besides the networks."""
        return {}

    def links(self) -> list[Link]:
        """Which of its weights are which of the policy's."""
        raise NotImplementedError

    def losses(self) -> Figures:
        """What the last stretch of updates logged."""
        raise NotImplementedError

    def optimisers(self) -> dict[str, Any]:
        """By the name under which they are kept."""
        actor, critic = self.model.actor.optimizer, self.model.critic.optimizer
        return {"actor.optimizer": actor, "critic.optimizer": critic}

    def settle(self, settings: OffPolicySettings) -> None:
        """See ``ReplayModel``."""
        self.model.gamma, self.model.tau = settings.gamma, settings.tau
        self.model.target_update_interval = settings.target_update_interval

    def teach(self, buffer: ReplayBuffer, lesson: Lesson, rng: np.random.Generator, alive: Alive) -> Figures:
        """See ``experimenter.rl.offpolicy.learning.Teacher``."""
        places = rng.integers(len(buffer), size=(lesson.updates, lesson.size))
        fed = Fed if isinstance(self.policy.head, SquashedHead) else FedChoices
        self.model.replay_buffer = fed(buffer, places, alive)
        self.model.lr_schedule = lambda _: lesson.rate
        self.told.clear()
        with drawn_from(rng):
            self._train(lesson.updates, lesson.size)
        self.show()
        return self.losses()

    def _train(self, updates: int, size: int) -> None:
        self.model.train(gradient_steps=updates, batch_size=size)
        self.updates += updates

    def show(self) -> None:
        """See ``Model``."""
        for link in self._links:
            link.show()

    def adopt(self) -> None:
        """See ``Model``; target networks begin as what they follow."""
        for link in self._links:
            link.adopt()

    def arrays(self) -> Arrays:
        """See ``Model``."""
        made = packed({"policy": self.model.policy}, self.optimisers())
        return made | {"updates": np.array([self.updates, self.model._n_updates])}

    def restore(self, arrays: Arrays) -> None:
        """See ``Model``."""
        unpacked(arrays, {"policy": self.model.policy}, self.optimisers())
        self.updates, self.model._n_updates = (int(count) for count in arrays["updates"])


class TD3Model(Replaying):
    """TD3 (Fujimoto et al. 2018): delayed updates of the actor, smoothed targets, as the library sets them."""

    def kind(self) -> Any:
        from stable_baselines3 import TD3

        return TD3

    def links(self) -> list[Link]:
        return deterministic_links(self.policy.params, self.model.actor)

    def losses(self) -> ActorLosses:
        return ActorLosses(self.told["critic_loss"], self.told["actor_loss"])

    def adopt(self) -> None:
        super().adopt()
        self.model.actor_target.load_state_dict(self.model.actor.state_dict())


class EntropyModel(Replaying):
    """SAC (Haarnoja et al. 2018) and TQC (Kuznetsov et al. 2020), by the library's class of that name."""

    def __init__(
        self, name: str, policy: Policy, settings: OffPolicySettings, rng: np.random.Generator
    ) -> None:
        self._name = name
        super().__init__(policy, settings, rng)
        self._temperature = self.model.ent_coef_optimizer

    def kind(self) -> Any:
        import sb3_contrib
        import stable_baselines3

        return getattr(stable_baselines3 if self._name == "SAC" else sb3_contrib, self._name)

    def arguments(self, settings: OffPolicySettings) -> dict[str, Any]:
        """A temperature that can be learnt in any case: another phase may want it."""
        first, width = settings.ent_coef, self.policy.head.width
        learnt = "auto" if first == "auto" else f"auto_{max(first, 1e-8)}"
        return {"ent_coef": learnt, "target_entropy": -float(width)}

    def links(self) -> list[Link]:
        return gaussian_links(self.policy.params, self.model.actor)

    def losses(self) -> EntropyLosses:
        told = self.told
        return EntropyLosses(told["critic_loss"], told["actor_loss"], told["ent_coef_loss"], told["ent_coef"])

    def optimisers(self) -> dict[str, Any]:
        return {**super().optimisers(), "ent_coef_optimizer": self._temperature}

    def settle(self, settings: OffPolicySettings) -> None:
        super().settle(settings)
        model, learns = self.model, settings.ent_coef == "auto"
        wanted = settings.target_entropy
        model.target_entropy = -float(self.policy.head.width) if wanted == "auto" else wanted
        model.ent_coef_optimizer = self._temperature if learns else None
        model.ent_coef_tensor = None if learns else load_torch().tensor(float(settings.ent_coef))

    def arrays(self) -> Arrays:
        return super().arrays() | {"log_ent_coef": self.model.log_ent_coef.detach().numpy()}

    def restore(self, arrays: Arrays) -> None:
        super().restore(arrays)
        self.model.log_ent_coef.data.copy_(load_torch().from_numpy(arrays["log_ent_coef"]))


class ValueModel(Replaying):
    """DQN as the library has it. Its target network is moved here, because the library does that while it collects."""

    def kind(self) -> Any:
        from stable_baselines3 import DQN

        return DQN

    def networks(self) -> tuple[Any, Any]:
        """The one that learns, and its target."""
        return self.model.q_net, self.model.q_net_target

    def links(self) -> list[Link]:
        return value_links(self.policy.params, self.networks()[0])

    def losses(self) -> ValueLosses:
        return ValueLosses(self.told["loss"])

    def optimisers(self) -> dict[str, Any]:
        return {"optimizer": self.model.policy.optimizer}

    def settle(self, settings: OffPolicySettings) -> None:
        super().settle(settings)
        self.model.max_grad_norm = settings.max_grad_norm

    def adopt(self) -> None:
        super().adopt()
        network, target = self.networks()
        target.load_state_dict(network.state_dict())

    def _train(self, updates: int, size: int) -> None:
        from stable_baselines3.common.utils import polyak_update

        interval, (network, target) = self.model.target_update_interval, self.networks()
        while updates:
            stretch = min(updates, interval - self.updates % interval)
            super()._train(stretch, size)
            updates -= stretch
            if self.updates % interval == 0:
                polyak_update(network.parameters(), target.parameters(), self.model.tau)


class QuantileModel(ValueModel):
    """QR-DQN (Dabney et al. 2018), with the library's 200 quantiles."""

    def kind(self) -> Any:
        from sb3_contrib import QRDQN

        return QRDQN

    def arguments(self, settings: OffPolicySettings) -> dict[str, Any]:
        """Adam's small constant goes by the size of a batch, as the paper has it."""
        return {"batch_size": settings.batch_size}

    def settle(self, settings: OffPolicySettings) -> None:
        super().settle(settings)
        for group in self.model.policy.optimizer.param_groups:
            group["eps"] = 0.01 / settings.batch_size

    def networks(self) -> tuple[Any, Any]:
        return self.model.quantile_net, self.model.quantile_net_target

    def links(self) -> list[Link]:
        return quantile_links(self.policy.params, self.networks()[0], self.model.n_quantiles)
