"""The message codec: what is sent arrives bit for bit, and what is malformed is refused, whatever it is."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from experimenter.sandbox import messages

TYPES = ["bool", "uint8", "int32", "int64", "float32", "float64", ">f8", ">i4"]
ARRAYS = st.sampled_from(TYPES).flatmap(lambda kind: hnp.arrays(np.dtype(kind), hnp.array_shapes(max_dims=4)))
PATHS = st.lists(st.text(max_size=8), min_size=1, max_size=3).map(tuple)


def read(message: bytes, max_body: int = 1 << 20):
    size = messages.PREFIX.size
    head, body = messages.prefix_of(message[:size], max_body)
    header = messages.header_of(message[size : size + head])
    assert len(message) == size + head + body
    return header, messages.decode(header, message[size + head :])


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(PATHS, ARRAYS, max_size=4), st.integers())
def test_what_is_sent_arrives(arrays, number):
    header, got = read(b"".join(messages.encode({"kind": "call", "n": number}, arrays)))
    assert header["n"] == number
    assert list(got) == list(arrays)
    for path, array in arrays.items():
        assert not got[path].flags.writeable
        np.testing.assert_array_equal(got[path], array)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(JSON | st.fixed_dictionaries({"arrays": st.lists(JSON, max_size=3)}), st.binary(max_size=32))
def test_any_lie_is_malformed_or_true(header, body):
    try:
        checked = messages.header_of(json.dumps(header).encode())
        arrays = messages.decode(checked, body)
    except messages.Malformed:
        return
    assert sum(array.nbytes for array in arrays.values()) == len(body)


@given(st.binary(max_size=64))
def test_any_bytes_as_a_header_are_refused_with_a_type(text):
    try:
        header = messages.header_of(text)
    except messages.Malformed:
        return
    assert isinstance(header["arrays"], list)


@pytest.mark.parametrize(
    "described",
    [
        [[["a"], "<f8", [1 << 60]]],
        [[["a"], "<f8", [-1]]],
        [[["a"], "|O", [1]]],
        [[["a"], "<f8", [True]]],
        [[[], "<f8", [1]]],
        [[["a"], "<f8", [1] * 20]],
        [["a", "<f8"]],
        [[["a"], "<f4", [1]], [["a"], "<f4", [1]]],
    ],
)
def test_descriptions_that_do_not_fit(described):
    header = messages.header_of(json.dumps({"arrays": described}).encode())
    with pytest.raises(messages.Malformed):
        messages.decode(header, bytes(8))


def test_bounds_come_before_memory():
    with pytest.raises(messages.Malformed):
        messages.prefix_of(b"\xff" * 8, 1 << 20)
    with pytest.raises(messages.Malformed):
        messages.header_of(b"[" * 200_000)


def test_arrays_of_objects_are_not_sent():
    with pytest.raises(messages.Malformed):
        messages.encode({}, {("a",): np.array([object()])})


def test_nesting():
    assert messages.nest({("obs", "x"): 1, ("obs", "y"): 2, ("now.x",): 3}) == {
        "obs": {"x": 1, "y": 2},
        "now.x": 3,
    }
    with pytest.raises(messages.Malformed):
        messages.nest({("obs",): 1, ("obs", "x"): 2})
