"""The one place where an environment is built from its specification."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from experimenter.envs.families import family, family_for
from experimenter.records import EnvSpec, Json

if TYPE_CHECKING:
    import gymnasium

__all__ = ["make", "spec_for"]


def make(spec: EnvSpec, *, hastened: bool = False) -> gymnasium.Env[Any, Any]:
    """The environment, without rendering and without Gymnasium's passive checker, with episodes that always end.

    ``hastened`` is for training alone: what judges steps the environment as it came.
    Raises NotFound (unknown id, parameter or family, with did-you-mean) and EnvironmentFault (its own error's text).
    """
    from experimenter.envs.limits import limited
    from experimenter.envs.litter import keep_folder_clean

    owner = family(spec.family)
    made = limited(owner.make(spec))
    if hastened and (hasten := getattr(owner, "hasten", None)) is not None:
        hasten(made)
    keep_folder_clean()
    return made


def spec_for(env_id: str, kwargs: Mapping[str, Json] | None = None) -> EnvSpec:
    """The specification of ``env_id`` with constructor parameters, under the family that owns it."""
    return EnvSpec(id=env_id, kwargs=dict(kwargs or {}), family=family_for(env_id).name)
