"""Features that any MiniGrid world shows in its egocentric view: what is carried, what is in sight, and how near."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from experimenter.envs.features import farthest
from experimenter.envs.records import Feature, FeatureSource

__all__ = ["OBJECTS", "placed_objects", "view_features"]

OBJECTS: Final = {
    "unseen": 0,
    "empty": 1,
    "wall": 2,
    "floor": 3,
    "door": 4,
    "key": 5,
    "ball": 6,
    "box": 7,
    "goal": 8,
    "lava": 9,
    "agent": 10,
}
"""Object numbers of ``minigrid.core.constants.OBJECT_TO_IDX``."""
_USUAL: Final = ("door", "key", "goal", "ball", "box", "lava")
_CARRIED: Final = ("key", "ball", "box")
_DOORS: Final = {"open": 0, "closed": 1, "locked": 2}
_SCENERY: Final = ("unseen", "empty", "wall")


def placed_objects(inner: Any) -> frozenset[str]:
    """Kinds of objects in a world's grid, and inside its boxes; empty when it keeps no grid."""
    cells = getattr(getattr(inner, "grid", None), "grid", None) or ()
    things = [cell for cell in cells if cell is not None]
    inside = [thing.contains for thing in things if getattr(thing, "contains", None) is not None]
    return frozenset(thing.type for thing in (*things, *inside))


def view_features(key: str, images: np.ndarray, placed: frozenset[str] | None) -> list[Feature]:
    """Features of the byte images (n, w, h, 3) under ``key``.

    ``placed`` names the kinds of objects of every world, features of others are impossible; ``None``: they differ.
    """
    met = {name for name, value in OBJECTS.items() if (images[..., 0] == value).any()}
    seen = [*_USUAL, *sorted(met - set(_USUAL) - set(_SCENERY))]
    there = set(OBJECTS) if placed is None else placed | met
    path = tuple(key.split("."))
    found = [
        _flag(f"carrying_{name}", f"carries a {name}", path, "carrying", name, there) for name in _CARRIED
    ]
    found += [_flag(f"sees_{name}", f"{name} in view", path, "visible", name, there) for name in seen]
    found += [_door(state, number, path, there) for state, number in _DOORS.items()]
    width, height = images.shape[1:3]
    return found + [_distance(name, path, farthest(width, height), there) for name in _USUAL]


def _flag(
    name: str, words: str, path: tuple[str, ...], rule: str, thing: str, there: set[str] | frozenset[str]
) -> Feature:
    return Feature(
        name=name,
        description=words,
        kind="flag",
        low=0.0,
        high=1.0,
        origin="family",
        source=FeatureSource(path=path, rule=rule, value=OBJECTS[thing]),  # type: ignore[arg-type]
        possible=thing in there,
    )


def _door(state: str, number: int, path: tuple[str, ...], there: set[str] | frozenset[str]) -> Feature:
    plain = _flag(f"sees_{state}_door", f"door in view that is {state}", path, "visible", "door", there)
    source = plain.source.model_copy(update={"rule": "visible_state", "index": number})
    return plain.model_copy(update={"source": source})


def _distance(name: str, path: tuple[str, ...], most: float, there: set[str] | frozenset[str]) -> Feature:
    return Feature(
        name=f"{name}_distance",
        description=f"cells to the nearest {name} in view, {most:g} when there is none",
        unit="cells",
        kind="count",
        low=0.0,
        high=most,
        origin="family",
        source=FeatureSource(path=path, rule="visible", value=OBJECTS[name], distance=True),
        possible=name in there,
    )
