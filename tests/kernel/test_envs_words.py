"""Text observations: what is read of them, that nothing else changes, and what becomes of hostile ones."""

from __future__ import annotations

import json
import time
from itertools import product
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from experimenter.envs.fingerprint import changes, fingerprint
from experimenter.envs.make import make, spec_for
from experimenter.envs.missions import words_of
from experimenter.envs.pipeline import Pipeline
from experimenter.envs.spaces import leaves, left_out, space_from_json, space_to_json, without_text
from experimenter.envs.vector import SyncVector
from experimenter.envs.words import MAX_WORDS, HashedWords, KnownWords, Words, split
from experimenter.errors import EnvironmentFault, UsageError
from experimenter.identity import canonical_json
from experimenter.judge.evaluate import evaluate
from experimenter.policies.acting import Actor
from experimenter.policies.actions import head_for
from experimenter.policies.network import initial_params, views
from experimenter.policies.policy import Policy, load_policy, save_policy, shape_for
from experimenter.records import JudgeSpec, Network

STORED = Path(__file__).parent.parent / "fixtures" / "observations"
COLOURS = ["red", "blue", "green"]
THINGS = ["ball", "key"]


class Missions(spaces.Space):
    """A space of sentences, as MiniGrid declares its own."""

    def __init__(self, mission_func, ordered_placeholders=None, anything=False):
        super().__init__(dtype=str)
        self.mission_func, self.ordered_placeholders = mission_func, ordered_placeholders
        self._anything = anything

    def contains(self, x):
        return self._anything or (not self.ordered_placeholders and x == self.mission_func())

    def sample(self):
        return self.mission_func(*(words[0] for words in self.ordered_placeholders or ()))


def put_near(*words):
    return "put the {} {} near the {} {}".format(*words)


PUT_NEAR = Missions(put_near, [COLOURS, THINGS, COLOURS, THINGS])


class Told(gymnasium.Env):
    """Says what it is told to say, at reset and at every step of three."""

    action_space = spaces.Discrete(2)
    observation_space = spaces.Dict({"at": spaces.Discrete(4), "said": spaces.Text(20)})

    def __init__(self, says="go on", then="go on"):
        self.says, self.then = says, then

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.at = 0
        return {"at": 0, "said": self.says}, {}

    def step(self, action):
        self.at += 1
        return {"at": self.at, "said": self.then}, 1.0, self.at == 3, False, {}


gymnasium.register("WordsTold-v0", Told)


def told(**kwargs):
    """Strings that JSON cannot hold are the environment's own business: they come through a registration."""
    return spec_for("WordsTold-v0", kwargs)


def a_policy(space, action_space, **settings):
    network, pipeline = Network(hidden=(8,)), Pipeline.for_space(space)
    shape = shape_for(pipeline.size, network, head_for(action_space))
    params = views(initial_params(shape, np.random.default_rng(0)), shape)
    forms = space_to_json(space), space_to_json(action_space)
    return Policy(pipeline, None, network, params, *forms, **settings)


def test_a_mission_that_is_always_the_same_changes_nothing():
    """To the byte what the release before stored, which read no text."""
    pytest.importorskip("minigrid")
    before = json.loads((STORED / "doorkey.json").read_text(encoding="utf-8"))
    for size in (5, 6, 8, 16):
        env = make(spec_for(f"MiniGrid-DoorKey-{size}x{size}-v0"))
        pipeline = Pipeline.for_space(env.observation_space, "minigrid").to_json()
        now = {
            "space": space_to_json(env.observation_space),
            "pipeline": pipeline,
            "left_out": list(left_out(env.observation_space)),
        }
        assert canonical_json(now) == canonical_json(before)


def test_a_policy_of_the_release_before_is_judged_as_it_was():
    """It was stored, and scored, before missions were read."""
    pytest.importorskip("minigrid")
    policy = load_policy(STORED / "blind_policy", "a682745416da666ea8ac53f4da714c41")
    assert policy.pipeline.left_out == ("mission",)
    spec = spec_for("MiniGrid-GoToDoor-5x5-v0", {"agent_view_size": 3})
    found = evaluate(policy, spec, range(8), JudgeSpec(kind="family", declared_by="family"))
    assert found.scores == (0.0, 0.0, 0.0, 0.0, 0.991, 0.0, 0.973, 0.0)
    assert found.lengths == (1, 9, 6, 2, 1, 4, 3, 1)
    with make(spec) as env:
        observation, _ = env.reset(seed=0)
    del observation["mission"]
    assert Actor(policy).act(observation) in range(7)


