"""Spaces as JSON, the observation pipeline, features, the ``ever`` flags, and repair of configurations."""

import string
import time

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from experimenter.envs.docstrings import identifiers, observation_rows
from experimenter.envs.families import family
from experimenter.envs.features import EverTracker, FeatureExtractor
from experimenter.envs.make import spec_for
from experimenter.envs.minigrid_features import OBJECTS, view_features
from experimenter.envs.pipeline import Pipeline
from experimenter.envs.records import Feature, FeatureSource, Parameter
from experimenter.envs.spaces import leaves, left_out, space_from_json, space_to_json
from experimenter.envs.vector import SyncVector
from experimenter.errors import EnvironmentFault
from experimenter.identity import canonical_json
from experimenter.records import EnvSpec

sizes = st.integers(1, 5)
shapes = st.lists(sizes, min_size=1, max_size=3).map(tuple)
floats = st.floats(-100, 100, width=32)
boxes = st.builds(
    lambda shape, low, high: spaces.Box(low, high, shape, np.float32),
    shapes,
    st.one_of(floats, st.just(-np.inf)),
    st.one_of(st.floats(101, 500, width=32), st.just(np.inf)),
)
plain = st.one_of(
    boxes,
    st.builds(lambda n, start: spaces.Discrete(n, start=start), st.integers(1, 9), st.integers(-3, 3)),
    st.lists(sizes, min_size=1, max_size=4).map(spaces.MultiDiscrete),
    sizes.map(spaces.MultiBinary),
    st.just(spaces.Box(0, 255, (4, 3, 3), np.uint8)),
)
keys = st.text(string.ascii_lowercase, min_size=1, max_size=4)
anything = st.recursive(
    plain,
    lambda inner: st.one_of(
        st.dictionaries(keys, inner, min_size=1, max_size=3).map(spaces.Dict),
        st.lists(inner, min_size=1, max_size=3).map(spaces.Tuple),
    ),
    max_leaves=4,
)


def batch_of(space, n):
    """A batch as the vector environment gives it, from samples."""
    samples = [space.sample() for _ in range(n)]

    def part(sample, leaf):
        for key in leaf.keys:
            sample = sample[key]
        return sample

    found = {
        leaf.name: np.array([part(s, leaf) for s in samples], dtype=leaf.dtype) for leaf in leaves(space)
    }
    return found.get("", found)


@given(anything)
@settings(max_examples=100, deadline=None)
def test_spaces_survive_json(space):
    text = canonical_json(space_to_json(space))
    assert space_from_json(space_to_json(space)) == space
    assert canonical_json(space_to_json(space_from_json(space_to_json(space)))) == text


def test_what_holds_no_numbers_is_left_out_and_said():
    list_of_numbers = spaces.Sequence(spaces.Discrete(3))
    space = spaces.Dict({"more": list_of_numbers, "x": spaces.Box(0, 1, (2,), np.float32)})
    assert left_out(space) == ("more",)
    assert space_from_json(space_to_json(space)) == spaces.Dict({"x": space["x"]})
    pipeline = Pipeline.for_space(space)
    assert pipeline.left_out == ("more",) and "more" in pipeline.notes[0]
    with pytest.raises(EnvironmentFault, match="holds no numbers"):
        Pipeline.for_space(list_of_numbers)


@given(anything, st.integers(1, 6))
@settings(max_examples=100, deadline=None)
def test_encoding_is_row_wise_and_rebuilt_from_json(space, n):
    pipeline = Pipeline.for_space(space)
    batch = batch_of(space, n)
    whole = pipeline.encode(batch)
    assert whole.shape == (n, pipeline.size) and whole.dtype == np.float32
    assert np.array_equal(Pipeline.from_json(pipeline.to_json()).encode(batch), whole)
    cut = {k: v[-1:] for k, v in batch.items()} if isinstance(batch, dict) else batch[-1:]
    assert np.array_equal(pipeline.encode(cut)[0], whole[-1])
    if pipeline.categorical:
        assert set(np.unique(whole)) <= {0.0, 1.0}
    assert canonical_json(pipeline.to_json())


