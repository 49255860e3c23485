"""Gymnasium spaces as JSON and as flat leaves, so that a policy can be rebuilt without its environment.

A batch of observations is one array, or a *flat* dictionary of arrays: nested dictionaries and tuples are joined
with dots (``arm.angle``, ``0``, ``goal.1``). Text becomes a row of zeros and ones where it is read (``words.py``);
text that is always the same, and any other space that has no numbers, is left out by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import gymnasium
import numpy as np
from gymnasium import spaces

from experimenter.envs.faults import foreign
from experimenter.envs.missions import words_of
from experimenter.envs.words import Words
from experimenter.errors import EnvironmentFault
from experimenter.records import Json

__all__ = [
    "ONE_LIST",
    "Leaf",
    "action_kind",
    "leaves",
    "left_out",
    "other_texts",
    "same_spaces",
    "space_from_json",
    "space_to_json",
    "without_text",
]

ONE_LIST: Final = (
    "A policy reads words by one list of sentences: train it only where they are drawn from the same list, such as in "
    "its target environment with other parameters."
)
"""What to do where environments of one training say different things."""
_NUMERIC = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)


@dataclass(frozen=True, slots=True)
class Leaf:
    """One numeric space inside an observation space; ``keys`` walks to it, ``name`` is its key in a batch.

    Where an environment gives text, ``space`` is that of the rows that ``text.read`` makes of it.
    """

    keys: tuple[Any, ...]
    space: gymnasium.Space[Any]

    @property
    def name(self) -> str:
        return ".".join(str(key) for key in self.keys)

    @property
    def text(self) -> Words | None:
        """What reads the text that stands here; ``None`` where the environment gives numbers itself."""
        return self.space if isinstance(self.space, Words) else None

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.space.shape or ())

    @property
    def dtype(self) -> np.dtype[Any]:
        """The batch's dtype: float32 for real numbers, else the space's own."""
        own = np.dtype(self.space.dtype or np.float32)
        return np.dtype(np.float32) if own.kind == "f" else own


def _children(space: gymnasium.Space[Any]) -> Iterator[tuple[Any, gymnasium.Space[Any]]]:
    if isinstance(space, spaces.Dict):
        yield from sorted(space.spaces.items(), key=lambda item: str(item[0]))
    elif isinstance(space, spaces.Tuple):
        yield from enumerate(space.spaces)


def _walk(space: gymnasium.Space[Any], keys: tuple[Any, ...] = ()) -> Iterator[Leaf]:
    if isinstance(space, (spaces.Dict, spaces.Tuple)):
        for key, child in _children(space):
            yield from _walk(child, (*keys, key))
    else:
        yield Leaf(keys, words_of(space) or space)


def leaves(space: gymnasium.Space[Any]) -> tuple[Leaf, ...]:
    """The numeric leaves, in sorted key order. Raises EnvironmentFault when there is none."""
    found = tuple(leaf for leaf in _walk(space) if isinstance(leaf.space, _NUMERIC))
    if not found:
        raise EnvironmentFault(
            f"The observation space {type(space).__name__} holds no numbers that a policy could read.",
            "Use Box, Discrete, MultiDiscrete, MultiBinary, Text, or a Dict or Tuple of them.",
        )
    return found


def left_out(space: gymnasium.Space[Any]) -> tuple[str, ...]:
    """Names of the leaves that no policy reads (text that is always the same, graphs, sequences)."""
    return tuple(leaf.name for leaf in _walk(space) if not isinstance(leaf.space, _NUMERIC))


def action_kind(space: gymnasium.Space[Any]) -> str:
    """``discrete``, ``continuous``, ``multi_discrete`` or ``multi_binary``; raises EnvironmentFault otherwise."""
    kinds = {
        spaces.Discrete: "discrete",
        spaces.MultiDiscrete: "multi_discrete",
        spaces.MultiBinary: "multi_binary",
    }
    for kind, word in kinds.items():
        if isinstance(space, kind):
            return word
    if isinstance(space, spaces.Box) and np.issubdtype(space.dtype or np.float32, np.floating):
        return "continuous"
    raise EnvironmentFault(
        f"Actions of space {space} are not supported.",
        "Use Discrete, MultiDiscrete, MultiBinary or a Box of real numbers.",
    )


def _bounds(values: np.ndarray) -> Json:
    """Bounds as one number or a flat list; ``null`` is unbounded."""
    flat = [float(x) if np.isfinite(x) else None for x in values.reshape(-1)]
    if values.dtype.kind in "iu":
        flat = [int(x) for x in values.reshape(-1)]
    return flat[0] if flat and all(x == flat[0] for x in flat) else flat


def space_to_json(space: gymnasium.Space[Any]) -> Json:
    """Plain JSON without NaN or infinity; text stands as the rows that are read, leaves without numbers are dropped.

    Raises EnvironmentFault for a space that holds no numbers at all.
    """
    text = space if isinstance(space, Words) else words_of(space)
    if text is not None:
        return text.to_json()
    if isinstance(space, spaces.Box):
        return {
            "type": "Box",
            "low": _bounds(space.low),
            "high": _bounds(space.high),
            "shape": list(space.shape),
            "dtype": str(space.dtype),
        }
    if isinstance(space, spaces.Discrete):
        return {"type": "Discrete", "n": int(space.n), "start": int(space.start)}
    if isinstance(space, spaces.MultiDiscrete):
        return {"type": "MultiDiscrete", "nvec": space.nvec.tolist(), "start": space.start.tolist()}
    if isinstance(space, spaces.MultiBinary):
        return {"type": "MultiBinary", "n": space.n if isinstance(space.n, int) else list(space.shape)}
    leaves(space)
    kept = [(key, child) for key, child in _children(space) if _has_numbers(child)]
    if isinstance(space, spaces.Dict):
        return {"type": "Dict", "spaces": {str(key): space_to_json(child) for key, child in kept}}
    return {"type": "Tuple", "spaces": [space_to_json(child) for _, child in kept]}


def without_text(form: Json) -> Json:
    """A space's JSON as it was stored by releases that read no text; ``None`` for text itself."""
    if form["type"] == "Words":
        return None
    if form["type"] == "Dict":
        kept = {key: without_text(child) for key, child in form["spaces"].items()}
        return _composed(form, {key: child for key, child in kept.items() if child is not None})
    if form["type"] == "Tuple":
        return _composed(form, [child for child in map(without_text, form["spaces"]) if child is not None])
    return form


