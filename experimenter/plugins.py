"""Finds plug-ins by entry point, built-ins and strangers' alike, and says what to do when one is missing."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

from experimenter.errors import ConfigError, NotFound, did_you_mean

__all__ = ["CONTRACT", "GROUPS", "load", "names"]

CONTRACT: Final = 1
GROUPS: Final = (
    "curricula",
    "planners",
    "families",
    "algorithms",
    "memories",
    "embedders",
    "executors",
    "trackers",
    "skills",
    "faces",
)
_SINGULAR: Final = {
    "curricula": "curriculum",
    "families": "family",
    "memories": "memory",
    "skills": "skill library",
}


def names(group: str) -> tuple[str, ...]:
    """The names registered in ``experimenter.<group>``, sorted. Raises NotFound for an unknown group."""
    return tuple(sorted({point.name for point in _points(group)}))


def load(group: str, name: str) -> Any:
    """What the entry point names, usually a class.

    Raises NotFound when there is none of that name or when a module it needs is not installed, and ConfigError
    when two packages claim the name or when the plug-in was written for another contract.
    """
    point = _choose(group, name)
    plugin = _import(point, group)
    contract = getattr(plugin, "contract", None)
    if contract != CONTRACT:
        raise ConfigError(
            f"The {_kind(group)} {name} ({point.value}) declares contract {contract!r}, not {CONTRACT}.",
            "Install a release of the plug-in that fits, or choose another: " + ", ".join(names(group)) + ".",
        )
    return plugin


def _kind(group: str) -> str:
    return _SINGULAR.get(group, group.removesuffix("s"))


def _points(group: str) -> Sequence[EntryPoint]:
    if group not in GROUPS:
        raise NotFound(
            f"There is no plug-in group {group}.",
            did_you_mean(group, GROUPS) or f"Known: {', '.join(GROUPS)}.",
        )
    return tuple(entry_points(group=f"experimenter.{group}"))


def _choose(group: str, name: str) -> EntryPoint:
    points = _points(group)
    found = {point.value: point for point in points if point.name == name}
    if len(found) > 1:
        owners = " and ".join(sorted(map(_owner, found.values())))
        raise ConfigError(
            f"Two packages register the {_kind(group)} {name}: {owners}.", "Uninstall one of them."
        )
    if not found:
        raise NotFound(f"There is no {_kind(group)} named {name}.", _what_exists(group, name))
    return next(iter(found.values()))


def _what_exists(group: str, name: str) -> str:
    known = names(group)
    if not known:
        return "None is registered: install the package with pip (for a checkout: pip install -e .)."
    return f"{did_you_mean(name, known)} Installed: {', '.join(known)}.".strip()


def _owner(point: EntryPoint) -> str:
    return f"{point.dist.name} ({point.value})" if point.dist else point.value


def _import(point: EntryPoint, group: str) -> Any:
    try:
        return point.load()
    except ImportError as cause:
        raise NotFound(
            f"The {_kind(group)} {point.name} cannot be loaded: {cause}.", _what_to_install(point, cause)
        ) from cause
    except AttributeError as cause:
        raise ConfigError(
            f"The {_kind(group)} {point.name} is registered as {point.value}, which does not exist: {cause}.",
            "Reinstall the package that provides it.",
        ) from cause
    except Exception as cause:
        raise ConfigError(
            f"The {_kind(group)} {point.name} cannot be loaded: {type(cause).__name__}: {cause}.",
            f"Tell whoever provides it ({_owner(point)}), or choose another.",
        ) from cause


def _what_to_install(point: EntryPoint, cause: ImportError) -> str:
    if point.dist and point.extras:
        return f"Install what it needs: pip install '{point.dist.name}[{','.join(point.extras)}]'."
    missing = (cause.name or "").partition(".")[0]
    if missing and missing != point.module.partition(".")[0]:
        return f"Install what it needs: pip install {missing}."
    return f"Reinstall the package that provides it ({_owner(point)})."