def test_every_sentence_of_a_mission_is_told_from_every_other():
    reader = words_of(PUT_NEAR)
    sentences = [put_near(*words) for words in product(COLOURS, THINGS, COLOURS, THINGS)]
    rows = {reader.read(sentence).tobytes() for sentence in sentences}
    assert len(rows) == len(set(sentences)) == 36
    assert reader.reading.words == ("ball", "blue", "green", "key", "red"), (
        "what is always said tells nothing"
    )
    row = reader.read("Put the BLUE ball, near the red key!")
    assert np.array_equal(row, reader.read("put the blue ball near the red key"))
    assert {reader.reading.words[i] for i in np.flatnonzero(row[:5])} == {"ball", "blue", "key", "red"}


sentences_of = st.lists(st.lists(st.sampled_from("abcd"), max_size=5).map(" ".join), min_size=1, max_size=8)


@given(sentences_of)
@settings(max_examples=200, deadline=None)
def test_known_sentences_differ_exactly_where_their_words_do(sentences):
    reading = KnownWords.of(sentences)
    different = {split(sentence) for sentence in sentences}
    assert len({tuple(reading.switched_on(words)) for words in different}) == len(different)
    assert (reading.size == 0) == (len(different) == 1)


def test_spaces_tell_whether_and_how_their_text_is_read():
    def colour(word="red"):
        return f"go to the {word} door"

    assert words_of(Missions(colour)) is None
    assert words_of(Missions(colour, [["red"]])) is None
    assert words_of(spaces.Discrete(3)) is None
    assert words_of(Missions(colour, [COLOURS])) == Words(KnownWords(("blue", "green", "red"), ()))
    anything = words_of(Missions(colour, anything=True))
    assert anything == words_of(spaces.Text(9)) == Words(HashedWords())
    many = [[f"w{i}" for i in range(20)]] * 4
    assert words_of(Missions(lambda *words: " ".join(words), many)).reading.size == 20 + 80
    assert words_of(Missions(colour, [[f"w{i}" for i in range(900)]])) == Words(HashedWords())
    with pytest.raises(EnvironmentFault, match="missions were listed"):
        words_of(Missions(lambda word: 1 / 0, [COLOURS]))


@pytest.mark.parametrize("space", [PUT_NEAR, spaces.Text(40)])
def test_a_pipeline_reads_text_from_its_json_alone(space):
    whole = spaces.Dict({"mission": space, "x": spaces.Box(0, 1, (2,), np.float32)})
    pipeline = Pipeline.for_space(whole)
    stored = json.loads(canonical_json(pipeline.to_json()))
    said, x = (
        ["put the red key near the blue ball", "put the red ball near a wall"],
        np.ones((2, 2), np.float32),
    )
    reader = leaves(whole)[0].text
    encoded = pipeline.encode({"mission": reader.rows(said), "x": x})
    assert np.array_equal(Pipeline.from_json(stored).encode({"mission": np.array(said), "x": x}), encoded)
    assert encoded.shape == (2, pipeline.size) and set(np.unique(encoded)) <= {0.0, 1.0}
    assert not np.array_equal(encoded[0], encoded[1])
    assert stored["v"] == 2 and pipeline.left_out == () and "mission" in pipeline.notes[0]
    form = space_to_json(whole)
    assert canonical_json(space_to_json(space_from_json(form))) == canonical_json(form)
    assert without_text(form) == space_to_json(spaces.Dict({"x": whole["x"]}))
    with pytest.raises(ValueError, match="newer release"):
        Pipeline.from_json(stored | {"v": 3})
    with pytest.raises(ValueError, match="text is read in way 2"):
        space_from_json(form["spaces"]["mission"] | {"v": 2})


def test_text_counts_as_categories_beside_categories():
    assert Pipeline.for_space(spaces.Dict({"a": spaces.Discrete(3), "b": spaces.Text(5)})).categorical
    pipeline = Pipeline.for_space(spaces.Text(5))
    assert pipeline.encode(np.array(["stop", "go"])).shape == (2, 512)


