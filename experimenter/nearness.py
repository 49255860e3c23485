"""How near two environments are, read from their ids and parameters alone: names are what strangers' tasks have.

No list of known environments stands behind it. ``MiniGrid-DoorKey-5x5-v0`` and ``MiniGrid-DoorKey-6x6-v0`` are one task
at two sizes because digits and single letters beside them are taken as sizes.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from experimenter.identity import canonical_json
from experimenter.records import EnvSpec

__all__ = ["nearness"]

SAME_ID: Final = 0.85  # and up to 0.1 more for constructor parameters that agree
OTHER_VERSION: Final = 0.75
OTHER_SIZE: Final = 0.65
LONGER_NAME: Final = 0.5
SAME_FAMILY: Final = 0.3

_VERSION: Final = re.compile(r"v\d+")
# ``5x5``, ``N4``, and the ``S3R1`` of KeyCorridorS3R1.
_SIZE: Final = re.compile(r"(?:^|(?<=[a-z0-9]))[A-Z]\d+|\d+(?:x\d+)*")
_CAMEL: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z][a-z]*|[a-z]+|\d+")


def nearness(one: EnvSpec, other: EnvSpec) -> float:
    """From 0 (nothing in common) to 1 (the same id and parameters).

    0.85 to 0.95: the same id, other parameters. 0.75: another version. 0.65: the same name but for sizes. 0.5: one name
    goes on where the other ends (``MountainCar``, ``MountainCarContinuous``). 0.3: the same first part of several
    (``MiniGrid-DoorKey``, ``MiniGrid-Empty``). Each of the last four is a tenth lower where parameters differ.
    """
    agree = _agreement(one, other)
    if _bare(one.id) == _bare(other.id):
        return 1.0 if agree == 1.0 else SAME_ID + 0.1 * agree
    return _between_names(_parts(one.id), _parts(other.id)) * (1.0 if agree == 1.0 else 0.9)


def _agreement(one: EnvSpec, other: EnvSpec) -> float:
    """The share of constructor parameters, given by either, that both give with the same value; 1 without any."""
    keys = one.kwargs.keys() | other.kwargs.keys()
    same = [
        key
        for key in keys & one.kwargs.keys() & other.kwargs.keys()
        if canonical_json(one.kwargs[key]) == canonical_json(other.kwargs[key])
    ]
    return len(same) / len(keys) if keys else 1.0


def _between_names(ones: tuple[str, ...], others: tuple[str, ...]) -> float:
    if not ones or not others:
        return 0.0
    if ones == others:
        return OTHER_VERSION
    if _without_sizes(ones) == _without_sizes(others):
        return OTHER_SIZE
    if len(ones) == len(others) and ones[:-1] == others[:-1] and _continues(ones[-1], others[-1]):
        return LONGER_NAME
    return SAME_FAMILY if ones[0] == others[0] else 0.0


def _bare(name: str) -> str:
    """The id without the module that registers it."""
    return name.rpartition(":")[2]


@lru_cache(maxsize=4096)
def _parts(name: str) -> tuple[str, ...]:
    """``module:Family-Task-5x5-v1`` as ``(Family, Task, 5x5)``; ``ALE/Pong-v5`` as ``(ALE, Pong)``."""
    parts = [part for part in re.split(r"[-/]", _bare(name)) if part]
    return tuple(parts[:-1] if len(parts) > 1 and _VERSION.fullmatch(parts[-1]) else parts)


@lru_cache(maxsize=4096)
def _without_sizes(parts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(filter(None, (_SIZE.sub("", part) for part in parts))) or parts


def _continues(one: str, other: str) -> bool:
    """Whether the longer name begins with all words of the shorter one, which has at least two."""
    short, long = sorted((_CAMEL.findall(one), _CAMEL.findall(other)), key=len)
    return len(short) >= 2 and long[: len(short)] == short
