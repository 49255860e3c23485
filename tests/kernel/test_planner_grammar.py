"""Every program of the grammar keeps the reward contract; the first generation has one idea of each kind."""

from __future__ import annotations

import json
from itertools import islice

import numpy as np
import pytest
from cards import CARDS, Batch, any_card, columns_of, run_program, still
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experimenter.planners.search.generation import first_generation
from experimenter.planners.search.grammar import Measure, Shaping, Term, parse
from experimenter.planners.search.reading import card_kind, roles, scale
from experimenter.planners.search.render import program, source
from experimenter.planners.search.vocabulary import vocabulary
from experimenter.sandbox.static import static_check

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def assert_keeps_contract(shaping: Shaping, card, seed: int = 0) -> None:
    text = source(shaping)
    names = {term.name for term in shaping.terms}
    for extreme in (False, True):
        columns = columns_of(card, 40, seed, extreme)
        whole = run_program(text, Batch(columns))
        assert set(whole) == names
        for name, values in whole.items():
            assert values.shape == (40,), name
            assert np.isfinite(values).all(), (name, text)
        order = np.random.default_rng(seed).permutation(40)
        for rows in (order, np.array([7]), np.arange(11)):
            part = run_program(text, Batch(columns, rows))
            for name in names:
                np.testing.assert_allclose(part[name], whole[name][rows], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", CARDS)
def test_first_generation_and_uniform_draws_keep_the_contract(name) -> None:
    card = CARDS[name]
    rng = np.random.default_rng(3)
    drawn = [vocabulary(card).draw(rng) for _ in range(60)]
    for i, shaping in enumerate([*first_generation(card), *drawn]):
        assert_keeps_contract(shaping, card, i)


@given(card=any_card(), seed=st.integers(0, 2**20))
@QUICK
def test_any_card_has_programs_that_keep_the_contract(card, seed) -> None:
    rng = np.random.default_rng(seed)
    words = vocabulary(card, hidden=bool(seed % 2))
    for shaping in [*islice(first_generation(card), 12), *(words.draw(rng) for _ in range(4))]:
        assert_keeps_contract(shaping, card, seed)
        assert parse(source(shaping)) == shaping


@given(card=any_card(), seed=st.integers(0, 2**20))
@QUICK
def test_trees_survive_json_and_do_not_depend_on_names_or_order(card, seed) -> None:
    shaping = vocabulary(card).draw(np.random.default_rng(seed))
    assert Shaping.from_json(json.loads(json.dumps(shaping.to_json()))) == shaping
    renamed = Shaping(tuple(Term(f"x{i}", t.kind, t.weight, t.measure) for i, t in enumerate(shaping.terms)))
    assert Shaping(renamed.terms[::-1]).key == shaping.key


@pytest.mark.parametrize("name", CARDS)
def test_programs_pass_the_static_check_and_name_only_what_they_use(name) -> None:
    card = CARDS[name]
    for shaping in islice(first_generation(card), 25):
        fields = static_check(program(shaping).source).fields
        used = {f"next.{feature}" for term in shaping.terms for feature in term.features}
        assert {field for field in fields if field.startswith("next.")} == used


def test_hidden_judge_keeps_the_native_reward_out_of_programs() -> None:
    for card in CARDS.values():
        for shaping in first_generation(card, hidden=True):
            assert "native" not in source(shaping)


def test_a_foreign_or_damaged_program_has_no_tree() -> None:
    assert parse("def reward(t):\n    return {'a': t.native_reward}\n") is None
    assert parse("# shaping: [{}]\n") is None
    assert parse("# shaping: not json\n") is None
    with pytest.raises(ValueError, match="names"):
        Measure("near", ("import os",), (0.0,), (1.0,))


def kinds_of(shaping: Shaping) -> set[tuple[str, str]]:
    return {(t.kind, t.measure.kind if t.measure else "") for t in shaping.shaping_terms}


@pytest.mark.parametrize("name", ["mountain_car", "anonymous"])
def test_flat_costs_begin_with_speed_and_energy(name) -> None:
    card = CARDS[name]
    eight = list(islice(first_generation(card), 8))
    assert len({shaping.key for shaping in eight}) == 8
    speed = card.features[1].name
    pumped = [
        s for s in eight if kinds_of(s) == {("potential", "away")} and s.shaping_terms[0].features == (speed,)
    ]
    assert pumped
    ideas = set().union(*(kinds_of(s) for s in eight))
    assert {
        ("potential", "away"),
        ("dense", "away"),
        ("potential", "energy"),
        ("potential", "level"),
    } <= ideas
    assert all("native" in [t.kind for t in s.terms] for s in eight)


def test_sparse_flags_begin_with_small_first_time_bonuses() -> None:
    card = CARDS["door_key"]
    eight = list(islice(first_generation(card), 8))
    wanted = {"ever_carrying_key", "ever_sees_open_door"}
    paying_both = [s for s in eight if wanted <= {f for t in s.terms for f in t.features}]
    assert len(paying_both) >= 3
    for shaping in eight:
        bonuses = [t for t in shaping.terms if t.kind == "first_time"]
        assert all(0 < t.weight <= 0.5 for t in bonuses)
    assert any(
        sum(t.weight for t in s.terms if t.kind == "first_time" and t.features[0] in wanted) <= 0.5
        for s in paying_both
    )


def test_weights_follow_the_size_of_the_native_reward() -> None:
    assert scale(CARDS["mountain_car"], hidden=False).episode == 200
    assert scale(CARDS["door_key"], hidden=False).goal == 1
    first = next(first_generation(CARDS["mountain_car"])).shaping_terms[0]
    assert 20 <= first.weight <= 2000


def test_roles_and_kinds_are_read_from_the_card() -> None:
    assert [f.name for f in roles(CARDS["cart_pole"]).speeds] == ["cart_velocity", "pole_angular_velocity"]
    assert [f.name for f in roles(CARDS["anonymous"]).speeds] == ["obs_1"]
    assert "ever_sees_key" in [f.name for f in roles(CARDS["door_key"]).sights]
    found = {name: card_kind(card) for name, card in CARDS.items()}
    assert found == {
        "mountain_car": "flat cost",
        "anonymous": "flat cost",
        "cart_pole": "survival",
        "pendulum": "dense continuous",
        "door_key": "sparse flags",
    }


def features_of(shapings) -> set[str]:
    return {name for shaping in shapings for term in shaping.terms for name in term.features}


@given(card=any_card(), seed=st.integers(0, 2**20), data=st.data())
@QUICK
def test_no_term_is_about_a_feature_that_cannot_vary(card, seed, data) -> None:
    dead = {f.name for f in card.features if data.draw(st.booleans())}
    card = still(card, dead)
    rng, words = np.random.default_rng(seed), vocabulary(card)
    spoken = features_of([*islice(first_generation(card), 60), *(words.draw(rng) for _ in range(60))])
    assert not spoken & {f.name for f in card.features if {f.name, f.source.of} & dead}


def test_a_ball_that_is_nowhere_is_left_out_with_its_first_time_and_the_key_stays() -> None:
    plain, card = CARDS["door_key"], still(CARDS["door_key"], ["carrying_ball"])
    both = {"carrying_ball", "ever_carrying_ball"}
    assert both <= features_of(first_generation(plain))
    assert features_of(first_generation(card)) == features_of(first_generation(plain)) - both


@pytest.mark.parametrize("name", CARDS)
@pytest.mark.parametrize("hidden", [False, True])
def test_where_nothing_can_vary_it_goes_on_as_without_features(name, hidden) -> None:
    card = CARDS[name]
    bare = card.model_copy(update={"features": ()})
    assert list(first_generation(still(card), hidden=hidden)) == list(first_generation(bare, hidden=hidden))
    draws = [vocabulary(c, hidden=hidden).draw(np.random.default_rng(5)) for c in (still(card), bare)]
    assert draws[0] == draws[1]
    assert card_kind(still(card)) == card_kind(bare)
