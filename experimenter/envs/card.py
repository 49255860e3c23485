"""The environment card: all that can be known about an environment, with or without its source, before training."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
from gymnasium.spaces import Discrete

from experimenter.envs.discover import discover
from experimenter.envs.docstrings import action_meanings, docstring, summary
from experimenter.envs.families import family
from experimenter.envs.judging import judge_for
from experimenter.envs.parameters import data_names
from experimenter.envs.pipeline import Pipeline
from experimenter.envs.probe import Probe, probe
from experimenter.envs.ranges import tried
from experimenter.envs.records import EnvCard, Parameter
from experimenter.envs.spaces import action_kind, space_to_json
from experimenter.envs.vector import SyncVector
from experimenter.records import EnvSpec

__all__ = ["extract_card"]


def extract_card(spec: EnvSpec, *, judge: str | None, steps: int = 2000, seed: int = 0) -> EnvCard:
    """Builds the card by ``steps`` random steps; the same for the same seed, but for ``random.steps_per_second``.

    Raises NotFound for an unknown environment, EnvironmentFault for one that fails or cannot be learned from, and
    UsageError for a judge that cannot be read.
    """
    judge_for(judge, spec)
    vector = SyncVector(spec, 1)
    try:
        action_kind(vector.action_space)
        Pipeline.for_space(vector.observation_space)
        met = probe(vector, steps, seed)
        parameters, fixed = _parameters(spec, vector)
        return _card(spec, vector, met, judge, parameters, fixed)
    finally:
        vector.close()


def _parameters(spec: EnvSpec, vector: SyncVector) -> tuple[tuple[Parameter, ...], tuple[str, ...]]:
    owner, inner = family(spec.family), vector.unwrapped()
    kept, fixed = tried(owner, spec, owner.schema(spec), inner)
    named = {parameter.name for parameter in kept} | set(fixed)
    return kept, (*fixed, *(name for name in data_names(type(inner)) if name not in named))


def _card(
    spec: EnvSpec,
    vector: SyncVector,
    met: Probe,
    judge: str | None,
    parameters: tuple[Parameter, ...],
    fixed: tuple[str, ...],
) -> EnvCard:
    inner, space = vector.unwrapped(), vector.observation_space
    text = docstring(type(inner))
    registered = vector.env_spec()
    placed = met.placed or None
    return EnvCard(
        spec=spec,
        title=spec.id.rpartition(":")[2],
        summary=summary(text) or f"{type(inner).__name__}, which has no description.",
        observation_space=space_to_json(space),
        action_space=space_to_json(vector.action_space),
        action_kind=action_kind(vector.action_space),  # type: ignore[arg-type]
        action_meanings=_meanings(inner, text, vector),
        features=discover(space, text, met.observations, placed),
        left_out=Pipeline.for_space(space).left_out,
        info_keys=met.info_keys,
        parameters=parameters,
        fixed_parameters=fixed,
        random=met.rollouts,
        max_episode_steps=_limit(inner, registered, met),
        reward_threshold=getattr(registered, "reward_threshold", None),
        judge=judge_for(judge, spec, info_flags=met.info_flags),
        has_source=_has_source(type(inner)),
        has_docstring=bool(text),
        card_steps=met.rollouts.steps,
    )


def _meanings(inner: Any, text: str, vector: SyncVector) -> tuple[str, ...]:
    """What each action does: the docstring's words, else names that the environment keeps for its actions."""
    space = vector.action_space
    size = int(space.n) if isinstance(space, Discrete) else int(np.prod(space.shape or (0,)))
    told = action_meanings(text, size)
    names = getattr(getattr(inner, "actions", None), "__members__", {})
    if not told and len(names) == size:
        return tuple(names)
    return told


def _limit(inner: Any, registered: Any, met: Probe) -> int | None:
    """Steps after which an episode is cut: the registered limit, else the one that the environment keeps itself."""
    limit = getattr(registered, "max_episode_steps", None)
    for name in ("max_steps", "max_episode_steps"):
        own = getattr(inner, name, None)
        if limit is None and isinstance(own, int) and own >= met.rollouts.length_max:
            limit = own
    return limit


def _has_source(env_class: type) -> bool:
    try:
        return bool(inspect.getsource(env_class))
    except (OSError, TypeError):
        return False
