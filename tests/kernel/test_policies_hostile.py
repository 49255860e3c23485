"""A policy's files may be anybody's: whatever they say, loading ends in a policy that acts, or in a sentence that
names the folder and says what to do; quickly, and without taking memory for what cannot be."""

from __future__ import annotations

import copy
import json
import os
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from experimenter.envs.missions import words_of
from experimenter.envs.pipeline import Pipeline
from experimenter.envs.spaces import space_from_json, space_to_json
from experimenter.envs.words import KnownWords, Words
from experimenter.errors import WorkspaceError
from experimenter.policies.acting import Actor
from experimenter.policies.network import initial_params, views
from experimenter.policies.normaliser import Normaliser
from experimenter.policies.policy import DESCRIPTION, WEIGHTS, Policy, _hash, load_policy, save_policy
from experimenter.records import Convolution, Network

BYTES = {"low": 0, "high": 255, "dtype": np.uint8}
MOST_BYTES = 64 << 20
MOST_SECONDS = 2.0
SEEN: dict[str, tuple[spaces.Space[Any], str, Network]] = {
    "numbers": (spaces.Box(-1.0, 1.0, (3,)), "", Network(hidden=(8,))),
    "picture": (
        spaces.Box(shape=(6, 6, 3), **BYTES),
        "",
        Network(hidden=(8,), convolution=(Convolution(filters=4, kernel=3),)),
    ),
    "grid and words": (
        spaces.Dict(
            {
                "image": spaces.Box(shape=(5, 5, 3), **BYTES),
                "mission": Words(KnownWords(("red", "blue"), ((1, "red"),))),
            }
        ),
        "minigrid",
        Network(hidden=(8,), memory=4),
    ),
    "many": (
        spaces.Dict(
            {
                "a": spaces.Discrete(4, start=-1),
                "b": spaces.Tuple([spaces.MultiDiscrete([2, 3]), spaces.MultiBinary(2)]),
            }
        ),
        "",
        Network(),
    ),
    "any text": (
        spaces.Dict({"said": words_of(spaces.Text(9)), "x": spaces.Box(-1.0, 1.0, (2,))}),
        "",
        Network(hidden=(8,)),
    ),
}
DONE: tuple[spaces.Space[Any], ...] = (
    spaces.Discrete(3, start=2),
    spaces.Box(np.array([-2.0, -np.inf]), np.array([2.0, np.inf]), dtype=np.float64),
    spaces.MultiDiscrete([3, 2]),
)
DEEP = "@deep@"
NASTY: tuple[Any, ...] = (
    *(0, -1, 1, 2, 3, 64, 2**16, 10**6, 10**9, 2**63, 10**300, True, False, None),
    *(0.5, -0.0, 1e-320, 1e39, 1e308, -1e308, float("nan"), float("inf")),
    *(
        "",
        "x",
        "float64",
        "object",
        "V1000000000",
        "O",
        "squashed",
        "values",
        "Dict",
        "Box",
        "minigrid",
        "onehot",
        "tokens",
    ),
    *(
        "\x1b]0;title\x07",
        "\ud800",
        [],
        {},
        [[]],
        [None],
        [0],
        [-1],
        [1, 2, 3],
        [10**9, 10**9],
        {"type": "Box"},
        DEEP,
    ),
    [0] * 200_000,
    ["word"] * 50_000,
    {"type": "Tuple", "spaces": [{"type": "Discrete", "n": 1, "start": 0}] * 5_000},
    {"type": "Box", "low": None, "high": None, "shape": [100_000, 100_000], "dtype": "float32"},
    {"type": "Words", "v": 1, "buckets": 0, "pairs": 0},
)


def good(seen: str, done: int) -> Policy:
    observation, family, network = SEEN[seen]
    pipeline = Pipeline.for_space(observation, family)
    made = Policy(pipeline, None, network, {}, space_to_json(observation), space_to_json(DONE[done]))
    made.params = views(initial_params(made.shape, np.random.default_rng(0)), made.shape)
    if not pipeline.categorical:
        made.normaliser = Normaliser(pipeline.size)
    return made


def load(folder: Path) -> Policy | None:
    """The policy, or ``None`` after a sentence that names the folder and says what to do; within bounds either way."""
    tracemalloc.start()
    began = time.process_time()
    try:
        return load_policy(folder)
    except WorkspaceError as error:
        assert str(folder) in error.message and error.hint and error.message.isprintable()
        assert len(error.message) < 600
        return None
    finally:
        taken, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < MOST_BYTES and taken < MOST_SECONDS


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value, from the outside in."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in inside:
        yield (*at, key)
        yield from places(inner, (*at, key))


def changed(value: Any, at: tuple[Any, ...], change: str, nasty: Any) -> Any:
    made = copy.deepcopy(value)
    inside = made
    for key in at[:-1]:
        inside = inside[key]
    if change == "delete":
        del inside[at[-1]]
    elif change == "wrap":
        inside[at[-1]] = [inside[at[-1]], nasty]
    else:
        inside[at[-1]] = nasty
    return made


