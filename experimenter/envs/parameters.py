"""What an environment's constructor takes, read from its signature and from the variants that are registered.

Ranges are guesses that a card later narrows by trying them (``trial_ranges``): from the values registered for the
same class where there are several, else half to twice the default.
"""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, get_args, get_origin

import gymnasium

from experimenter.envs.records import Parameter
from experimenter.errors import did_you_mean
from experimenter.records import EnvSpec, Json

__all__ = ["constructor", "data_names", "guess", "known_names", "registered_values", "repair"]

_NOT_DATA: Final = re.compile(r"render|screen|window|tile_size|highlight|camera|agent_pov|xml_file")
_SHARE: Final = re.compile(r"prob|rate|chance|ratio|fraction|share|slip|epsilon")
_WORDS: Final[Mapping[str, Literal["bool", "int", "float", "str"]]] = {
    "bool": "bool",
    "int": "int",
    "float": "float",
    "str": "str",
}


def constructor(env_class: type) -> dict[str, inspect.Parameter]:
    """Constructor parameters by name, through the base classes as long as ``**kwargs`` hands them on."""
    found: dict[str, inspect.Parameter] = {}
    for base in env_class.__mro__:
        if base in (object, gymnasium.Env) or "__init__" not in vars(base):
            continue
        signature = _signature(base.__init__)  # type: ignore[misc]
        for name, parameter in list(signature.items())[1:]:
            if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                found.setdefault(name, parameter)
        if not any(p.kind is p.VAR_KEYWORD for p in signature.values()):
            break
    return found


def _signature(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function, eval_str=True).parameters
    except (NameError, TypeError, AttributeError, SyntaxError):
        pass
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}


def data_names(env_class: type) -> tuple[str, ...]:
    """Constructor parameters that have a default and are not about drawing."""
    found = constructor(env_class).items()
    return tuple(n for n, p in found if p.default is not p.empty and not _NOT_DATA.search(n))


def known_names(env_class: type) -> set[str] | None:
    """Every name that the constructor accepts; ``None`` when it accepts any."""
    names = constructor(env_class)
    last = [b for b in env_class.__mro__ if "__init__" in vars(b) and b not in (object, gymnasium.Env)]
    open_ended = last and all(
        any(p.kind is p.VAR_KEYWORD for p in _signature(vars(base)["__init__"]).values()) for base in last
    )
    return None if open_ended else set(names)


def registered_values(spec: gymnasium.envs.registration.EnvSpec) -> dict[str, set[Any]]:
    """Plain values that registered variants of the same class pass to each parameter."""
    values: dict[str, set[Any]] = {}
    for other in gymnasium.registry.values():
        if other.entry_point == spec.entry_point:
            for name, value in other.kwargs.items():
                if isinstance(value, (bool, int, float, str)):
                    values.setdefault(name, set()).add(value)
    return values


def guess(
    name: str, parameter: inspect.Parameter, default: Any, seen: set[Any], words: str = ""
) -> Parameter | None:
    """The schema entry of one constructor parameter, or ``None`` when it is no data or has no telling range."""
    if _NOT_DATA.search(name):
        return None
    choices = _literal(parameter.annotation)
    if choices:
        return Parameter(name=name, type="choice", default=default, choices=choices, description=words)
    kind = _kind(parameter.annotation, default)
    if kind == "bool":
        return Parameter(name=name, type="bool", default=bool(default), description=words)
    if kind == "str":
        options = tuple(sorted(seen | ({default} if isinstance(default, str) else set())))
        return Parameter(name=name, type="choice", default=default, choices=options, description=words)
    if kind in ("int", "float") and isinstance(default, (int, float)):
        return _ranged(name, kind, default, seen, words)
    return None


