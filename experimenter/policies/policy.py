"""A policy as it is stored, shared and judged: two files, no pickle, a hash that is verified at every load."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from experimenter.envs.images import find_image
from experimenter.errors import TrainingFault, WorkspaceError
from experimenter.identity import canonical_json
from experimenter.policies.actions import ActionHead, Rngs, Said, head_for
from experimenter.policies.network import Params, Shape, actor_top, perceived, views
from experimenter.policies.normaliser import Normaliser
from experimenter.policies.recurrence import PARTS
from experimenter.records import Json, Network

if TYPE_CHECKING:
    from experimenter.envs.images import ImagePart
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


def shape_for(inputs: int, network: Network, head: ActionHead, image: ImagePart | None = None) -> Shape:
    """The networks' sizes for so many inputs and this kind of action; ``image`` is what convolutions would read.

    Raises TrainingFault for convolutions without an image, or larger than it.
    """
    if network.plain:
        return Shape(inputs, network.hidden, head.outputs, head.log_std, network.activation, sde=head.sde)
    if network.convolution and image is None:
        raise TrainingFault(
            "the design's network has convolutional layers, and no part of an observation is an image",
            "Leave them out: a network without `convolution` reads any observation.",
        )
    seen, memory = image if network.convolution else None, network.memory * PARTS[network.cell]
    return Shape(
        inputs + memory, network.hidden, head.outputs, head.log_std, network.activation,
        image=seen, convolution=network.convolution, memory=memory, cell=network.cell,
        sde=head.sde,
    )  # fmt: skip


@dataclass(slots=True)
class Policy:
    """From a batch of observations to actions. ``params`` are named float32 arrays (``Shape.shapes``).

    ``said`` is what the network's outputs mean: the distribution that PPO learns, the same with state-dependent
    exploration ("sde"), or what an off-policy algorithm learns, whose stored policy is the actor alone.
    """

    pipeline: Pipeline
    normaliser: Normaliser | None
    network: Network
    params: Params
    observation_space_json: Json
    action_space_json: Json
    action_mode: ActionMode = "greedy"
    said: Said = "distribution"
    head: ActionHead = field(init=False, repr=False)
    shape: Shape = field(init=False, repr=False)

    def __post_init__(self) -> None:
        from experimenter.envs.spaces import space_from_json

        head = head_for(space_from_json(self.action_space_json), self.said)
        self.shape = shape_for(self.pipeline.size, self.network, head, find_image(self.pipeline.parts))
        self.head = head.above(self.shape.top)
        if self.off_policy:
            self.shape = replace(self.shape, critic=False)
        if self.said == "masked":
            from experimenter.policies.masked import mask_among

            self.shape = replace(self.shape, mask=mask_among(self.pipeline, head.outputs))

    @property
    def off_policy(self) -> bool:
        """Whether it is what an off-policy algorithm leaves behind: the actor alone."""
        return self.said in ("squashed", "values")

    def inputs(self, obs: Obs) -> NDArray[np.float32]:
        """Encoded, normalised observations (n, size)."""
        x: NDArray[np.float32] = self.pipeline.encode(obs)
        return self.normaliser.apply(x) if self.normaliser is not None else x

    def blank(self, n: int) -> NDArray[np.float32]:
        """What the policy remembers at the beginning of ``n`` episodes, (n, memory): nothing."""
        return np.zeros((n, self.shape.memory), dtype=np.float32)

    def outputs(self, obs: Obs, memory: NDArray[np.float32] | None = None) -> NDArray[Any]:
        """The actor's outputs as its head reads them (n, outputs), the same for an observation whatever stands beside
        it in the batch.

        ``memory`` is what the policy remembers in each row's episode, ``blank`` at first, and is changed in place; a
        policy that remembers nothing needs none. Rows are computed in blocks of a fixed size, because a matrix product
        rounds differently with its shape.
        """
        x = self.inputs(obs)
        if self.shape.memory:
            if memory is None:
                raise ValueError(
                    "this policy remembers: give it what blank() gave, and keep that for the episode"
                )
            x = np.concatenate([x, memory], axis=1)
        padded = np.zeros((-(-len(x) // BLOCK) * BLOCK, x.shape[1]), dtype=np.float32)
        padded[: len(x)] = x
        known = [
            perceived(self.params, self.shape, padded[i : i + BLOCK]) for i in range(0, len(padded), BLOCK)
        ]
        if self.shape.memory and memory is not None:
            memory[:] = np.concatenate(known)[: len(x)]
        read = [block[:, : self.shape.features] for block in known]
        return np.concatenate([actor_top(self.params, self.shape, block) for block in read])[: len(x)]

    def act(
        self, obs: Obs, mode: ActionMode, rng: Rngs, memory: NDArray[np.float32] | None = None
    ) -> NDArray[Any]:
        """Executed actions for a batch as ``SyncVector`` gives it: (n,) int64, (n, k) int64, or (n, d) float32
        inside the space. ``rng`` is one generator, or a sequence with one for each row; ``memory`` as in ``outputs``.
        """
        out = self.outputs(obs, memory)
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
            self.said,
        )


def _describe(policy: Policy) -> dict[str, Any]:
    # What a network says is written only where it is not a distribution, so that policies keep their hashes.
    said = {} if policy.said == "distribution" else {"head": policy.said}
    return said | {
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
    return _load(folder, expected_hash)[0]


def stored_hash(folder: Path) -> str:
    """The hash of the policy in ``folder``, after verifying that it is one. Raises what ``load_policy`` raises."""
    return _load(folder, None)[1]


def _load(folder: Path, expected_hash: str | None) -> tuple[Policy, str]:
    """The policy and its hash. Nothing is built, nor any weight read, before its description was found plausible."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    from experimenter.policies.plausible import WRONG, check_weights, read_description, read_weights

    try:
        description = read_description(folder / DESCRIPTION)
    except (OSError, ValueError) as error:
        raise _damaged(folder, f"{DESCRIPTION} cannot be read ({_words(error)})") from error
    try:
        policy = _described(description)
    except WRONG as error:
        raise _damaged(folder, f"{DESCRIPTION} does not fit ({_words(error)})") from error
    try:
        weights = read_weights(folder / WEIGHTS, policy.shape.shapes())
    except (OSError, ValueError) as error:
        raise _damaged(folder, f"{WEIGHTS} cannot be read ({_words(error)})") from error
    found = _verified(folder, description, weights, expected_hash)
    try:
        policy.params = dict(load(weights))
        check_weights(policy.params, policy.shape.shapes())
    except (*WRONG, SafetensorError) as error:
        raise _damaged(folder, f"{WEIGHTS} does not fit ({_words(error)})") from error
    return policy, found


