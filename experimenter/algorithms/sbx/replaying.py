"""SBX's off-policy updates, fed from our replay buffer: SAC, TQC and TD3, a stretch of updates in one compiled call."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from experimenter.algorithms.keeping import Arrays
from experimenter.algorithms.losses import ActorLosses, EntropyLosses
from experimenter.algorithms.sb3.making import Told, made
from experimenter.algorithms.sb3.randomness import drawn_from
from experimenter.algorithms.sb3.replaying import Alive, Fed
from experimenter.algorithms.sb3.weights import TD3_LOG_STD
from experimenter.algorithms.sbx.jax import load_jax
from experimenter.policies.policy import Policy
from experimenter.records import OffPolicySettings
from experimenter.rl.offpolicy.buffer import ReplayBuffer
from experimenter.rl.offpolicy.learning import Lesson

__all__ = ["SBXModel"]

# Updates in one call: all of their batches are in memory at once, and each other number is compiled anew.
STRETCH: Final = 256
_CRITICS: Final = {"SAC": ("qf_state",), "TD3": ("qf_state",), "TQC": ("qf1_state", "qf2_state")}


class SBXModel:
    """The library's class of that name, made for ``policy``; see ``experimenter.algorithms.models.ReplayModel``."""

    def __init__(
        self, name: str, policy: Policy, settings: OffPolicySettings, rng: np.random.Generator
    ) -> None:
        self._jax = load_jax()
        self._name, self.policy, self.told, self.updates = name, policy, Told(), 0
        self._states = ("actor_state", *_CRITICS[name])
        self._rate = settings.learning_rate
        arguments = {"buffer_size": 1, "learning_rate": self._rate, "policy_kwargs": self._networks()}
        seed = int(rng.integers(2**31))
        self.model = made(
            partial(self._unbuilt, seed), policy, rng, self.told, **arguments, **self._entropy(settings)
        )
        self._learnt = getattr(self.model, "ent_coef_state", None)

    def _unbuilt(self, seed: int, **arguments: Any) -> Any:
        """The library would draw its key out of 16,384, or else seed every generator of the process."""
        import sbx

        model = getattr(sbx, self._name)(**arguments)
        model.set_random_seed = lambda _: setattr(model, "key", self._jax.random.PRNGKey(seed))
        return model

    def _networks(self) -> dict[str, Any]:
        network = self.policy.network
        kind = self._jax.nn.relu if network.activation == "relu" else self._jax.numpy.tanh
        return {"net_arch": list(network.hidden), "activation_fn": kind}

    def _entropy(self, settings: OffPolicySettings) -> dict[str, Any]:
        """A temperature that can be learnt in any case: another phase may want it."""
        if self._name == "TD3":
            return {}
        first = settings.ent_coef
        learnt = "auto" if first == "auto" else f"auto_{max(first, 1e-8)}"
        return {"ent_coef": learnt, "target_entropy": -float(self.policy.head.width)}

    def settle(self, settings: OffPolicySettings) -> None:
        """See ``ReplayModel``. The target networks move with every update, whatever ``target_update_interval`` is."""
        model = self.model
        model.gamma, model.tau = settings.gamma, settings.tau
        if self._name == "TD3":
            return
        width, wanted = float(self.policy.head.width), settings.target_entropy
        model.target_entropy = -width if wanted == "auto" else float(wanted)
        self._learns = settings.ent_coef == "auto"
        model.ent_coef_state = self._learnt if settings.ent_coef == "auto" else self._fixed(settings.ent_coef)

    def _fixed(self, value: float) -> Any:
        import optax
        from flax.training import train_state
        from sbx.sac.sac import ConstantEntropyCoef

        kind: Any = train_state.TrainState

        constant = ConstantEntropyCoef(float(value))
        params = constant.init(self._jax.random.PRNGKey(0))["params"]
        return kind.create(apply_fn=constant.apply, params=params, tx=optax.adam(self._rate))

    def teach(
        self, buffer: ReplayBuffer, lesson: Lesson, rng: np.random.Generator, alive: Alive
    ) -> ActorLosses | EntropyLosses:
        """See ``experimenter.rl.offpolicy.learning.Teacher``."""
        self._adjust(lesson.rate)
        self.told.clear()
        for updates in _stretches(lesson.updates):
            places = rng.integers(len(buffer), size=(1, updates * lesson.size))
            self.model.replay_buffer = Fed(buffer, places, alive)
            self.model.key = self._jax.random.PRNGKey(int(rng.integers(2**31)))
            with drawn_from(rng):
                self.model.train(gradient_steps=updates, batch_size=lesson.size)
            self.updates += updates
        if self._name != "TD3" and self._learns:
            self._learnt = self.model.ent_coef_state
        self.show()
        return self._losses()

    def _adjust(self, rate: float) -> None:
        """The learning rate; optimisers that were built with a fixed one are told of another."""
        import optax

        self.model.lr_schedule = lambda _: rate
        if rate == self._rate:
            return
        self._rate = rate
        for name in self._states:
            state = getattr(self.model.policy, name)
            if not hasattr(state.opt_state, "hyperparams"):
                setattr(self.model.policy, name, state.replace(tx=optax.adam(rate)))
        if self._learnt is not None:
            self._learnt = self._learnt.replace(tx=optax.adam(rate))
            self.model.ent_coef_state = self.model.ent_coef_state.replace(tx=optax.adam(rate))

    def _losses(self) -> ActorLosses | EntropyLosses:
        told = self.told
        both = told["critic_loss"], told["actor_loss"]
        if self._name == "TD3":
            return ActorLosses(*both)
        return EntropyLosses(*both, told["ent_coef_loss"], told["ent_coef"])

    def show(self) -> None:
        """See ``Model``."""
        params = self.policy.params
        for array, (layer, kind) in self._places():
            array[...] = np.asarray(self.model.policy.actor_state.params["params"][layer][kind])
        if self._name == "TD3":
            width = self.policy.head.width
            params["actor.weight"][:, width:], params["actor.bias"][width:] = 0.0, TD3_LOG_STD

    def adopt(self) -> None:
        """See ``Model``."""
        state = self.model.policy.actor_state
        adopted = self._jax.tree_util.tree_map(lambda leaf: leaf, state.params)
        for array, (layer, kind) in self._places():
            adopted["params"][layer][kind] = self._jax.numpy.array(array)
        targets = {"target_params": adopted} if self._name == "TD3" else {}
        self.model.policy.actor_state = state.replace(params=adopted, **targets)

    def _places(self) -> Iterator[tuple[NDArray[Any], tuple[str, str]]]:
        """Views into the policy's weights, with the layer of the actor and the kind of weight that each is."""
        params, width = self.policy.params, self.policy.head.width
        depth = len(self.policy.network.hidden)
        for i in range(depth):
            yield params[f"hidden.{i}.weight"][0], (f"Dense_{i}", "kernel")
            yield params[f"hidden.{i}.bias"][0, 0], (f"Dense_{i}", "bias")
        heads = (slice(0, width),) if self._name == "TD3" else (slice(0, width), slice(width, None))
        for i, part in enumerate(heads):
            yield params["actor.weight"][:, part], (f"Dense_{depth + i}", "kernel")
            yield params["actor.bias"][part], (f"Dense_{depth + i}", "bias")

    def arrays(self) -> Arrays:
        """See ``Model``: the leaves of every state, in the library's order."""
        leaves = self._jax.tree_util.tree_leaves(self._known())
        counts = np.array([self.updates, self.model._n_updates])
        return {f"leaf/{i:04d}": np.asarray(leaf) for i, leaf in enumerate(leaves)} | {"updates": counts}

    def restore(self, arrays: Arrays) -> None:
        """See ``Model``."""
        tree = self._jax.tree_util.tree_structure(self._known())
        leaves = [self._jax.numpy.asarray(arrays[f"leaf/{i:04d}"]) for i in range(tree.num_leaves)]
        known = tree.unflatten(leaves)
        for name in self._states:
            setattr(self.model.policy, name, known[name])
        self._learnt = known["temperature"]
        self.updates, self.model._n_updates = (int(count) for count in arrays["updates"])

    def _known(self) -> dict[str, Any]:
        states = {name: getattr(self.model.policy, name) for name in self._states}
        return states | {"temperature": self._learnt}


def _stretches(updates: int) -> Iterator[int]:
    while updates:
        yield min(updates, STRETCH)
        updates -= min(updates, STRETCH)
