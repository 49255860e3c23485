"""What a stored policy may say before anything is built from it: skills travel, and their files may be anybody's.

Every size is looked at before memory is taken for it, and every number before something is computed with it. Whatever
is wrong is one sentence in a ``ValueError``; what cannot be foreseen is among ``WRONG``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from experimenter.envs.images import MAX_PIXELS
from experimenter.errors import ExperimenterError
from experimenter.records import Json, Network

if TYPE_CHECKING:
    import gymnasium

    from experimenter.envs.pipeline import Pipeline
    from experimenter.envs.spaces import Leaf

__all__ = [
    "WRONG",
    "check_description",
    "check_network",
    "check_pipeline",
    "check_weights",
    "read_description",
    "read_weights",
]

MAX_BYTES: Final = 1 << 23
MAX_VALUES: Final = 600_000
MAX_NESTS: Final = 50_000
MAX_NUMBERS: Final = MAX_PIXELS + 20_000
"""Most inputs, and most outputs, of a network."""
MAX_PARTS: Final = 4_096
MAX_LAYERS: Final = 64
MAX_WIDTH: Final = 65_536
MAX_DEPTH: Final = 16
LARGEST: Final = 1e300
_HEADER: Final = 1 << 16
_ENDLESS: Final = re.compile(r"[0-9]{400}")
_KEYS: Final = frozenset(
    ("v", "spaces", "pipeline", "normaliser", "architecture", "action_mode", "head", "hash")
)
_DTYPES: Final = frozenset(
    (
        "bool",
        *(f"{u}int{bits}" for u in ("", "u") for bits in (8, 16, 32, 64)),
        "float16",
        "float32",
        "float64",
    )
)
_RULES: Final = frozenset({"real", "scale255", "onehot", "minigrid", "tokens"})
WRONG: Final = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError, TypeError, ValueError),
    ExperimenterError,
)
"""What building something from a description that makes no sense may raise."""


def read_description(path: Path) -> dict[str, Any]:
    """The JSON object in a file of plausible size. Raises OSError, and ValueError for anything else."""
    text = _read(path, MAX_BYTES).decode()
    if text.count(",") > MAX_VALUES or text.count("[") + text.count("{") > MAX_NESTS:
        raise ValueError(f"{path.name} holds more than any policy has to say")
    if _ENDLESS.search(text):
        raise ValueError(f"{path.name} holds a number without end")
    try:
        found = json.loads(text)
    except RecursionError:
        raise ValueError(f"{path.name} is nested too deep") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path.name} is not an object")
    return found


def read_weights(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> bytes:
    """The bytes of arrays of these shapes, read only where there are about as many. Raises OSError, ValueError."""
    expected = 4 * sum(math.prod(shape) for shape in shapes.values())
    return _read(path, expected + _HEADER + 256 * len(shapes))


def _read(path: Path, most: int) -> bytes:
    if not path.is_file():
        raise ValueError(f"there is no file {path.name}")
    if (size := path.stat().st_size) > most:
        raise ValueError(f"{path.name} has {size:,} bytes, and at most {most:,} can be right")
    with path.open("rb") as file:
        return file.read(size)


def check_weights(arrays: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raises ValueError for other arrays than these, and for numbers that are none."""
    if {name: array.shape for name, array in arrays.items()} != dict(shapes):
        raise ValueError("its weights do not have the shapes that the policy declares")
    for name, array in arrays.items():
        if array.dtype != np.float32:
            raise ValueError(
                f"its weights {name} are {array.dtype}, and float32 is what policies are made of"
            )
        if not np.isfinite(array).all():
            raise ValueError(f"its weights {name} are not all numbers")


