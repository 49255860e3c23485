"""The three reward methods write source that means what it says, whatever program they are given."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experimenter.errors import ConfigError, NotFound, ProgramRejected, UsageError
from experimenter.methods import apply_reward_method
from experimenter.methods.programs import side_by_side
from experimenter.sandbox.preflight import preflight
from experimenter.sandbox.program import ContainedProgram
from experimenter.sandbox.static import static_check
from tests.plugins.method_samples import batch, car, paid, program

CLOSER = program(
    "SCALE = 2.0\n\ndef gain(t):\n    return t.next.position - t.now.position\n\ndef reward(t):\n"
    '    return {"closer": SCALE * gain(t), "native": t.native_reward}\n',
    "closer",
)
FAST = program(
    'SCALE = 5.0\n\ndef reward(t):\n    return {"fast": SCALE * np.abs(t.next.velocity)}\n', "fast"
)


def shaped(potential: str, *programs, **more) -> str:
    parameters = {"potential": potential, **more}
    return apply_reward_method("potential-shaping", programs, car(), parameters).source


# --- potential shaping ------------------------------------------------------------------------------------------------


def test_a_potential_becomes_the_gain_of_ng_harada_and_russell() -> None:
    fields = batch()
    found = paid(shaped("-abs(position - 0.5)", scale=10.0), fields)
    ahead = -np.abs(fields["next.position"] - 0.5) * fields["gamma"] * (1.0 - fields["terminated"])
    assert found.keys() == {"native", "potential"}
    assert np.array_equal(found["native"], fields["native_reward"])
    assert np.allclose(found["potential"], 10.0 * (ahead + np.abs(fields["now.position"] - 0.5)), atol=1e-5)


@given(st.integers(1, 30), st.integers(0, 2**32 - 1), st.booleans())
@settings(max_examples=40, deadline=None)
def test_the_gain_of_an_episode_depends_on_its_ends_only(length, seed, terminates) -> None:
    """Discounted, it is what the last state is worth less what the first one was: nothing along the way pays."""
    rng, gamma = np.random.default_rng(seed), 0.9
    states = rng.uniform(-1.2, 0.6, length + 1)
    fields = {
        "now.position": states[:-1], "next.position": states[1:], "gamma": gamma,
        "native_reward": np.zeros(length), "terminated": np.arange(length) == (length - 1 if terminates else -1),
    }  # fmt: skip
    gain = paid(shaped("square(position) - 1.5"), fields)["potential"]
    last = 0.0 if terminates else gamma**length * (states[-1] ** 2 - 1.5)
    assert np.sum(gamma ** np.arange(length) * gain) == pytest.approx(last - (states[0] ** 2 - 1.5))


def test_a_program_is_shaped_and_keeps_its_components() -> None:
    found, before = paid(shaped("high(velocity)", CLOSER, component="speed")), paid(CLOSER.source)
    assert found.keys() == {"closer", "native", "speed"}
    assert np.array_equal(found["closer"], before["closer"])
    twice = program(shaped("high(velocity)", program(shaped("high(velocity)"))))
    assert np.allclose(paid(twice.source)["potential"], 2.0 * paid(shaped("high(velocity)"))["potential"])


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("high(position)", lambda p: (p + 1.2) / 1.8),
        ("low(position)", lambda p: 1 - (p + 1.2) / 1.8),
        ("near(position, 0.5)", lambda p: 1 - np.abs(p - 0.5) / 1.7),
        ("away(position, -0.5)", lambda p: np.abs(p + 0.5) / 1.1),
        (
            "2 * min(position, 0) ** 2 - max(position, -1)",
            lambda p: 2 * np.minimum(p, 0) ** 2 - np.maximum(p, -1),
        ),
        ("clip(position, -0.1, 0.1) + tanh(position)", lambda p: np.clip(p, -0.1, 0.1) + np.tanh(p)),
        ("1 / (position * 0)", lambda p: np.sign(p) * 1e6),
        ("sqrt(position - 5)", lambda p: 0.0 * p),
        ("log1p(up) + exp(-position)", lambda p: np.log(2.0) + np.exp(-p)),
    ],
)
def test_formulas_and_their_presets(formula, value) -> None:
    fields = batch()
    fields["terminated"][:] = True
    fields["now.up"][:] = 1.0
    expected = np.clip(-value(fields["now.position"].astype(np.float64)), -1e6, 1e6)
    assert np.allclose(paid(shaped(formula), fields)["potential"], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("formula", "said"),
    [
        ("-abs(positon)", "Did you mean position"),
        ("__import__('os').system('id')", "Call"),
        ("open(position)", "calls open"),
        ("position.real", "Attribute"),
        ("(lambda: position)()", "Call"),
        ("'a' * position", "no number"),
        ("1e99 * position", "beyond"),
        ("position if up else 0", "IfExp"),
        ("[position][0]", "Subscript"),
        ("abs(position, 2)", "takes 1"),
        ("near(2, 2)", "something else than a feature"),
        ("near(position, velocity)", "plain number"),
        ("abs(x=position)", "Call"),
        ("3 + 4", "names no feature"),
        ("position +", "cannot be read"),
        ("(" * 240 + "position" + ")" * 240, "cannot be read"),
        ("-" * 90 + "position", "too deeply"),
        ("position" + " + position" * 60, "at most 500"),
        ("position\n})\nimport os", "cannot be read"),
        ("True + position", "no number"),
        ("native_reward", "does not have"),
    ],
)
def test_what_is_no_formula_is_refused_in_words(formula, said) -> None:
    with pytest.raises(UsageError) as caught:
        shaped(formula)
    assert said in str(caught.value)


# --- gates ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gate", "is_open"),
    [
        ("ever_up", lambda f: f["now.ever_up"] > 0.5),
        ("position > -0.3", lambda f: f["now.position"] > -0.3),
        (
            "not up and -1 < position <= 0",
            lambda f: (f["now.up"] < 0.5) & (f["now.position"] <= 0) & (f["now.position"] > -1),
        ),
        ("native_reward >= 0 or elapsed > 100", lambda f: (f["native_reward"] >= 0) | (f["elapsed"] > 100)),
    ],
)
def test_dense_components_count_only_past_the_gate(gate, is_open) -> None:
    fields = batch()
    made = apply_reward_method("gated-rewards", [CLOSER], car(), {"gate": gate})
    found, before = paid(made.source, fields), paid(CLOSER.source, fields)
    now = is_open(fields)
    assert 0 < now.mean() < 1
    assert np.array_equal(found["closer"], np.where(now, before["closer"], 0.0))
    assert np.array_equal(found["native"], before["native"])
    assert made.origin == "gated-rewards" and made.parents == (CLOSER.hash,)


def test_the_gated_components_can_be_named() -> None:
    both = {"gate": "ever_up", "components": ["native", "closer"]}
    found = paid(apply_reward_method("gated-rewards", [CLOSER], car(), both).source)
    shut = batch()["now.ever_up"] < 0.5
    assert not found["native"][shut].any() and not found["closer"][shut].any()
    every = apply_reward_method("gated-rewards", [CLOSER], car(), {"gate": "ever_up", "always": []})
    assert not paid(every.source)["native"][shut].any()
    unknown = apply_reward_method("gated-rewards", [CLOSER], car(), {"gate": "up", "components": ["closr"]})
    with ContainedProgram(unknown.source) as opened, pytest.raises(ProgramRejected, match="closr"):
        opened.call(batch())


def test_a_gate_needs_a_program_and_component_names() -> None:
    with pytest.raises(UsageError, match="one reward program, not 0"):
        apply_reward_method("gated-rewards", [], car(), {"gate": "up"})
    with pytest.raises(UsageError, match="no component's name"):
        apply_reward_method("gated-rewards", [CLOSER], car(), {"gate": "up", "always": ['a"]; import os #']})


# --- ensembles --------------------------------------------------------------------------------------------------------


def _joined(**parameters) -> np.ndarray:
    made = apply_reward_method("pessimistic-ensemble", [CLOSER, FAST], car(), parameters)
    return paid(made.source)["pessimistic"]


def test_an_ensemble_pays_the_least_or_the_mean_less_the_spread() -> None:
    one, two = (np.sum(list(paid(p.source).values()), axis=0) for p in (CLOSER, FAST))
    assert np.array_equal(_joined(), np.minimum(one, two))
    assert np.allclose(_joined(scales=[1, 10]), np.minimum(one, 10 * two))
    both = np.stack([one, two])
    assert np.allclose(_joined(aggregate="mean", k=2), both.mean(axis=0) - 2 * both.std(axis=0))
    assert np.allclose(_joined(aggregate="mean", k=0), both.mean(axis=0))


def test_members_may_come_from_the_parameters() -> None:
    made = apply_reward_method("pessimistic-ensemble", [CLOSER], car(), {"programs": [FAST.source]})
    assert np.array_equal(paid(made.source)["pessimistic"], _joined())
    with pytest.raises(UsageError, match="at least two"):
        apply_reward_method("pessimistic-ensemble", [CLOSER], car(), {})
    with pytest.raises(UsageError, match="3 scales for 2"):
        _joined(scales=[1, 2, 3])
    with pytest.raises(UsageError, match="above 0"):
        _joined(scales=[1, -2])
    with pytest.raises(ProgramRejected, match="import"):
        bad = "import os\ndef reward(t):\n    return {'a': t.native_reward}\n"
        apply_reward_method("pessimistic-ensemble", [CLOSER], car(), {"programs": [bad]})


def test_programs_that_grow_too_long_are_refused_and_not_cut() -> None:
    long = "def reward(t):\n    return {'a': t.native_reward}\n"
    wordy = program(long + "\n".join(f"CONSTANT_NUMBER_{i} = {i}.0" for i in range(350)))
    with pytest.raises(ProgramRejected, match="20000 are allowed"):
        apply_reward_method("pessimistic-ensemble", [wordy, wordy, wordy], car(), {})
    with pytest.raises(UsageError, match="at most 20000"):
        apply_reward_method("pessimistic-ensemble", [FAST], car(), {"programs": ["#" * 20_001]})


@pytest.mark.parametrize(
    ("name", "programs", "parameters"),
    [
        ("potential-shaping", [], {"potential": "near(position, 0.5) + square(velocity)"}),
        ("potential-shaping", [CLOSER, FAST], {"potential": "ever_up"}),
        ("gated-rewards", [CLOSER], {"gate": "ever_up"}),
        ("pessimistic-ensemble", [CLOSER, FAST], {"scales": [1.0, 3.0]}),
    ],
)
def test_what_methods_write_passes_every_gate(name, programs, parameters) -> None:
    made = apply_reward_method(name, programs, car(), parameters)
    with ContainedProgram(made.source) as opened:
        assert preflight(opened, batch(200)).components


# --- whole programs beside each other -----------------------------------------------------------------------------

NAMES = [
    "a",
    "m1_reward",
    "m1_a",
    "_x",
    "np_",
    "total",
    "parts",
    "members",
    "name",
    "paid",
    "now",
    "axis",
    "scale",
    "abs",
]
WEIRD = [
    """
