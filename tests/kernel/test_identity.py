"""Identity: canonical JSON, step ids, names, and seeds that no two roles share."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experimenter.identity import (
    NAME,
    ROLES,
    canonical_json,
    digest,
    role_of,
    seeds,
    slug,
    step_id,
    valid_name,
)
from experimenter.records import EnvSpec

REPOSITORY = Path(__file__).resolve().parent.parent.parent
TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=12)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | FLOATS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=15,
)
STEP = {"run": "one", "cycle": 0, "kind": "train", "index": 0, "design": "d", "seed": 1, "steps": 100}


def shuffled(value: object) -> object:
    """The same value with every dictionary's order turned round, and tuples for lists."""
    if isinstance(value, dict):
        return {key: shuffled(value[key]) for key in reversed(list(value))}
    if isinstance(value, list):
        return tuple(shuffled(item) for item in value)
    return value


@given(JSON)
def test_canonical_json_comes_back_and_is_a_fixed_point(value: object) -> None:
    text = canonical_json(value)
    assert json.loads(text) == value
    assert canonical_json(json.loads(text)) == text


@given(JSON)
def test_order_and_kind_of_sequence_do_not_matter(value: object) -> None:
    assert canonical_json(shuffled(value)) == canonical_json(value)
    assert digest(shuffled(value)) == digest(value)


@given(FLOATS)
def test_floats_are_the_shortest_that_come_back(value: float) -> None:
    assert canonical_json(value) == repr(value)


@pytest.mark.parametrize("bad", [math.nan, math.inf, [-math.inf], {"x": {"y": math.nan}}])
def test_no_nan_and_no_infinity(bad: object) -> None:
    with pytest.raises(ValueError, match=r"not JSON compliant|Out of range"):
        canonical_json(bad)


def test_exact_form() -> None:
    assert canonical_json({"é": [1, 1.0, None], "a": EnvSpec(id="X-v0")}) == (
        '{"a":{"family":"gymnasium","id":"X-v0","kwargs":{},"v":1},"é":[1,1.0,null]}'
    )


def test_a_step_id_is_the_same_in_every_process_and_release() -> None:
    code = f"from experimenter.identity import step_id; print(step_id(**{STEP!r}))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(REPOSITORY), "PYTHONHASHSEED": "7"},
    )
    assert done.stdout.strip() == step_id(**STEP) == "2a4b1e1a5822c80057139cca96fe8130"


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("run", "two"),
        ("cycle", 1),
        ("kind", "judge"),
        ("index", 1),
        ("design", "e"),
        ("seed", 2),
        ("steps", 101),
        ("v", 2),
    ],
)
def test_every_part_of_a_step_counts(part: str, value: object) -> None:
    changed = step_id(**{**STEP, part: value})  # type: ignore[arg-type]
    assert changed != step_id(**STEP)
    assert len(changed) == 32


@settings(max_examples=30, deadline=None)
@given(run_seed=st.integers(0, 2**63 - 1), path=st.lists(st.integers(0, 2**31) | TEXT, max_size=3))
def test_seeds_of_different_roles_never_meet(run_seed: int, path: list[int | str]) -> None:
    drawn = {role: set(seeds(run_seed, role, 50, *path)) for role in ROLES}
    for one, other in combinations(ROLES, 2):
        assert not drawn[one] & drawn[other]
    for role, found in drawn.items():
        assert len(found) == 50
        assert all(0 <= seed < 2**31 and seed >> 28 == ROLES.index(role) for seed in found)


@given(st.integers(0, 2**63 - 1), st.sampled_from(ROLES))
@settings(max_examples=30, deadline=None)
def test_seeds_are_repeatable_extendable_and_told_apart(run_seed: int, role: str) -> None:
    first = seeds(run_seed, role, 20, "a")
    assert seeds(run_seed, role, 20, "a") == first
    assert seeds(run_seed, role, 30, "a")[:20] == first
    assert seeds(run_seed, role, 20, "b") != first
    assert seeds(run_seed ^ 1, role, 20, "a") != first


def test_an_unknown_role_is_refused() -> None:
    with pytest.raises(ValueError, match="not in tuple"):
        seeds(0, "other", 1)


@given(st.text(max_size=60), st.sets(st.from_regex(NAME, fullmatch=True), max_size=5))
def test_a_slug_is_always_a_valid_new_name(words: str, taken: set[str]) -> None:
    name = slug(words, "run", tuple(taken))
    assert valid_name(name)
    assert name not in taken


@pytest.mark.parametrize("name", ["", "A", "1a", "a-b", "a b", "a\n", "é", "a" * 41, "../a"])
def test_names_are_matched_whole(name: str) -> None:
    assert not valid_name(name)
    assert valid_name("a" * 40)


@pytest.mark.parametrize("role", ROLES)
def test_what_derives_from_a_seed_stays_in_its_role(role: str) -> None:
    for seed in seeds(3, role, 20):
        assert role_of(seed) == role
        assert {role_of(other) for other in seeds(seed, role_of(seed), 5, "reset")} == {role}