def check_description(description: Mapping[str, Any]) -> None:
    """Raises ValueError, or what is in ``WRONG``, where spaces, pipeline or statistics cannot be a policy's."""
    unknown = [name for name in description if name not in _KEYS]
    if _integer(description["v"], 1, 2**31, "its version") != 1 or unknown:
        raise ValueError("it was written by a newer release: update this one")
    for name in ("observation", "action"):
        _bounded(_space(description["spaces"][name]), f"its {name} space")
    pipeline = description["pipeline"]
    parts = _list(pipeline["parts"], MAX_PARTS, "its pipeline's parts")
    for part in parts:
        _part(part)
    for name in ("left_out", "binary"):
        if not all(
            isinstance(word, str) for word in _list(pipeline[name], MAX_NUMBERS, f"its pipeline's {name}")
        ):
            raise ValueError(f"its pipeline's {name} are not names")
    if (normaliser := description["normaliser"]) is not None:
        _normaliser(normaliser)
    if description["action_mode"] not in ("greedy", "sample"):
        raise ValueError("its action_mode is neither greedy nor sample")


def check_network(network: Network) -> None:
    """Raises ValueError for layers beyond all measure."""
    if max(len(network.hidden), len(network.convolution)) > MAX_LAYERS:
        raise ValueError(f"its network has more than {MAX_LAYERS} layers of a kind")
    if not all(1 <= width <= MAX_WIDTH for width in network.hidden):
        raise ValueError(f"its network's layers are not 1 to {MAX_WIDTH:,} wide")


def check_pipeline(pipeline: Pipeline, space: gymnasium.Space[Any], normalised: int | None) -> None:
    """Raises ValueError where ``pipeline`` cannot read observations of ``space``, or the statistics of so many inputs
    are not for it."""
    from experimenter.envs.spaces import leaves

    _bounded(pipeline.size, "its pipeline")
    there = {leaf.name: leaf for leaf in leaves(space)}
    names = [part.name for part in pipeline.parts]
    if not names or len(set(names)) < len(names) or not set(names) <= set(there):
        raise ValueError("its pipeline reads other observations than its observation space has")
    for part in pipeline.parts:
        if not _reads(part, there[part.name]):
            raise ValueError(
                f"its pipeline cannot read {part.name or 'the observation'!r} by the rule {part.rule}"
            )
    if normalised is not None and normalised != pipeline.size:
        raise ValueError(f"it has statistics of {normalised:,} inputs, and {pipeline.size:,} inputs")


def _reads(part: Any, leaf: Leaf) -> bool:
    if part.rule == "tokens" or leaf.text is not None:
        return bool(part.rule == "tokens" and leaf.text == part.text and part.shape == leaf.shape)
    if part.shape != leaf.shape:
        return False
    if part.rule not in ("onehot", "minigrid"):
        return True
    count, categories = math.prod(part.shape), len(part.categories)
    if leaf.dtype.kind not in "iub" or len(part.start) not in (0, categories):
        return False
    if part.rule == "onehot":
        return bool(categories == count)
    return bool(len(part.shape) == 3 and count > 0 and categories == part.shape[2])


def _part(part: Any) -> None:
    if not isinstance(part["name"], str) or part["rule"] not in _RULES:
        raise ValueError("a part of its pipeline has no name or no rule that is known")
    _bounded(_count(part["shape"]), "a part of its pipeline")
    listed = _list(part["categories"], MAX_NUMBERS, "categories")
    categories = [_integer(n, 1, MAX_NUMBERS, "a category") for n in listed]
    _bounded(sum(categories), "a part of its pipeline")
    for start in _list(part["start"], MAX_NUMBERS, "first categories"):
        _integer(start, -(2**62), 2**62, "a first category")
    if (part["rule"] == "tokens") != ("text" in part):
        raise ValueError("a part of its pipeline reads text without saying how")
    if "text" in part:
        _bounded(_words(part["text"]), "a text")


def _normaliser(form: Any) -> None:
    for name, lowest in (("mean", -LARGEST), ("var", 0.0)):
        for number in _list(form[name], MAX_NUMBERS, f"its normaliser's {name}"):
            _number(number, lowest, f"its normaliser's {name}")
    if len(form["mean"]) != len(form["var"]):
        raise ValueError("its normaliser has more of mean than of var, or less")
    _number(form["count"], 0.0, "its normaliser's count")