import numpy
import math
"words"
{a} = math.pi
def {b}(t, {c}=2.0):
    return numpy.abs(t.next.position) * {c} + {a}
def reward(t):
    return {{"a": {b}(t, {c}=3.0)}}
""",
    """
def {a}({b}):
    def {c}({a}):
        return {a} * 2.0
    return {c}({b})
def reward(t):
    {b} = t.now.velocity
    return {{"a": {a}({b}), "b": np.sum(np.stack([{b}, {b}]), axis=0)}}
""",
    """
{a} = [1.0, 2.0]
{b} = {{"k": [{c} * 2.0 for {c} in {a}]}}
def reward(t):
    {c}: float = 0.0
    for {a}_i in {b}["k"]:
        {c} += {a}_i
    return {{f"a{{1}}": {c} * t.native_reward}}
""",
    """
{a} = lambda {b}: {b} + 1.0
def reward(t) -> dict:
    {c} = [{a}(x) for x in (t.native_reward, t.now.up)]
    return dict({b}={c}[0], {a}={c}[1])
""",
    """
{a} = {b} = 4.0
({c}, _) = (1.0, 2.0)
def reward(t):
    {b} = {a}
    return {{"a": {b} * {c} * _ * t.next.position}}
""",
]


@st.composite
def weird_programs(draw):
    a, b, c = draw(st.lists(st.sampled_from(NAMES), min_size=3, max_size=3, unique=True))
    return draw(st.sampled_from(WEIRD)).format(a=a, b=b, c=c)


def _runs(source: str):
    """What the program pays, or ``None`` where it is refused or fails by itself."""
    try:
        return paid(source)
    except (ProgramRejected, TypeError, NameError, UnboundLocalError, AttributeError, ValueError):
        return None


@given(st.lists(weird_programs(), min_size=2, max_size=3))
@settings(max_examples=60, deadline=None)
def test_programs_beside_each_other_mean_what_they_meant_alone(sources) -> None:
    """Names clash on purpose: with each other, with the wrapper's own names, and with what renaming invents."""
    alone = [_runs(source) for source in sources]
    if any(found is None for found in alone):
        return
    try:
        made = apply_reward_method("pessimistic-ensemble", [program(s) for s in sources], car(), {})
    except ProgramRejected as rejected:
        assert "cannot be combined" in str(rejected), rejected
        return
    expected = np.min([np.sum(list(found.values()), axis=0) for found in alone if found], axis=0)
    assert np.allclose(paid(made.source)["pessimistic"], expected)
    shaped_last = paid(shaped("position", program(sources[-1])))
    assert all(np.array_equal(shaped_last[name], value) for name, value in (alone[-1] or {}).items())