def _described(description: dict[str, Any]) -> Policy:
    """A policy without weights. Raises what is in ``plausible.WRONG``."""
    from experimenter.envs.pipeline import Pipeline
    from experimenter.envs.spaces import space_from_json
    from experimenter.policies.plausible import check_description, check_network, check_pipeline

    check_description(description)
    network = Network.model_validate(description["architecture"])
    check_network(network)
    pipeline, seen = Pipeline.from_json(description["pipeline"]), description["spaces"]["observation"]
    normaliser = description["normaliser"]
    check_pipeline(pipeline, space_from_json(seen), None if normaliser is None else len(normaliser["mean"]))
    return Policy(
        pipeline,
        None if normaliser is None else Normaliser.from_json(normaliser),
        network,
        {},
        seen,
        description["spaces"]["action"],
        description["action_mode"],
        description.get("head", "distribution"),
    )


def _words(error: BaseException) -> str:
    """What went wrong on one short line without control characters: a stranger's file may speak in it."""
    text = str(error) or type(error).__name__
    return "".join(c if c.isprintable() else " " for c in text[:300])


def _verified(folder: Path, description: Mapping[str, Any], weights: bytes, expected: str | None) -> str:
    try:
        found = _hash(description, weights)
    except (TypeError, ValueError, RecursionError) as error:
        raise _damaged(folder, _words(error)) from error
    if description.get("hash") != found:
        raise _damaged(folder, "its hash does not match its content")
    if expected is not None and expected != found:
        raise _damaged(folder, f"its hash is {found}, and {expected} was expected")
    return found


def flat_params(policy: Policy) -> NDArray[np.float32]:
    """All weights as one new vector, in the order of ``Shape.shapes``."""
    flat = np.empty(policy.shape.size, dtype=np.float32)
    for name, view in views(flat, policy.shape).items():
        view[...] = policy.params[name]
    return flat


def spawn_generators(seeds: Sequence[int]) -> tuple[np.random.Generator, ...]:
    """One generator for each seed: what ``Policy.act`` needs for results that do not depend on batching."""
    return tuple(np.random.default_rng(seed) for seed in seeds)
