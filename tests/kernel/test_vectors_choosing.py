"""Which kind of vector environment is chosen, what is said about it, and that a training follows the choice."""

import numpy as np
import pytest
from rl_samples import SMALL, job, phase

from experimenter.envs.make import spec_for
from experimenter.envs.vector import SyncVector
from experimenter.envs.vectors import choosing
from experimenter.envs.vectors.choosing import Needs, choose_vector, eligible, make_vector, usable
from experimenter.envs.vectors.kinds import Choice
from experimenter.envs.vectors.measuring import measure
from experimenter.envs.vectors.native import NativeVector
from experimenter.errors import UsageError
from experimenter.rl.beginning import fresh_policy
from experimenter.rl.stage import Stage
from experimenter.rl.training import train

CARTPOLE, CAR = spec_for("CartPole-v1"), spec_for("MountainCar-v0")
SWAPPED = spec_for("CartPole-v1", {"sutton_barto_reward": True})


def test_native_is_taken_wherever_it_may_be_without_measuring():
    choice = choose_vector([CARTPOLE], 8, cores=2)
    assert choice.kind == "native" and choice.rates == {}
    assert choice.words.startswith("native: Gymnasium's own batched version")
    assert choose_vector([CARTPOLE], 8).model_dump() == choose_vector([CARTPOLE], 8).model_dump()


def test_without_a_native_version_the_step_is_measured_and_the_reasons_are_told():
    choice = choose_vector([CAR], 4, cores=1, seconds=0.03)
    assert choice.kind == "sync" and set(choice.rates) == {"sync"} and choice.rates["sync"] > 0
    assert "no batched version" in choice.reasons["native"]
    assert choice.reasons["workers"] == "not tried, every core trains already"
    assert "steps/s" in choice.words and "workers: not tried" in choice.words


@pytest.mark.parametrize(("fast", "kind"), [(2.0, "workers"), (1.1, "sync"), (0.5, "sync")])
def test_workers_are_tried_where_a_step_is_slow_and_taken_where_they_gain(monkeypatch, fast, kind):
    """Only the measurement is set: a machine's speed is no part of the rule."""
    rates = {"sync": 100.0, "workers": 100.0 * fast}
    monkeypatch.setattr(choosing, "_measured", lambda kinds, *_: {name: rates[name] for name in kinds})
    choice = choose_vector([CAR], 2, cores=2)
    assert choice.kind == kind and choice.rates == rates


def test_needs_that_only_one_process_meets_force_sync():
    for needs, words in (
        (Needs(starts=True), "start states"),
        (Needs(wrappers=True), "wrappers"),
        (Needs(infos=True), "infos"),
    ):
        found = eligible([CARTPOLE], needs)
        assert found["sync"] is None
        assert all(words in (found[kind] or "") for kind in ("native", "workers", "envpool"))
        assert usable("native", [CARTPOLE], needs, CARTPOLE) == "sync"


def test_a_choice_holds_for_what_it_was_made_for():
    assert usable("native", [CARTPOLE] * 4, Needs(), CARTPOLE) == "native"
    assert usable("native", [SWAPPED] * 4, Needs(), CARTPOLE) == "native"
    assert usable("native", [CARTPOLE, SWAPPED], Needs(), CARTPOLE) == "sync"
    assert usable("native", [CAR], Needs(), CARTPOLE) == "sync"
    assert usable("workers", [CARTPOLE, SWAPPED], Needs(), CARTPOLE) == "workers"
    assert usable("envpool", [SWAPPED], Needs(), CARTPOLE) == "sync"


def test_a_kind_that_cannot_be_is_refused_with_the_reason():
    with pytest.raises(UsageError, match="registers no batched version of MountainCar-v0"):
        choose_vector([CAR], 8, forced="native")
    with pytest.raises(UsageError, match="no kind of vector environment called 'natif'") as caught:
        choose_vector([CAR], 8, forced="natif")
    assert "native" in caught.value.hint
    with pytest.raises(UsageError, match="wrappers"):
        choose_vector([CARTPOLE], 8, Needs(wrappers=True), forced="native")
    assert choose_vector([CAR], 8, forced="sync").kind == "sync"


def test_words_are_short_and_in_order():
    choice = Choice(
        kind="sync", rates={"sync": 95_400.0}, reasons={"workers": "not tried, a step takes 10 µs"}
    )
    assert choice.words == "sync: 95 k steps/s; workers: not tried, a step takes 10 µs"
    assert Choice().words == "sync"
    assert Choice.model_validate(choice.model_dump(mode="json")) == choice


def test_measuring_gives_each_kind_its_own_rate():
    vectors = {kind: make_vector(kind, CARTPOLE, 4) for kind in ("sync", "native")}
    calls = []
    found = measure(vectors, 0.02, lambda: calls.append(1))
    assert set(found) == set(vectors) and min(found.values()) > 0 and calls


def test_every_kind_is_made_behind_one_contract():
    for kind in ("sync", "native", "workers"):
        vector = make_vector(kind, CARTPOLE, 3, workers=2)
        first = vector.reset([1, 2, 3])
        assert np.array_equal(first, SyncVector(CARTPOLE, 3).reset([1, 2, 3]))
        vector.close()
    assert isinstance(make_vector("sync", [CARTPOLE, SWAPPED], 2, lambda env: env), SyncVector)
    with pytest.raises(UsageError, match="Wrappers need"):
        make_vector("native", CARTPOLE, 2, lambda env: env)
    assert isinstance(make_vector("native", [CARTPOLE] * 2, 2), NativeVector)


def test_a_training_steps_what_was_chosen_where_it_fits(tmp_path):
    mixed = phase(CARTPOLE, SWAPPED, steps=512, hyper=SMALL)
    plain = phase(CARTPOLE, steps=512, hyper=SMALL)
    for name, phases, kind in (("native", plain, NativeVector), ("native", mixed, SyncVector)):
        wanted = job(tmp_path, phases, vector=name)
        stage = Stage(wanted, 0, fresh_policy(wanted))
        assert isinstance(stage.collector(0).vector, kind)
        stage.close()
    assert job(tmp_path, plain).vector == "sync"


def test_a_training_in_native_rows_repeats_itself_and_counts_every_step(tmp_path):
    first, again = (
        train(job(tmp_path / name, phase(CARTPOLE, steps=1024), vector="native"), lambda _: None)
        for name in ("one", "two")
    )
    assert first.steps == again.steps == 1024
    assert first.policy is not None and again.policy is not None
    assert first.policy.hash == again.policy.hash
