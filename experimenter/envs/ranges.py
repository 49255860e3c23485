"""Tries each constructor parameter's range, so that a card offers only values under which the environment works.

A parameter that changes the spaces is fixed: a policy could not move between its values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import gymnasium

from experimenter.contracts import Family
from experimenter.envs.faults import deadline, foreign
from experimenter.envs.records import Parameter
from experimenter.errors import EnvironmentFault, NotFound
from experimenter.records import EnvSpec, Json

__all__ = ["tried"]

_SECONDS: Final = 3.0
_NARROWINGS: Final = 4


def tried(
    owner: Family,
    spec: EnvSpec,
    schema: tuple[Parameter, ...],
    env: gymnasium.Env[Any, Any],
    alive: Callable[[], None] = lambda: None,
) -> tuple[tuple[Parameter, ...], tuple[str, ...]]:
    """The parameters that may vary, with ranges that were tried (one reset each), and the names of the fixed ones.

    ``alive`` is called after each parameter, as a sign of life.
    """
    kept: list[Parameter] = []
    fixed: list[str] = []
    for parameter in schema:
        narrowed = _narrow(owner, spec, parameter, env)
        if narrowed is not None:
            kept.append(narrowed)
        if narrowed is None or len(narrowed.choices) == 1:
            fixed.append(parameter.name)
        alive()
    return tuple(kept), tuple(fixed)


def _narrow(
    owner: Family, spec: EnvSpec, parameter: Parameter, env: gymnasium.Env[Any, Any]
) -> Parameter | None:
    """The parameter with what works of its range, ``None`` (or its given value alone) when nothing else does."""

    def works(value: Json) -> bool:
        return value == parameter.default or _works(owner, spec, parameter.name, value, env)

    if parameter.type in ("int", "float"):
        low = _nearest_that_works(parameter, parameter.low, works)
        high = _nearest_that_works(parameter, parameter.high, works)
        varies = low < high
        narrowed = parameter.model_copy(update={"low": low, "high": high})
    else:
        options = parameter.choices if parameter.type == "choice" else (False, True)
        choices = tuple(value for value in options if works(value))
        varies = len(choices) > 1
        narrowed = (
            parameter if parameter.type == "bool" else parameter.model_copy(update={"choices": choices})
        )
    if varies:
        return narrowed
    if parameter.name not in spec.kwargs:
        return None
    given = spec.kwargs[parameter.name]
    return Parameter(
        name=parameter.name,
        type="choice",
        default=given,
        choices=(given,),
        description=parameter.description,
    )


def _nearest_that_works(parameter: Parameter, end: float | None, works: Any) -> float:
    """``end``, or the first point that works on the way from it to the default, halving the distance."""
    default: float = parameter.default
    value = default if end is None else end
    for _ in range(_NARROWINGS):
        value = round(value) if parameter.type == "int" else value
        if works(value):
            return value
        value = (value + default) / 2
    return default


def _works(owner: Family, spec: EnvSpec, name: str, value: Json, env: gymnasium.Env[Any, Any]) -> bool:
    """Whether the environment can be built and reset with the value, and keeps its spaces."""
    changed = spec.model_copy(update={"kwargs": {**spec.kwargs, name: value}})
    try:
        with deadline(spec.id, f"with {name}={value}", _SECONDS), foreign(spec.id, "when it was tried"):
            other = owner.make(changed)
            other.reset(seed=0)
            same = other.observation_space == env.observation_space and other.action_space == env.action_space
            other.close()
    except (EnvironmentFault, NotFound):
        return False
    return bool(same)