def test_discrete_is_one_hot_from_its_start():
    pipeline = Pipeline.for_space(spaces.Discrete(3, start=-1))
    assert pipeline.encode(np.array([-1, 1])).tolist() == [[1, 0, 0], [0, 0, 1]]
    assert pipeline.categorical


def test_images_are_scaled_and_too_large_ones_refused():
    pipeline = Pipeline.for_space(spaces.Box(0, 255, (2, 2, 3), np.uint8))
    assert pipeline.encode(np.full((1, 2, 2, 3), 255, np.uint8)).tolist() == [[1.0] * 12]
    assert "divided by 255" in pipeline.notes[0] and not pipeline.categorical
    with pytest.raises(EnvironmentFault, match="100,800 inputs"):
        Pipeline.for_space(spaces.Box(0, 255, (210, 160, 3), np.uint8))


def test_minigrid_view_is_one_hot_per_cell_and_fast():
    vector = SyncVector(spec_for("MiniGrid-DoorKey-8x8-v0"), 16)
    obs = vector.reset(range(16))
    pipeline = Pipeline.for_space(vector.observation_space)
    encoded = pipeline.encode(obs)
    assert pipeline.size == 49 * (11 + 6 + 3) + 4 and pipeline.categorical
    assert (encoded.sum(axis=1) == 49 * 3 + 1).all()
    cells = encoded[:, 4:].reshape(16, 49, 20)
    objects = cells[..., :11].argmax(axis=2)
    assert np.array_equal(objects, obs["image"][..., 0].reshape(16, 49))
    assert np.array_equal(cells[..., 11:17].argmax(axis=2), obs["image"][..., 1].reshape(16, 49))
    timings = []
    for _ in range(300):
        begun = time.perf_counter()
        pipeline.encode(obs)
        timings.append(time.perf_counter() - begun)
    assert min(timings) < 100e-6


def grid_image():
    """A view with a key carried, a locked door two cells ahead and a goal in the far left corner."""
    image = np.zeros((1, 7, 7, 3), np.uint8)
    image[..., 0] = OBJECTS["empty"]
    image[0, 3, 6, 0] = OBJECTS["key"]
    image[0, 3, 4] = (OBJECTS["door"], 4, 2)
    image[0, 0, 0, 0] = OBJECTS["goal"]
    return image


def test_minigrid_features_read_the_view():
    image = grid_image()
    extractor = FeatureExtractor(view_features("image", image, frozenset({"key", "door", "goal"})))
    got = {name: float(value[0]) for name, value in extractor.extract({"image": image}).items()}
    assert (got["carrying_key"], got["sees_key"], got["carrying_ball"]) == (1, 0, 0)
    assert (got["sees_door"], got["sees_locked_door"], got["sees_open_door"]) == (1, 1, 0)
    assert (got["door_distance"], got["goal_distance"], got["key_distance"]) == (2, 9, 10)


@given(hnp.arrays(np.uint8, (5, 7, 7, 3), elements=st.integers(0, 10)))
@settings(max_examples=40, deadline=None)
def test_minigrid_features_agree_with_a_slow_reading(images):
    got = FeatureExtractor(view_features("image", images, None)).extract({"image": images})
    for n, image in enumerate(images):
        doors = [
            (x, y)
            for x in range(7)
            for y in range(7)
            if image[x, y, 0] == OBJECTS["door"] and (x, y) != (3, 6)
        ]
        assert got["sees_door"][n] == bool(doors)
        assert got["sees_open_door"][n] == any(image[x, y, 2] == 0 for x, y in doors)
        assert got["door_distance"][n] == min((abs(x - 3) + 6 - y for x, y in doors), default=10)


def flagged():
    flag = Feature(name="lit", kind="flag", source=FeatureSource(index=0))
    return FeatureExtractor(
        (flag, Feature(name="ever_lit", kind="flag", source=FeatureSource(rule="ever", of="lit")))
    )


