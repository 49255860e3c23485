"""Rollouts of several members at once: one step call for all their environments, one forward pass for all policies.

Only where the environments are rows of Gymnasium's batched versions, which cost about the same for eight rows as for a
hundred. A member gets to the bit what it would have got alone: its rows have generators and states of their own, its
noise comes from its own generator, and its block of a product is computed by itself.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from experimenter.envs.vectors.native import NativeVector
from experimenter.identity import digest
from experimenter.rl.crew import Crew
from experimenter.rl.rollout import Experience, Record, Wanted
from experimenter.rl.starts import NO_REPLAYS

__all__ = ["Joints", "likeness", "together"]


def likeness(wanted: Wanted) -> Hashable:
    """Rollouts of equal likeness can be collected together; ``None`` means only alone."""
    collector = wanted.collector
    vector, policy = collector.vector, collector.policy
    alone = wanted.warm_up or collector.starts is not None
    if alone or not isinstance(vector, NativeVector) or not vector.joins or not policy.shape.plain:
        return None
    spaces = digest([policy.pipeline.to_json(), policy.action_space_json])
    normalised = policy.normaliser is not None
    return vector.specs[0].hash, vector.num_envs, wanted.steps, policy.shape, spaces, normalised


class Joints:
    """Batched environments as wide as several members need, built once for each width."""

    def __init__(self) -> None:
        self._built: dict[Hashable, NativeVector] = {}

    def of(self, wanted: Sequence[Wanted]) -> NativeVector:
        vectors = [one.collector.vector for one in wanted]
        spec, rows = vectors[0].specs[0], sum(vector.num_envs for vector in vectors)
        key = (spec.hash, rows)
        if key not in self._built:
            self._built[key] = NativeVector(spec, rows)
        return self._built[key]

    def close(self) -> None:
        for vector in self._built.values():
            vector.close()


def together(wanted: Sequence[Wanted], joint: NativeVector) -> list[Experience]:
    """What each of ``wanted``, all of one likeness, would collect alone. Raises EnvironmentFault; then nobody's
    environments have moved, and nobody's generator."""
    before = [one.rng.bit_generator.state for one in wanted]
    try:
        return _collect(wanted, joint)
    except Exception:
        for one, state in zip(wanted, before, strict=True):
            one.rng.bit_generator.state = state
        raise


def _collect(wanted: Sequence[Wanted], joint: NativeVector) -> list[Experience]:
    steps, each = wanted[0].steps, wanted[0].collector.vector.num_envs
    crew = Crew([one.collector.policy for one in wanted], each)
    noise = np.concatenate([crew.head.noise(one.rng, steps, each) for one in wanted], axis=1)
    vectors = [_native(one) for one in wanted]
    joint.put_rows([vector.rows() for vector in vectors])
    obs = _side_by_side([one.collector.obs for one in wanted])
    record = Record(steps, obs, crew)
    for t in range(steps):
        inputs = crew.inputs(obs)
        raw = crew.choose(inputs, noise[t])
        executed, elapsed = crew.head.execute(raw), joint.elapsed
        step = joint.step(executed)
        record.put(obs, inputs, raw, executed, elapsed, step, crew)
        obs = step.obs
        for one in wanted:
            one.alive()
    last, made = crew.inputs(obs), []
    for index, one in enumerate(wanted):
        columns = slice(index * each, (index + 1) * each)
        vectors[index].put_rows([joint.rows(columns)])
        one.collector.obs = _part(obs, columns)
        made.append(record.experience(columns, last, NO_REPLAYS))
    return made


def _side_by_side(parts: Sequence[Any]) -> Any:
    if isinstance(parts[0], Mapping):
        return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    return np.concatenate(parts)


def _part(obs: Any, columns: slice) -> Any:
    if isinstance(obs, Mapping):
        return {key: array[columns].copy() for key, array in obs.items()}
    return obs[columns].copy()


def _native(wanted: Wanted) -> NativeVector:
    vector = wanted.collector.vector
    assert isinstance(vector, NativeVector), "of no likeness otherwise"
    return vector