def same_spaces(one: gymnasium.Env[Any, Any], other: gymnasium.Env[Any, Any]) -> bool:
    """Whether a policy can act in both environments; a text that never varies in either makes no difference.

    Raises EnvironmentFault when a space's own comparison fails.
    """
    pairs = [(one.observation_space, other.observation_space), (one.action_space, other.action_space)]
    if all(space_to_json(space) == space_to_json(beside) for space, beside in pairs):
        return True
    if other_texts(*pairs[0]):
        return False
    with foreign("The environments' spaces", "when they were compared"):
        return all(space == beside for space, beside in pairs)


def other_texts(one: gymnasium.Space[Any], other: gymnasium.Space[Any]) -> bool:
    """Whether two observation spaces are the same but for what their texts may say, or whether that ever varies."""
    forms = (space_to_json(one), space_to_json(other))
    return bool(forms[0] != forms[1] and without_text(forms[0]) == without_text(forms[1]))


def _composed(form: Json, children: Json) -> Json:
    return {**form, "spaces": children} if children else None


def _has_numbers(space: gymnasium.Space[Any]) -> bool:
    return any(isinstance(leaf.space, _NUMERIC) for leaf in _walk(space))


def _box(json: dict[str, Any]) -> spaces.Box:
    shape, dtype = tuple(json["shape"]), np.dtype(json["dtype"])

    def bound(value: Json, unbounded: float) -> np.ndarray:
        listed = value if isinstance(value, list) else [value] * int(np.prod(shape, dtype=int))
        return np.array([unbounded if x is None else x for x in listed], dtype=dtype).reshape(shape)

    return spaces.Box(bound(json["low"], -np.inf), bound(json["high"], np.inf), shape, dtype.type)


def space_from_json(json: Json) -> gymnasium.Space[Any]:
    """The inverse of ``space_to_json``. Raises ValueError for an unknown type or way of reading text."""
    kind = json["type"]
    if kind == "Box":
        return _box(json)
    if kind == "Discrete":
        return spaces.Discrete(json["n"], start=json["start"])
    if kind == "MultiDiscrete":
        return spaces.MultiDiscrete(np.array(json["nvec"]), start=np.array(json["start"]))
    if kind == "MultiBinary":
        return spaces.MultiBinary(json["n"])
    if kind == "Words":
        return Words.from_json(json)
    if kind == "Dict":
        return spaces.Dict({key: space_from_json(child) for key, child in json["spaces"].items()})
    if kind == "Tuple":
        return spaces.Tuple([space_from_json(child) for child in json["spaces"]])
    raise ValueError(f"unknown space type {kind!r}")
