"""The environment card: all that can be known about an environment, with or without its source, before training."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from gymnasium.spaces import Discrete

from experimenter.envs.discover import discover
from experimenter.envs.docstrings import action_meanings, docstring, summary
from experimenter.envs.families import family
from experimenter.envs.judging import judge_for
from experimenter.envs.limits import own_limit
from experimenter.envs.parameters import data_names
from experimenter.envs.pipeline import Pipeline
from experimenter.envs.probe import Probe, probe
from experimenter.envs.ranges import tried
from experimenter.envs.records import EnvCard, Parameter
from experimenter.envs.spaces import action_kind, space_to_json
from experimenter.envs.vector import SyncVector
from experimenter.records import EnvSpec

__all__ = ["Progress", "extract_card"]

Progress = Callable[[dict[str, Any]], None]
# From so many random episodes that ended by themselves on, these and no assumed limit say how long episodes are.
ENOUGH_EPISODES: Final = 10


def extract_card(
    spec: EnvSpec, *, judge: str | None, steps: int = 2000, seed: int = 0, progress: Progress | None = None
) -> EnvCard:
    """Builds the card by ``steps`` random steps; the same for the same seed, but for ``random.steps_per_second``.

    ``progress`` hears ``{"steps", "until"}`` after every step and parameter that was tried, as a sign of life.

    Raises NotFound for an unknown environment, EnvironmentFault for one that fails or cannot be learned from, and
    UsageError for a judge that cannot be read.
    """
    judge_for(judge, spec)
    vector = SyncVector(spec, 1)
    try:
        action_kind(vector.action_space)
        Pipeline.for_space(vector.observation_space)
        hear = progress or _silent
        met = probe(vector, steps, seed, lambda done: hear({"steps": done, "until": steps}))
        parameters, fixed = _parameters(spec, vector, lambda: hear({"steps": steps, "until": steps}))
        return _card(spec, vector, met, judge, parameters, fixed)
    finally:
        vector.close()


def _parameters(
    spec: EnvSpec, vector: SyncVector, alive: Callable[[], None]
) -> tuple[tuple[Parameter, ...], tuple[str, ...]]:
    owner, inner = family(spec.family), vector.unwrapped()
    kept, fixed = tried(owner, spec, owner.schema(spec), inner, alive)
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
    limit, assumed = _limit(vector, met)
    return EnvCard(
        spec=spec,
        title=spec.id.rpartition(":")[2],
        summary=summary(text) or f"{type(inner).__name__}, which has no description.",
        observation_space=space_to_json(space),
        action_space=space_to_json(vector.action_space),
        action_kind=action_kind(vector.action_space),  # type: ignore[arg-type]
        action_meanings=_meanings(inner, text, vector),
        features=discover(space, text, met.observations, met.placed),
        left_out=Pipeline.for_space(space).left_out,
        info_keys=met.info_keys,
        parameters=parameters,
        fixed_parameters=fixed,
        random=met.rollouts,
        max_episode_steps=limit,
        assumed_limit=assumed,
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


def _limit(vector: SyncVector, met: Probe) -> tuple[int | None, int | None]:
    """Steps after which an episode is cut, and the limit that was assumed because the environment has none."""
    assumed, rollouts = vector.assumed_limit(), met.rollouts
    if assumed is None:
        return getattr(vector.env_spec(), "max_episode_steps", None), None
    own = own_limit(vector.unwrapped())
    if own is not None and own >= rollouts.length_max:
        return own, None
    if rollouts.terminated_share < 1 and rollouts.episodes and rollouts.length_max < assumed:
        return None, None
    return (assumed if rollouts.episodes < ENOUGH_EPISODES else None), assumed


def _silent(_: dict[str, Any]) -> None:
    return None


def _has_source(env_class: type) -> bool:
    try:
        return bool(inspect.getsource(env_class))
    except (OSError, TypeError):
        return False
