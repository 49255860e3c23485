"""Between torch's modules and the engine's flat policy: which weight is which, and all that a checkpoint must hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from experimenter.algorithms.keeping import Arrays
from experimenter.policies.network import Params

__all__ = [
    "TD3_LOG_STD",
    "Link",
    "actor_critic_links",
    "deterministic_links",
    "gaussian_links",
    "memory_links",
    "packed",
    "quantile_links",
    "unpacked",
    "value_links",
]

TD3_LOG_STD: Final = float(np.log(0.1))
"""The deviation before squashing with which a stored TD3 policy acts where it is asked to sample."""


@dataclass(frozen=True, slots=True)
class Link:
    """``array`` of the policy (a view, written in place) and the torch parameter that it is. A torch layer's weight
    is (out, in), the policy's (in, out). ``copies``: so many of the layer's blocks of outputs are averaged to one."""

    array: NDArray[Any]
    tensor: Any
    copies: int = 1

    def show(self) -> None:
        """From torch to the policy."""
        told = self.tensor.detach().numpy()
        if self.copies > 1:
            told = told.reshape(self.copies, -1, *told.shape[1:]).mean(axis=0, dtype=np.float64)
        self.array[...] = told.T.reshape(self.array.shape)

    def adopt(self) -> None:
        """From the policy to torch; every copy becomes the same."""
        given = np.ascontiguousarray(self.array.reshape(self._shape).T)
        if self.copies > 1:
            given = np.concatenate([given] * self.copies)
        self.tensor.data.copy_(_torch().from_numpy(given.copy()))

    @property
    def _shape(self) -> tuple[int, ...]:
        return self.array.shape[-2:] if self.tensor.dim() == 2 else (self.array.size,)


def _torch() -> Any:
    from experimenter.rl.tensors import load_torch

    return load_torch()


def _linear(module: Any) -> list[Any]:
    return [layer for layer in module.modules() if isinstance(layer, _torch().nn.Linear)]


def _hidden(params: Params, net: int, layers: Iterable[Any]) -> Iterator[Link]:
    for i, layer in enumerate(layers):
        yield Link(params[f"hidden.{i}.weight"][net], layer.weight)
        yield Link(params[f"hidden.{i}.bias"][net], layer.bias)


def actor_critic_links(params: Params, policy: Any) -> list[Link]:
    """PPO's, TRPO's and their kin: an actor and a critic that share nothing."""
    extractor = policy.mlp_extractor
    links = [
        *_hidden(params, 0, _linear(extractor.policy_net)),
        *_hidden(params, 1, _linear(extractor.value_net)),
        Link(params["actor.weight"], policy.action_net.weight),
        Link(params["actor.bias"], policy.action_net.bias),
        Link(params["critic.weight"], policy.value_net.weight),
        Link(params["critic.bias"], policy.value_net.bias),
    ]
    if "actor.log_std" in params:
        links.append(Link(params["actor.log_std"], policy.log_std))
    return links


def memory_links(params: Params, lstm: Any) -> list[Link]:
    """RecurrentPPO's memory of one layer."""
    return [
        Link(params["memory.sight.weight"], lstm.weight_ih_l0),
        Link(params["memory.sight.bias"], lstm.bias_ih_l0),
        Link(params["memory.state.weight"], lstm.weight_hh_l0),
        Link(params["memory.state.bias"], lstm.bias_hh_l0),
    ]


def gaussian_links(params: Params, actor: Any) -> list[Link]:
    """SAC's and TQC's actor: means, then logarithms of deviations, from one trunk."""
    width = params["actor.bias"].size // 2
    mean, spread = slice(0, width), slice(width, None)
    return [
        *_hidden(params, 0, _linear(actor.latent_pi)),
        Link(params["actor.weight"][:, mean], actor.mu.weight),
        Link(params["actor.bias"][mean], actor.mu.bias),
        Link(params["actor.weight"][:, spread], actor.log_std.weight),
        Link(params["actor.bias"][spread], actor.log_std.bias),
    ]


def deterministic_links(params: Params, actor: Any) -> list[Link]:
    """TD3's actor: what is squashed stands for the means; the deviations are constants, set here."""
    width = params["actor.bias"].size // 2
    params["actor.weight"][:, width:] = 0.0
    params["actor.bias"][width:] = TD3_LOG_STD
    *hidden, last = _linear(actor.mu)
    return [
        *_hidden(params, 0, hidden),
        Link(params["actor.weight"][:, :width], last.weight),
        Link(params["actor.bias"][:width], last.bias),
    ]


def value_links(params: Params, network: Any) -> list[Link]:
    """DQN's network."""
    return quantile_links(params, network, 1)


def quantile_links(params: Params, network: Any, quantiles: int) -> list[Link]:
    """QR-DQN's: an action's value is the mean of its quantiles, and so are the weights of its output."""
    *hidden, last = _linear(network)
    return [
        *_hidden(params, 0, hidden),
        Link(params["actor.weight"], last.weight, quantiles),
        Link(params["actor.bias"], last.bias, quantiles),
    ]


def packed(modules: Mapping[str, Any], optimisers: Mapping[str, Any]) -> Arrays:
    """Every weight of the modules, and every moment of their optimisers, by name."""
    made: Arrays = {}
    for name, module in modules.items():
        made |= {f"{name}/{key}": tensor.numpy() for key, tensor in module.state_dict().items()}
    for name, optimiser in optimisers.items():
        for index, moments in optimiser.state_dict()["state"].items():
            made |= {f"{name}/{index}/{key}": tensor.numpy() for key, tensor in moments.items()}
    return made


def unpacked(arrays: Arrays, modules: Mapping[str, Any], optimisers: Mapping[str, Any]) -> None:
    """What ``packed`` made, put back in place."""
    torch = _torch()
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    for name, module in modules.items():
        module.load_state_dict(_under(tensors, name))
    for name, optimiser in optimisers.items():
        state: dict[int, dict[str, Any]] = {}
        for key, tensor in _under(tensors, name).items():
            index, _, moment = key.partition("/")
            state.setdefault(int(index), {})[moment] = tensor
        optimiser.load_state_dict({**optimiser.state_dict(), "state": state})


def _under(tensors: Mapping[str, Any], name: str) -> dict[str, Any]:
    start = name + "/"
    return {key.removeprefix(start): tensor for key, tensor in tensors.items() if key.startswith(start)}
