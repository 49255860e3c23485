"""A policy as it is stored, shared and judged: two files, no pickle, a hash that is verified at every load."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from experimenter.errors import WorkspaceError
from experimenter.identity import canonical_json
from experimenter.policies.actions import ActionHead, Rngs, head_for
from experimenter.policies.network import Params, Shape, actor_output, views
from experimenter.policies.normaliser import Normaliser
from experimenter.records import Json, Network

if TYPE_CHECKING:
    from experimenter.envs.pipeline import Pipeline

__all__ = [
    "DESCRIPTION",
    "ActionMode",
    "Policy",
    "flat_params",
    "load_policy",
    "save_policy",
    "shape_for",
    "spawn_generators",
    "stored_hash",
]

ActionMode = Literal["greedy", "sample"]
Obs = NDArray[Any] | Mapping[str, Any]
WEIGHTS, DESCRIPTION = "policy.safetensors", "policy.json"
BLOCK = 16


def shape_for(inputs: int, network: Network, head: ActionHead) -> Shape:
    """The networks' sizes for so many inputs and this kind of action."""
    return Shape(inputs, network.hidden, head.outputs, head.log_std, network.activation)


@dataclass(slots=True)
class Policy:
    """From a batch of observations to actions. ``params`` are named float32 arrays (``Shape.shapes``)."""

    pipeline: Pipeline
    normaliser: Normaliser | None
    network: Network
    params: Params
    observation_space_json: Json
    action_space_json: Json
    action_mode: ActionMode = "greedy"
    head: ActionHead = field(init=False, repr=False)
    shape: Shape = field(init=False, repr=False)

    def __post_init__(self) -> None:
        from experimenter.envs.spaces import space_from_json

        self.head = head_for(space_from_json(self.action_space_json))
        self.shape = shape_for(self.pipeline.size, self.network, self.head)

    def inputs(self, obs: Obs) -> NDArray[np.float32]:
        """Encoded, normalised observations (n, size)."""
        x: NDArray[np.float32] = self.pipeline.encode(obs)
        return self.normaliser.apply(x) if self.normaliser is not None else x

    def outputs(self, obs: Obs) -> NDArray[Any]:
        """The actor's outputs (n, outputs), the same for an observation whatever stands beside it in the batch.

        Rows are computed in blocks of a fixed size, because a matrix product rounds differently with its shape.
        """
        x = self.inputs(obs)
        padded = np.zeros((-(-len(x) // BLOCK) * BLOCK, x.shape[1]), dtype=np.float32)
        padded[: len(x)] = x
        blocks = [
            actor_output(self.params, self.shape, padded[i : i + BLOCK]) for i in range(0, len(padded), BLOCK)
        ]
        return np.concatenate(blocks)[: len(x)]

    def act(self, obs: Obs, mode: ActionMode, rng: Rngs) -> NDArray[Any]:
        """Executed actions for a batch as ``SyncVector`` gives it: (n,) int64, (n, k) int64, or (n, d) float32
        inside the space. ``rng`` is one generator, or a sequence with one for each row."""
        out = self.outputs(obs)
        if mode == "greedy":
            return self.head.execute(self.head.greedy(out))
        return self.head.execute(self.head.sample(out, self.params.get("actor.log_std"), rng))

    def copy(self) -> Policy:
        """An independent copy: training on changes nothing in it."""
        return Policy(
            self.pipeline,
            None if self.normaliser is None else self.normaliser.copy(),
            self.network,
            {name: array.copy() for name, array in self.params.items()},
            self.observation_space_json,
            self.action_space_json,
            self.action_mode,
        )


def _describe(policy: Policy) -> dict[str, Any]:
    return {
        "v": 1,
        "spaces": {"observation": policy.observation_space_json, "action": policy.action_space_json},
        "pipeline": policy.pipeline.to_json(),
        "normaliser": None if policy.normaliser is None else policy.normaliser.to_json(),
        "architecture": policy.network.model_dump(mode="json"),
        "action_mode": policy.action_mode,
    }


def _hash(description: Mapping[str, Any], weights: bytes) -> str:
    whole = canonical_json({k: v for k, v in description.items() if k != "hash"}).encode()
    return hashlib.blake2b(whole + b"\0" + weights, digest_size=16).hexdigest()


def save_policy(folder: Path, policy: Policy) -> str:
    """Write ``policy.safetensors`` and ``policy.json`` atomically; returns the hash over both.

    Raises WorkspaceError when the folder cannot be written.
    """
    from safetensors.numpy import save

    from experimenter.workspace.files import write_atomic

    arrays = {k: np.ascontiguousarray(v, dtype=np.float32) for k, v in sorted(policy.params.items())}
    weights = save(arrays)
    description = _describe(policy)
    description["hash"] = _hash(description, weights)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / WEIGHTS, weights)
    write_atomic(folder / DESCRIPTION, canonical_json(description) + "\n")
    return str(description["hash"])


def _damaged(folder: Path, why: str) -> WorkspaceError:
    return WorkspaceError(
        f"the policy in {folder} is damaged: {why}",
        "Restore the folder from a backup, or train it again with `experimenter run`.",
    )


def load_policy(folder: Path, expected_hash: str | None = None) -> Policy:
    """Rebuild a policy from its two files alone. Raises WorkspaceError when missing, damaged or not as expected."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    from experimenter.envs.pipeline import Pipeline

    try:
        weights = (folder / WEIGHTS).read_bytes()
        description = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(folder, f"its files cannot be read ({error})") from error
    if not isinstance(description, dict):
        raise _damaged(folder, f"{DESCRIPTION} is not an object")
    _verify(folder, description, weights, expected_hash)
    try:
        normaliser = description["normaliser"]
        policy = Policy(
            Pipeline.from_json(description["pipeline"]),
            None if normaliser is None else Normaliser.from_json(normaliser),
            Network.model_validate(description["architecture"]),
            dict(load(weights)),
            description["spaces"]["observation"],
            description["spaces"]["action"],
            description["action_mode"],
        )
    except (KeyError, TypeError, ValueError, SafetensorError) as error:
        raise _damaged(folder, f"its description does not fit ({error})") from error
    if {name: array.shape for name, array in policy.params.items()} != policy.shape.shapes():
        raise _damaged(folder, "its weights do not have the shapes that it declares")
    return policy


def stored_hash(folder: Path) -> str:
    """The hash of the policy in ``folder``, after verifying that it is one. Raises what ``load_policy`` raises."""
    load_policy(folder)
    return str(json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))["hash"])


def _verify(folder: Path, description: Mapping[str, Any], weights: bytes, expected: str | None) -> None:
    try:
        found = _hash(description, weights)
    except (TypeError, ValueError) as error:
        raise _damaged(folder, str(error)) from error
    if description.get("hash") != found:
        raise _damaged(folder, "its hash does not match its content")
    if expected is not None and expected != found:
        raise _damaged(folder, f"its hash is {found}, and {expected} was expected")


def flat_params(policy: Policy) -> NDArray[np.float32]:
    """All weights as one new vector, in the order of ``Shape.shapes``."""
    flat = np.empty(policy.shape.size, dtype=np.float32)
    for name, view in views(flat, policy.shape).items():
        view[...] = policy.params[name]
    return flat


def spawn_generators(seeds: Sequence[int]) -> tuple[np.random.Generator, ...]:
    """One generator for each seed: what ``Policy.act`` needs for results that do not depend on batching."""
    return tuple(np.random.default_rng(seed) for seed in seeds)