def _ranged(
    name: str, kind: Literal["int", "float"], default: float, seen: set[Any], words: str
) -> Parameter | None:
    numbers = {x for x in seen if isinstance(x, (int, float)) and not isinstance(x, bool)} | {default}
    if len(numbers) > 1:
        low, high = min(numbers), max(numbers)
    elif default == 0:
        return None
    else:
        low, high = sorted((default / 2, default * 2))
        high = min(high, 1.0) if _SHARE.search(name) and 0 < default <= 1 and kind == "float" else high
    if kind == "int":
        low, high, default = int(low), int(high), int(default)
        low = 1 if low == 0 and default > 0 else low
    return Parameter(name=name, type=kind, default=default, low=low, high=high, description=words)


def _literal(annotation: Any) -> tuple[Any, ...]:
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    inner = re.fullmatch(r"Literal\[(.*)\]", annotation) if isinstance(annotation, str) else None
    return tuple(re.findall(r"['\"]([^'\"]+)['\"]", inner[1])) if inner else ()


def _kind(annotation: Any, default: Any) -> Literal["bool", "int", "float", "str", "other"]:
    """The annotation's type where it is plain data, else the default's."""
    names = [getattr(annotation, "__name__", str(annotation))]
    names += [getattr(arg, "__name__", "") for arg in get_args(annotation)]
    names += re.split(r"[\s|]+", annotation) if isinstance(annotation, str) else []
    for plain in ("bool", "int", "float", "str"):
        if plain in names and not (plain == "int" and "float" in names):
            return _WORDS[plain]
    return _WORDS.get(type(default).__name__, "other")


def repair(spec: EnvSpec, schema: Sequence[Parameter]) -> tuple[EnvSpec, tuple[str, ...]]:
    """The nearest configuration under ``schema``, and one sentence for each thing that was changed."""
    known = {parameter.name: parameter for parameter in schema}
    kept: dict[str, Json] = {}
    said: list[str] = []
    for name, value in spec.kwargs.items():
        if name not in known:
            said.append(f"{name} was dropped: no such parameter. {did_you_mean(name, known)}".strip())
            continue
        for sentence, fixed in _fit(known[name], value):
            kept[name] = fixed
            if sentence:
                said.append(sentence)
    return spec.model_copy(update={"kwargs": kept}), tuple(said)


def _fit(parameter: Parameter, value: Json) -> Iterator[tuple[str, Json]]:
    """At most one (sentence, value); nothing when the value cannot be understood, which leaves the default."""
    name = parameter.name
    if parameter.type == "choice":
        yield _choose(parameter, value)
    elif parameter.type == "bool":
        plain = value if isinstance(value, bool) else {0: False, 1: True}.get(value, bool(parameter.default))
        changed = type(value) is not bool
        yield (f"{name} was set to {plain}: {value!r} is not true or false." if changed else "", plain)
    elif parameter.type == "str":
        yield ("" if isinstance(value, str) else f"{name} was turned into text.", str(value))
    else:
        yield _clamp(parameter, value)


def _choose(parameter: Parameter, value: Json) -> tuple[str, Json]:
    if value in parameter.choices:
        return "", value
    by_word = {str(choice): choice for choice in parameter.choices}
    near = difflib.get_close_matches(str(value), by_word, n=1)
    picked = by_word[near[0]] if near else parameter.default
    options = ", ".join(map(str, parameter.choices))
    return f"{parameter.name} was set to {picked!r}: {value!r} is none of {options}.", picked


def _clamp(parameter: Parameter, value: Json) -> tuple[str, Json]:
    name, default = parameter.name, parameter.default
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
        return f"{name} was set to {default}: {value!r} is not a number.", default
    low = -float("inf") if parameter.low is None else parameter.low
    high = float("inf") if parameter.high is None else parameter.high
    fitted: float = min(max(value, low), high)
    if parameter.type == "int":
        fitted = round(fitted)
    if fitted != value:
        return (
            f"{name} was changed from {value} to {fitted}: it is {parameter.type}, {low:g} to {high:g}.",
            fitted,
        )
    return "", int(fitted) if parameter.type == "int" else fitted