@given(hnp.arrays(np.bool_, (12, 3)), hnp.arrays(np.bool_, (12, 3)), hnp.arrays(np.bool_, (12, 3)))
@settings(max_examples=60, deadline=None)
def test_ever_is_the_running_maximum_of_an_episode(lit, starts, done):
    """``lit`` after each step, ``starts`` the flag of a new episode's first observation."""
    extractor, seen = flagged(), np.zeros(3, bool)
    step_by_step, at_once = EverTracker(extractor, 3), EverTracker(extractor, 3)
    now = np.zeros((12, 3), np.float32)
    current = np.zeros(3, bool)
    told_now, told_after = [], []
    step_by_step.update({"lit": current.astype(np.float32)})
    before = seen.copy()
    for t in range(12):
        now[t] = current
        told_now.append(before.astype(np.float32))
        after = step_by_step.update({"lit": lit[t].astype(np.float32)})["ever_lit"]
        seen = before | lit[t]
        assert np.array_equal(after, seen)
        told_after.append(after)
        current = np.where(done[t], starts[t], lit[t])
        before = np.where(done[t], starts[t], seen)
        fresh = step_by_step.update({"lit": current.astype(np.float32)}, done[t])
        assert np.array_equal(fresh["ever_lit"], before)
    left, right = at_once.rollout({"lit": now}, {"lit": lit.astype(np.float32)}, done)
    assert np.array_equal(left["ever_lit"], np.array(told_now))
    assert np.array_equal(right["ever_lit"], np.array(told_after))


def test_ever_history_is_a_checkpoint():
    tracker, other = EverTracker(flagged(), 2), EverTracker(flagged(), 2)
    tracker.update({"lit": np.array([1.0, 0.0])})
    other.set_state(tracker.get_state())
    assert other.update({"lit": np.zeros(2)})["ever_lit"].tolist() == [1.0, 0.0]


@given(st.lists(st.text(max_size=40), min_size=1, max_size=12))
@settings(max_examples=200, deadline=None)
def test_identifiers_are_valid_and_distinct(phrases):
    names = identifiers(phrases)
    assert len(set(names)) == len(phrases)
    assert all(name.isidentifier() and name.isascii() and len(name) <= 40 for name in names)


def test_observation_tables_must_fit():
    text = "| Num | Observation | Min | Max |\n|---|---|---|---|\n| 0 | speed | -Inf | ~ 2.5 (m/s) |\n"
    assert observation_rows(text, 1)[0].high == 2.5 and observation_rows(text, 1)[0].low is None
    assert observation_rows(text, 2) == ()
    assert observation_rows(text.replace("| 0 |", "| 1 |"), 1) == ()


SCHEMA = (
    Parameter(name="gravity", type="float", default=-10.0, low=-11.0, high=-5.0),
    Parameter(name="size", type="int", default=5, low=5, high=16),
    Parameter(name="windy", type="bool", default=False),
    Parameter(name="amount", type="choice", default="rare", choices=("rare", "very_common")),
)
json_values = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5)
)


@given(st.dictionaries(st.sampled_from(["gravity", "size", "windy", "amount", "gravty"]), json_values))
def test_repair_always_ends_inside_the_schema(kwargs):
    owner = family("gymnasium")
    fixed, said = owner.repair(EnvSpec(id="X-v0", kwargs=kwargs), SCHEMA)
    again, nothing = owner.repair(fixed, SCHEMA)
    assert again == fixed and nothing == ()
    assert (fixed.kwargs == kwargs) == (not said) or 1 in kwargs.values() or 0 in kwargs.values()
    assert isinstance(fixed.kwargs.get("windy", False), bool)
    assert 5 <= fixed.kwargs.get("size", 5) <= 16 and isinstance(fixed.kwargs.get("size", 5), int)


def test_repair_says_what_it_did():
    kwargs = {"gravty": 1.0, "gravity": -20, "amount": "very common", "size": 6}
    fixed, said = family("gymnasium").repair(EnvSpec(id="X-v0", kwargs=kwargs), SCHEMA)
    assert fixed.kwargs == {"gravity": -11.0, "amount": "very_common", "size": 6}
    assert len(said) == 3 and "Did you mean gravity?" in said[0]
