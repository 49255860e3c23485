"""Finds an environment's named features: from its docstring's tables where there are any, else by measuring.

What a docstring, a family or a category's own key declares is kept even when random rollouts never moved it (a switch
that chance never finds is what matters most); what was only measured is dropped when it never varied.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import gymnasium
import numpy as np
from gymnasium import spaces

from experimenter.envs.docstrings import Row, identifiers, observation_rows
from experimenter.envs.features import FeatureExtractor
from experimenter.envs.minigrid_features import view_features
from experimenter.envs.pipeline import minigrid_image
from experimenter.envs.records import Feature, FeatureSource
from experimenter.envs.spaces import Leaf, leaves

__all__ = ["MAX_FEATURES", "discover"]

MAX_FEATURES: Final = 48
_Probes = Mapping[str, np.ndarray]


def discover(
    space: gymnasium.Space[Any], text: str, probes: _Probes, placed: frozenset[str] | None = None
) -> tuple[Feature, ...]:
    """The features of an observation space.

    ``text`` is the environment's docstring; ``probes`` holds flat batches by leaf name (``""`` for a plain space)
    from random rollouts; ``placed`` names the kinds of objects in a grid world, ``None`` when unknown.
    """
    image = minigrid_image(space)
    found: list[Feature] = []
    plain = [leaf for leaf in leaves(space) if leaf.name != image and leaf.text is None]
    if image is not None:
        found += view_features(image, probes[image], placed)
    found += _plain_features(plain, text, probes)
    found += _ever(found)
    return tuple(_measured(found, probes))


def _plain_features(plain: Sequence[Leaf], text: str, probes: _Probes) -> list[Feature]:
    columns = [(leaf, index) for leaf in plain if not _is_image(leaf) for index in range(_count(leaf))]
    rows = observation_rows(text, len(columns)) if columns else ()
    if rows:
        names = identifiers([row.words for row in rows])
        return [
            _declared(leaf, i, row, name, probes[leaf.name])
            for (leaf, i), row, name in zip(columns, rows, names, strict=True)
        ]
    names = identifiers([_own_name(leaf, index) for leaf, index in columns])
    measured = [
        feature
        for (leaf, index), name in zip(columns, names, strict=True)
        if (feature := _guessed(leaf, index, name, probes[leaf.name])) is not None
    ]
    return measured[:MAX_FEATURES]


def _is_image(leaf: Leaf) -> bool:
    return isinstance(leaf.space, spaces.Box) and leaf.space.dtype == np.uint8 and len(leaf.shape) >= 2


def _count(leaf: Leaf) -> int:
    return int(np.prod(leaf.shape, dtype=int))


def _own_name(leaf: Leaf, index: int) -> str:
    """``obs_3`` or ``state`` for a plain space, else the key, with a number when it holds several."""
    if not leaf.name:
        return "state" if isinstance(leaf.space, spaces.Discrete) else f"obs_{index}"
    name = leaf.name.replace(".", "_")
    name = f"obs_{name}" if name[0].isdigit() else name
    return name if _count(leaf) == 1 else f"{name}_{index}"


def _source(leaf: Leaf, index: int) -> FeatureSource:
    path = tuple(str(key) for key in leaf.keys)
    rule = "scalar" if isinstance(leaf.space, spaces.Discrete) else "index"
    return FeatureSource(path=path, rule=rule, index=index)  # type: ignore[arg-type]


def _bounds(leaf: Leaf, index: int) -> tuple[float | None, float | None]:
    """The space's own bounds, ``None`` where unbounded."""
    space = leaf.space
    if isinstance(space, spaces.Box):
        low, high = float(space.low.reshape(-1)[index]), float(space.high.reshape(-1)[index])
        huge = 1e30
        return (low if abs(low) < huge else None), (high if abs(high) < huge else None)
    if isinstance(space, spaces.Discrete):
        return float(space.start), float(space.start + space.n - 1)
    if isinstance(space, spaces.MultiDiscrete):
        start = float(space.start.reshape(-1)[index])
        return start, start + float(space.nvec.reshape(-1)[index]) - 1
    return 0.0, 1.0


def _kind(leaf: Leaf, index: int, values: np.ndarray) -> str:
    """A flag is a two-valued number that is 0 or 1; categories come from discrete spaces."""
    low, high = _bounds(leaf, index)
    if isinstance(leaf.space, (spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)):
        return "flag" if (low, high) == (0.0, 1.0) else "category"
    two_valued = set(np.unique(values).tolist()) == {0.0, 1.0}
    whole = isinstance(leaf.space, spaces.Box) and np.issubdtype(leaf.space.dtype or np.float32, np.integer)
    return "flag" if two_valued else "count" if whole else "continuous"


def _is_angle(row: Row, name: str) -> bool:
    moving = any(word in name for word in ("velocity", "acceleration", "cos_", "sin_"))
    return not moving and ("angle" in name or "theta" in name or row.unit in ("rad", "deg"))


def _declared(leaf: Leaf, index: int, row: Row, name: str, values: np.ndarray) -> Feature:
    low, high = _bounds(leaf, index)
    kind = _kind(leaf, index, values.reshape(len(values), -1)[:, index])
    if kind == "continuous" and _is_angle(row, name):
        kind = "angle"
    return Feature(
        name=name,
        description=row.words,
        unit=row.unit,
        kind=kind,  # type: ignore[arg-type]
        low=row.low if low is None else low,
        high=row.high if high is None else high,
        origin="docstring",
        source=_source(leaf, index),
    )


def _guessed(leaf: Leaf, index: int, name: str, values: np.ndarray) -> Feature | None:
    column = values.reshape(len(values), -1)[:, index]
    named = bool(leaf.name) and not isinstance(leaf.space, spaces.Box)
    if float(column.min()) == float(column.max()) and not named:
        return None
    low, high = _bounds(leaf, index)
    where = f"{leaf.name!r}" if leaf.name else "the observation"
    part = f"number {index} of {where}" if _count(leaf) > 1 else where
    kind = _kind(leaf, index, column)
    return Feature(
        name=name,
        description=part,
        kind=kind,  # type: ignore[arg-type]
        low=low,
        high=high,
        source=_source(leaf, index),
    )


def _ever(found: Sequence[Feature]) -> list[Feature]:
    return [
        Feature(
            name=f"ever_{flag.name}"[:40],
            description=f"whether {flag.name} was on at any time of this episode",
            kind="flag",
            low=0.0,
            high=1.0,
            origin=flag.origin,
            source=FeatureSource(rule="ever", of=flag.name),
            possible=flag.possible,
        )
        for flag in found
        if flag.kind == "flag"
    ]


def _measured(found: Sequence[Feature], probes: _Probes) -> list[Feature]:
    """The same features with the lowest and highest value met; an ``ever`` flag has its flag's."""
    values = FeatureExtractor(found).extract(probes.get("", probes))

    def ranged(feature: Feature) -> Feature:
        column = values[feature.source.of or feature.name]
        low, high = float(column.min()), float(column.max())
        return feature.model_copy(update={"measured_low": low, "measured_high": high})

    return [ranged(feature) for feature in found]