def test_the_weird_programs_are_valid_ones() -> None:
    assert all(_runs(source.format(a="first", b="second", c="third")) for source in WEIRD)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("abs = abs\ndef reward(t):\n    return {'a': abs(t.native_reward)}\n", "binds it there"),
        (
            "scale = 2.0\ndef f(x, scale):\n    return x * scale\ndef reward(t):\n"
            "    return {'a': [f][0](t.native_reward, scale=scale)}\n",
            "not called by name",
        ),
        (
            "scale = 2.0\ndef f(x, scale):\n    return x * scale\ndef reward(t):\n"
            "    return {'a': f(t.native_reward, **{'scale': scale})}\n",
            "not called by name",
        ),
    ],
)
def test_what_cannot_be_renamed_safely_is_refused(source, said) -> None:
    assert _runs(source)
    with pytest.raises(ProgramRejected, match=said):
        side_by_side([program(source)])


def test_long_names_stay_within_the_static_check() -> None:
    long = "x" * 79
    source = f"_{long} = 1.0\n{long} = 3.0\ndef reward(t):\n    return {{'a': (_{long} + {long}) * t.native_reward}}\n"
    members = side_by_side([program(source), program(source)])
    whole = f"{members.source}\ndef reward(t):\n    return {members.calls[1]}(t)\n"
    static_check(whole)
    assert np.array_equal(paid(whole)["a"], 4.0 * batch()["native_reward"])


# --- names and parameters -----------------------------------------------------------------------------------------


def test_unknown_methods_and_parameters_are_refused_with_a_hint() -> None:
    with pytest.raises(NotFound, match="no method named potential-shapin") as caught:
        apply_reward_method("potential-shapin", [], car(), {})
    assert "Did you mean potential-shaping" in caught.value.hint
    with pytest.raises(NotFound, match="no method named folders"):
        apply_reward_method("folders", [], car(), {})
    with pytest.raises(UsageError, match="no parameter scal") as caught:
        shaped("position", scal=3)
    assert "scale" in caught.value.hint
    with pytest.raises(UsageError, match="unfit potential"):
        apply_reward_method("potential-shaping", [], car(), {})
    with pytest.raises(UsageError, match="unfit scale"):
        shaped("position", scale=math.inf)
    with pytest.raises(UsageError, match="writes no rewards"):
        apply_reward_method("snapshot-starts", [], car(), {})
    assert issubclass(ConfigError, UsageError)