def write(folder: Path, description: dict[str, Any]) -> None:
    """With the hash that fits, where there is one: whoever forges a policy can compute it as well."""
    weights = (folder / WEIGHTS).read_bytes()
    try:
        description["hash"] = _hash(description, weights)
    except ValueError:
        description["hash"] = "0" * 32
    said = json.dumps(description).replace(json.dumps(DEEP), "[" * 20_000 + "]" * 20_000)
    (folder / DESCRIPTION).write_text(said)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_a_description_says_it_is_a_policy_that_acts_or_a_sentence(
    tmp_path: Path, data: st.DataObject
) -> None:
    policy = good(data.draw(st.sampled_from(sorted(SEEN))), data.draw(st.integers(0, len(DONE) - 1)))
    save_policy(tmp_path, policy)
    description = json.loads((tmp_path / DESCRIPTION).read_text())
    for _ in range(data.draw(st.integers(1, 2))):
        at = data.draw(st.sampled_from([place for place in places(description) if place != ("hash",)]))
        change = data.draw(st.sampled_from(["replace", "replace", "replace", "wrap", "delete"]))
        description = changed(description, at, change, data.draw(st.sampled_from(NASTY)))
    write(tmp_path, description)
    if (loaded := load(tmp_path)) is not None:
        act(loaded)


def act(policy: Policy) -> None:
    """As for a person: one observation of its own space, one action within its own space."""
    observation = sample(space_from_json(policy.observation_space_json))
    for mode in policy.head.modes:
        policy.action_mode = mode
        action = Actor(policy).act(observation)
        space = space_from_json(policy.action_space_json)
        assert space.contains(action) or space.contains(np.asarray(action, dtype=space.dtype))


def sample(space: spaces.Space[Any]) -> Any:
    if isinstance(space, Words):
        return "the red ball"
    if isinstance(space, spaces.Dict):
        return {key: sample(inner) for key, inner in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(sample(inner) for inner in space.spaces)
    return space.sample()


@pytest.mark.parametrize("seen", sorted(SEEN))
def test_an_honest_policy_of_each_kind_is_loaded(tmp_path: Path, seen: str) -> None:
    for done in range(len(DONE)):
        save_policy(tmp_path, good(seen, done))
        loaded = load(tmp_path)
        assert loaded is not None
        act(loaded)


def resaved(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    (folder / WEIGHTS).write_bytes(save(arrays))
    write(folder, json.loads((folder / DESCRIPTION).read_text()))


def said(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / DESCRIPTION).read_text()))


def _sparse(folder: Path) -> None:
    os.truncate(folder / WEIGHTS, 1 << 40)


def _long_header(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((1 << 62).to_bytes(8, "little") + b"{}" * 100)
    write(folder, json.loads((folder / DESCRIPTION).read_text()))


def _arrays(change: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]) -> Callable[[Path], None]:
    return lambda folder: resaved(folder, change(dict(good("numbers", 0).params)))


ATTACKS: dict[str, tuple[Callable[[Path], None], str]] = {
    "an array is missing": (_arrays(lambda a: {k: v for k, v in a.items() if k != "actor.bias"}), "shapes"),
    "an array more": (_arrays(lambda a: a | {"extra": np.zeros(3, np.float32)}), "shapes"),
    "another shape": (_arrays(lambda a: a | {"actor.bias": np.zeros((1, 3), np.float32)}), "shapes"),
    "doubles": (_arrays(lambda a: {k: v.astype(np.float64) for k, v in a.items()}), "float64"),
    "integers": (_arrays(lambda a: a | {"actor.bias": np.zeros(3, np.int32)}), "int32"),
    "no numbers": (_arrays(lambda a: a | {"actor.bias": np.full(3, np.nan, np.float32)}), "not all numbers"),
    "a terabyte": (_sparse, "at most"),
    "a header beyond the file": (_long_header, "does not fit"),
    "empty": (lambda folder: (folder / WEIGHTS).write_bytes(b""), "hash"),
    "a description without end": (lambda folder: os.truncate(folder / DESCRIPTION, 1 << 40), "at most"),
    "a folder": (lambda folder: ((folder / WEIGHTS).unlink(), (folder / WEIGHTS).mkdir()), "no file"),
    "a pipe that nobody writes to": (
        lambda folder: ((folder / DESCRIPTION).unlink(), os.mkfifo(folder / DESCRIPTION)),
        "no file",
    ),
    "numbers without end": (
        lambda folder: write(folder, said(folder) | {"junk": [10**4200] * 1000}),
        "without end",
    ),
    "more than a policy has to say": (
        lambda folder: write(folder, said(folder) | {"junk": [[]] * 100_000}),
        "more than any policy",
    ),
    "nested too deep": (lambda folder: write(folder, said(folder) | {"junk": DEEP}), "deep|more than"),
    "something unheard of": (lambda folder: write(folder, said(folder) | {"junk": 1}), "newer"),
    "a newer release": (
        lambda folder: write(folder, said(folder) | {"v": 2}),
        "newer",
    ),
}


@pytest.mark.parametrize("attack", sorted(ATTACKS))
def test_weights_and_files_that_cannot_be_are_refused(tmp_path: Path, attack: str) -> None:
    save_policy(tmp_path, good("numbers", 0))
    attacked, words = ATTACKS[attack]
    attacked(tmp_path)
    with pytest.raises(WorkspaceError, match=words):
        load_policy(tmp_path)
    assert load(tmp_path) is None
