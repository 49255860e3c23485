"""The family of everything that Gymnasium can make: ids in its registry, and ``module:Id`` of a person's own module."""

from __future__ import annotations

import difflib
import importlib
import re
import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Final, NoReturn

import gymnasium
from gymnasium import error as gym_error

from experimenter.envs.faults import foreign
from experimenter.envs.records import Parameter
from experimenter.errors import EnvironmentFault, NotFound, did_you_mean
from experimenter.records import EnvSpec

__all__ = ["GymnasiumFamily", "build", "find"]

_SUCCESS_KEYS: Final = ("is_success", "success")
_OUR_EXTRAS: Final = ("box2d", "mujoco", "minigrid")


class GymnasiumFamily:
    """Any registered environment; success is what a boolean ``info`` key says, sub-tasks are ``info["subtasks"]``."""

    contract: ClassVar[int] = 1
    name: ClassVar[str] = "gymnasium"

    def owns(self, env_id: str) -> bool:
        return True

    def make(self, spec: EnvSpec) -> gymnasium.Env[Any, Any]:
        """Raises NotFound for an unknown module, id or parameter, EnvironmentFault when the constructor fails."""
        return build(spec)

    def schema(self, spec: EnvSpec) -> tuple[Parameter, ...]:
        """Parameters with types and ranges; what ``spec`` sets without being free to vary has one choice."""
        env = self.make(spec)
        try:
            return _schema(spec, env)
        finally:
            env.close()

    def repair(self, spec: EnvSpec, schema: Sequence[Parameter]) -> tuple[EnvSpec, tuple[str, ...]]:
        from experimenter.envs import parameters

        return parameters.repair(spec, schema)

    def success_key(self, spec: EnvSpec, info_keys: Iterable[str]) -> str | None:
        seen = set(info_keys)
        return next((key for key in _SUCCESS_KEYS if key in seen), None)

    def succeeded(
        self, spec: EnvSpec, episode_return: float, terminated: bool, info: Mapping[str, Any]
    ) -> bool | None:
        return None

    def subtasks(self, spec: EnvSpec, info: Mapping[str, Any]) -> Mapping[str, bool]:
        """``info["subtasks"]``: name to whether it was met so far in the episode, where the environment says so."""
        told = info.get("subtasks")
        return {str(k): bool(v) for k, v in told.items()} if isinstance(told, Mapping) else {}


def build(spec: EnvSpec) -> gymnasium.Env[Any, Any]:
    """Makes the environment with nothing around it but its time limit and the wrappers that its author registered."""
    registered = find(spec.id)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _check_names(spec, registered)
        with foreign(spec.id, "when it was built"):
            try:
                return gymnasium.make(
                    replace(registered, order_enforce=False), disable_env_checker=True, **spec.kwargs
                )
            except (gym_error.DependencyNotInstalled, ImportError) as cause:
                raise _missing(spec.id, cause) from cause


def find(env_id: str) -> gymnasium.envs.registration.EnvSpec:
    """Gymnasium's record of ``env_id`` (``module:Id`` imports the module first). Raises NotFound."""
    module, _, name = env_id.rpartition(":")
    if module:
        _import(module)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return gymnasium.spec(name)
        except gym_error.Error as cause:
            _unknown(name, module, cause)


def _import(module: str) -> None:
    """Imports a person's module, looking in the current folder too, as ``python -m`` does."""
    here = str(Path.cwd())
    sys.path.append(here)
    try:
        with foreign(module, "when it was imported"):
            try:
                importlib.import_module(module)
            except ModuleNotFoundError as cause:
                if cause.name != module.partition(".")[0] and cause.name != module:
                    raise
                raise NotFound(
                    f"There is no module {module!r} to import environments from.",
                    "Run from the folder that holds it, or install it.",
                ) from cause
    finally:
        sys.path.remove(here)


def _unknown(name: str, module: str, cause: gym_error.Error) -> NoReturn:
    newer = re.search(r"use `([^`]+)` instead", str(cause))
    if newer:
        raise NotFound(f"{name} is no longer shipped by Gymnasium.", f"Use {newer[1]}.") from cause
    where = f" in module {module}" if module else ""
    hint = _closest(name) or "List what is installed with: experimenter envs list."
    raise NotFound(f"There is no environment {name}{where}.", hint) from cause


def _closest(name: str) -> str:
    known = {key.lower(): key for key in gymnasium.registry}
    close = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.5)
    return f"Did you mean {' or '.join(known[c] for c in close)}?" if close else ""


def _missing(env_id: str, cause: ImportError | gym_error.DependencyNotInstalled) -> EnvironmentFault:
    """Names the extra to install: Gymnasium's own text says ``gymnasium[extra]``."""
    extra = re.search(r"gymnasium\[([\w-]+)\]", str(cause))
    if extra and extra[1].lower() in _OUR_EXTRAS:
        hint = f"Install it with: pip install 'rl-experimenter[{extra[1].lower()}]'."
    elif extra:
        hint = f"Install it with: pip install 'gymnasium[{extra[1]}]'."
    else:
        hint = f"Install it with: pip install {getattr(cause, 'name', None) or 'what it names'}."
    return EnvironmentFault(f"{env_id} needs a package that is not installed: {cause}", hint)


def _check_names(spec: EnvSpec, registered: gymnasium.envs.registration.EnvSpec) -> None:
    """An unknown constructor parameter is the person's mistake and gets a did-you-mean."""
    if not spec.kwargs or not isinstance(registered.entry_point, (str, type)):
        return
    env_class: Any = registered.entry_point
    if isinstance(env_class, str):
        with foreign(spec.id, "when its class was loaded"):
            try:
                env_class = gymnasium.envs.registration.load_env_creator(env_class)
            except (gym_error.DependencyNotInstalled, ImportError) as cause:
                raise _missing(spec.id, cause) from cause
    from experimenter.envs import parameters

    known = parameters.known_names(env_class) if isinstance(env_class, type) else None
    for name in spec.kwargs:
        if known is not None and name not in known:
            hint = did_you_mean(name, known) or f"It has: {', '.join(sorted(known)) or 'none'}."
            raise NotFound(f"{spec.id} has no parameter {name!r}.", hint)


def _schema(spec: EnvSpec, env: gymnasium.Env[Any, Any]) -> tuple[Parameter, ...]:
    from experimenter.envs import parameters
    from experimenter.envs.docstrings import argument_words

    inner, registered = env.unwrapped, find(spec.id)
    words, seen = argument_words(type(inner)), parameters.registered_values(registered)
    given = {**registered.kwargs, **spec.kwargs}
    found: list[Parameter] = []
    for name, parameter in parameters.constructor(type(inner)).items():
        default = given.get(name, None if parameter.default is parameter.empty else parameter.default)
        if default is None:
            default = _attribute(inner, name)
        entry = parameters.guess(name, parameter, default, seen.get(name, set()), words.get(name, ""))
        if entry is None and name in spec.kwargs:
            entry = Parameter(name=name, type="choice", default=default, choices=(default,))
        if entry is not None:
            found.append(entry)
    return tuple(found)


def _attribute(inner: Any, name: str) -> int | float | bool | None:
    """What an environment made of a parameter left at ``None``, when it keeps it under the same name."""
    value = getattr(inner, name, None)
    return value if isinstance(value, (bool, int, float)) else None