def test_hashed_inputs_are_the_same_on_every_machine():
    """Stored policies rely on these numbers; another way of reading needs another version."""
    row = Words(HashedWords()).read("Go to the red door")
    assert np.flatnonzero(row).tolist() == HASHED
    order = [Words(HashedWords()).read(text) for text in ("red ball by blue ball", "blue ball by red ball")]
    assert np.array_equal(order[0][:256], order[1][:256]) and not np.array_equal(*order)


HASHED = [12, 13, 47, 52, 65, 94, 144, 167, 168, 229, 276, 317, 331, 334, 343, 404, 437]


@given(st.text(st.characters(exclude_categories=()), max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_text_is_one_row_of_zeros_and_ones(text):
    for reader in (Words(HashedWords()), words_of(PUT_NEAR)):
        row = reader.read(text)
        assert row.shape == reader.shape and row.dtype == np.int8 and set(np.unique(row)) <= {0, 1}
        assert np.array_equal(row, type(reader)(reader.reading).read(text))


def test_very_long_text_is_cut_and_costs_little():
    reader = Words(HashedWords())
    begun = time.perf_counter()
    row = reader.read("a b " * 5_000_000)
    assert time.perf_counter() - begun < 5.0
    assert np.array_equal(row, reader.read("a b " * (MAX_WORDS // 2)))
    for i in range(3_000):
        reader.read(f"word {i}")
    assert len(reader._known) <= 1_024


@pytest.mark.parametrize("text", ["", "\x00\x1b[31m\r\n\u202e", "é" * 100_000, "\ud800 lone"])
def test_strange_text_reaches_policy_and_judge_as_numbers(text):
    vector = SyncVector(told(says=text, then=text), 2)
    obs = vector.reset([1, 2])
    obs = vector.step(np.zeros(2, np.int64)).obs
    assert all(array.dtype.kind in "iuf" for array in obs.values()), "reward programs see numbers only"
    assert obs["said"].shape == (2, 512)
    policy = a_policy(vector.observation_space, vector.action_space)
    assert evaluate(policy, told(says=text, then=text), range(3), JudgeSpec()).mean == 3.0
    assert Actor(policy).act({"at": 1, "said": text}) in (0, 1)


@pytest.mark.parametrize("wrong", [None, 7, ["go"], {"go": "on"}])
def test_what_is_not_text_is_a_fault_of_the_environment(wrong):
    policy = a_policy(Told.observation_space, Told.action_space)
    with pytest.raises(EnvironmentFault, match=r"'said' of type \w+, not text at reset"):
        SyncVector(told(says=wrong), 2).reset([1, 2])
    vector = SyncVector(told(then=wrong), 2)
    vector.reset([1, 2])
    with pytest.raises(EnvironmentFault, match=r"'said' of type \w+, not text at step 1"):
        vector.step(np.zeros(2, np.int64))
    with pytest.raises(EnvironmentFault, match="'said' that is text at step 1"):
        evaluate(policy, told(then=wrong), range(2), JudgeSpec())
    with pytest.raises(UsageError, match="'said' of the observation as text"):
        Actor(policy).act({"at": 1, "said": wrong})
    with pytest.raises(UsageError, match="'said' of the observation as text"):
        Actor(policy).act({"at": 1})


def test_a_stored_policy_reads_text_as_it_did(tmp_path):
    policy = a_policy(Told.observation_space, Told.action_space, action_mode="sample")
    policy.params["actor.weight"] *= 100.0
    loaded = load_policy(tmp_path, save_policy(tmp_path, policy))
    rows = [{"at": i % 4, "said": f"go {'on' if i % 3 else 'back'} {i}"} for i in range(30)]
    first, second = Actor(policy), Actor(loaded)
    first.reset(1), second.reset(1)
    assert [first.act(row) for row in rows] == [second.act(row) for row in rows]


def test_a_certificate_from_before_can_be_renewed():
    """The environment is the same, but what a policy may read of it is more: not other spaces, and not nothing."""
    now = fingerprint(told())
    assert changes(now, fingerprint(told())) == ()
    before = now.model_copy(update={"observation": without_text(now.observation), "trace": ()})
    (found,) = changes(before, now)
    assert found.part == "dynamics" and "text is read now" in found.words
    assert changes(now, fingerprint(told(then="go back")))[0].part != "version"