def _space(form: Any, depth: int = 0) -> int:
    """How many inputs or outputs a space makes."""
    kind = form["type"]
    if kind == "Box":
        return _box(form)
    if kind == "Discrete":
        _integer(form["start"], -(2**62), 2**62, "a space's start")
        return _integer(form["n"], 1, MAX_NUMBERS, "a space's n")
    if kind == "MultiDiscrete":
        sizes = [_integer(n, 1, MAX_NUMBERS, "a space's nvec") for n in _flat(form["nvec"])]
        starts = [_integer(n, -(2**62), 2**62, "a space's start") for n in _flat(form["start"])]
        if len(sizes) != len(starts):
            raise ValueError("a space has other starts than sizes")
        return sum(sizes)
    if kind == "MultiBinary":
        return _count(form["n"] if isinstance(form["n"], list) else [form["n"]], least=1)
    if kind == "Words":
        return _words(form)
    if kind not in ("Dict", "Tuple") or depth >= MAX_DEPTH:
        raise ValueError("a space is of no kind that is known, or nested too deep")
    children = form["spaces"].values() if kind == "Dict" else form["spaces"]
    return sum(_space(child, depth + 1) for child in _list(list(children), MAX_PARTS, "spaces"))


def _box(form: Any) -> int:
    count = _bounded(_count(form["shape"]), "a space")
    if form["dtype"] not in _DTYPES:
        raise ValueError("a space's dtype is not one of plain numbers")
    for name in ("low", "high"):
        bounds = form[name] if isinstance(form[name], list) else [form[name]] * min(1, count)
        if isinstance(form[name], list) and len(bounds) != count:
            raise ValueError(f"a space has {len(bounds):,} bounds for {count:,} numbers")
        for bound in bounds:
            if bound is not None and (type(bound) not in (int, float) or abs(bound) > 1.8e308):
                raise ValueError("a space's bound is not a number")
    return count


def _words(form: Any) -> int:
    """How many inputs text gives; see ``envs.words``."""
    if "words" not in form:
        return sum(
            _integer(form[name], 1, MAX_NUMBERS, f"its text's {name}") for name in ("buckets", "pairs")
        )
    words, places = (_list(form[name], MAX_NUMBERS, f"its text's {name}") for name in ("words", "places"))
    for word in words:
        if not isinstance(word, str):
            raise ValueError("its text's words are not words")
    for place in places:
        if not (isinstance(place, list) and len(place) == 2 and isinstance(place[1], str)):
            raise ValueError("its text's places are not a number and a word each")
        _integer(place[0], 0, MAX_NUMBERS, "a word's place")
    if not words and not places:
        raise ValueError("its text has no words")
    return len(words) + len(places)


def _flat(nested: Any, depth: int = 0) -> Iterable[Any]:
    if not isinstance(nested, list):
        yield nested
    elif depth < MAX_DEPTH:
        for inner in _list(nested, MAX_NUMBERS, "a space's sizes"):
            yield from _flat(inner, depth + 1)
    else:
        raise ValueError("a space's sizes are nested too deep")


def _count(shape: Json, least: int = 0) -> int:
    sizes = [_integer(n, least, MAX_NUMBERS, "a size") for n in _list(shape, MAX_DEPTH, "a shape")]
    return _bounded(math.prod(sizes), "a shape")


def _bounded(count: int, what: str) -> int:
    if count > MAX_NUMBERS:
        raise ValueError(f"{what} has {count:,} numbers, and at most {MAX_NUMBERS:,} can be read")
    return count


def _list(value: Any, most: int, what: str) -> list[Any]:
    if not isinstance(value, list) or len(value) > most:
        raise ValueError(f"{what} are not a list of at most {most:,}")
    return value


def _integer(value: Any, least: int, most: int, what: str) -> int:
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{what} is not a whole number from {least:,} to {most:,}")
    return value


def _number(value: Any, lowest: float, what: str) -> None:
    if type(value) not in (int, float) or not lowest <= value <= LARGEST:
        raise ValueError(f"{what} is not a number from {lowest:g} to {LARGEST:g}")
