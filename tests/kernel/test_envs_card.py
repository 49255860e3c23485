"""The environment card, over everything that Gymnasium ships and over strangers' environments."""

import json
import subprocess
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from experimenter.envs import probe
from experimenter.envs.card import extract_card
from experimenter.envs.make import spec_for
from experimenter.envs.render import card_lines
from experimenter.envs.spaces import space_from_json
from experimenter.errors import EnvironmentFault, NotFound, UsageError
from experimenter.identity import canonical_json

STRANGERS = str(Path(__file__).parents[1] / "strangers")
STEPS = 600

CASES = {
    "CartPole-v1": ["cart_position", "cart_velocity", "pole_angle", "pole_angular_velocity"],
    "MountainCar-v0": ["position", "velocity"],
    "MountainCarContinuous-v0": ["position", "velocity"],
    "Acrobot-v1": [
        "cos_theta1",
        "sin_theta1",
        "cos_theta2",
        "sin_theta2",
        "angular_velocity_theta1",
        "angular_velocity_theta2",
    ],
    "Pendulum-v1": ["cos_theta", "sin_theta", "angular_velocity"],
    "LunarLander-v3": [f"obs_{i}" for i in range(8)],
    "FrozenLake-v1": ["state"],
    "Taxi-v4": ["state"],
    "Blackjack-v1": ["player_current_sum", "dealer_showing_card_value", "usable_ace", "ever_usable_ace"],
    "stranger_envs:SwitchCorridor-v0": ["place", "pressed", "ever_pressed"],
    "stranger_envs:PushTarget-v0": [f"obs_{i}" for i in range(6)],
}


@pytest.fixture(autouse=True)
def _strangers(monkeypatch):
    monkeypatch.syspath_prepend(STRANGERS)


def card_of(env_id, judge=None, steps=STEPS, **kwargs):
    return extract_card(spec_for(env_id, kwargs), judge=judge, steps=steps)


@pytest.mark.parametrize("env_id", CASES)
def test_card_names_features_and_survives_json(env_id):
    if env_id.partition(":")[2] == "" and env_id not in gymnasium.registry:
        pytest.skip(f"this Gymnasium has no {env_id}")
    card = card_of(env_id)
    assert [f.name for f in card.features][: len(CASES[env_id])] == CASES[env_id]
    assert type(card).model_validate_json(canonical_json(card)) == card
    assert card.card_steps == card.random.steps == STEPS
    assert all(f.measured_low <= f.measured_high for f in card.features)
    assert space_from_json(card.action_space) is not None
    assert card.title in card_lines(card) and card.judge.words in card_lines(card)


def test_docstring_gives_ranges_units_and_actions():
    card = card_of("CartPole-v1")
    angle = card.feature("pole_angle")
    assert (angle.kind, angle.unit, angle.origin) == ("angle", "rad", "docstring")
    assert angle.high == pytest.approx(0.41887903)
    assert card.feature("cart_velocity").high is None
    assert card.action_meanings == ("Push cart to the left", "Push cart to the right")
    assert (card.reward_threshold, card.max_episode_steps) == (475.0, 500)
    assert card_of("FrozenLake-v1").action_meanings[0] == "Move left"
    assert card_of("MountainCar-v0").feature("position").unit == "m"


def test_two_valued_numbers_become_flags():
    card = card_of("LunarLander-v3", steps=2000)
    assert card.feature("obs_6").kind == card.feature("obs_7").kind == "flag"
    assert card.feature("ever_obs_6").source.of == "obs_6"
    assert card.feature("obs_0").kind == "continuous"


def test_parameters_are_those_that_work_and_leave_the_spaces_alone():
    card = card_of("LunarLander-v3")
    found = {p.name: p for p in card.parameters}
    assert found["enable_wind"].type == "bool"
    assert -12 < found["gravity"].low < -10 < found["gravity"].high <= -5
    assert "continuous" in card.fixed_parameters and "render_mode" not in card.fixed_parameters
    assert "map_name" in card_of("FrozenLake-v1").fixed_parameters
    probability = {p.name: p for p in card_of("Taxi-v4").parameters}["rainy_probability"]
    assert probability.high == 1.0


def test_what_random_worlds_may_hold_is_not_called_impossible():
    """Each world of it holds one object of a random kind, so a kind that was not met may come yet."""
    card = card_of("BabyAI-GoToObj-v0", steps=200)
    assert all(card.feature(f"carrying_{thing}").possible for thing in ("key", "ball", "box"))


def test_minigrid_card():
    card = card_of("MiniGrid-DoorKey-5x5-v0", steps=1500)
    names = {f.name for f in card.features}
    assert {"carrying_key", "sees_door", "sees_locked_door", "ever_carrying_key", "goal_distance"} <= names
    assert len(card.features) < 60
    assert card.feature("carrying_key").possible and not card.feature("carrying_ball").possible
    assert card.judge.kind == card.judge.declared_by == "family"
    assert card.left_out == ("mission",)
    assert card.max_episode_steps == 250
    size = {p.name: p for p in card.parameters}["size"]
    assert (size.low, size.high) == (5, 16), "the range of the registered variants"
    assert "agent_view_size" in card.fixed_parameters


def test_an_environment_without_a_limit_is_cut_at_one_and_says_so():
    card = card_of("CliffWalking-v1")
    assert card.max_episode_steps == card.assumed_limit == 10_000
    assert "at most 10000 steps (cut there" in card_lines(card)
    short = card_of("Blackjack-v1")
    assert short.assumed_limit == 10_000 and short.max_episode_steps is None, "its episodes end by themselves"
    for env_id in ("stranger_envs:SwitchCorridor-v0", "CartPole-v1", "MiniGrid-DoorKey-5x5-v0"):
        assert card_of(env_id).assumed_limit is None, env_id


def test_a_sign_of_life_comes_from_every_step():
    heard = []
    extract_card(spec_for("CliffWalking-v1"), judge=None, steps=50, progress=heard.append)
    assert [said["steps"] for said in heard][:50] == list(range(1, 51)) and heard[-1]["until"] == 50


def test_deterministic_but_for_speed():
    def steady(seed):
        card = extract_card(spec_for("stranger_envs:PushTarget-v0"), judge=None, steps=300, seed=seed)
        return card.model_copy(update={"random": card.random.model_copy(update={"steps_per_second": 0.0})})

    assert steady(1) == steady(1)
    assert steady(1) != steady(2)


def test_an_environment_without_source_or_docstring(tmp_path):
    namespace = {"__name__": "nowhere_to_be_found"}
    exec(Path(STRANGERS, "stranger_envs.py").read_text().replace("-v0", "-v7"), namespace)
    card = card_of("PushTarget-v7", steps=200)
    assert not card.has_source and not card.has_docstring
    assert [p.name for p in card.parameters] == ["drag", "noise", "radius"]
    assert "PushTarget" in card.summary


def test_judges():
    assert card_of("stranger_envs:SwitchCorridor-v0").judge.key == "is_success"
    assert card_of("CartPole-v1").judge.kind == "none"
    length = card_of("CartPole-v1", judge="length>=195").judge
    assert (length.kind, length.threshold, length.declared_by) == ("length_at_least", 195.0, "goal")
    assert card_of("MiniGrid-DoorKey-5x5-v0", judge="return>=0.5").judge.kind == "return_at_least"
    assert card_of("CartPole-v1", judge="info:won").judge.key == "won"
    for wrong in ("return>=", "return>=many", "score>=3", "info:", "length>=inf"):
        with pytest.raises(UsageError):
            card_of("CartPole-v1", judge=wrong)


FAULTS = {
    "Reset": "raised KeyError at reset",
    "Step": "raised ValueError at step 5 of an episode: the robot fell apart",
    "NanObservation": "NaN or infinity at step 5",
    "WrongShape": "shape (1,) instead of (3,) at step 5",
    "WrongType": "type str, not an array at step 5",
    "MissingKey": "without 'b' at step 5",
    "WrongReward": "reward of type str, not a number at step 5",
    "NanReward": "reward nan at step 5",
    "WrongFlag": "terminated of type str",
    "OutsideSpace": "outside its space at step 5",
    "Construct": "raised RuntimeError when it was built: no licence file",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_named(fault):
    with pytest.raises(EnvironmentFault) as caught:
        card_of(f"faulty_envs:Faulty{fault}-v0")
    assert FAULTS[fault] in caught.value.message and caught.value.hint


def test_a_fault_may_come_late():
    with pytest.raises(EnvironmentFault, match="at step 37 of an episode"):
        card_of("faulty_envs:FaultyNanReward-v0", at=37)


def test_a_step_that_never_returns_is_named(monkeypatch):
    monkeypatch.setattr(probe, "STEP_SECONDS", 0.3)
    with pytest.raises(EnvironmentFault, match=r"did not return within 0.3 seconds at random step 5"):
        card_of("faulty_envs:FaultyHang-v0")


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("CartPol-v1", "CartPole-v1"),
        ("cartpole-v1", "CartPole-v1"),
        ("MiniGrid-DorKey-8x8-v0", "MiniGrid-DoorKey-8x8-v0"),
        ("stranger_envs:SwitchCoridor-v0", "SwitchCorridor-v0"),
    ],
)
def test_did_you_mean(wrong, meant):
    with pytest.raises(NotFound) as caught:
        card_of(wrong)
    assert meant in caught.value.hint


def test_unknown_modules_and_parameters():
    with pytest.raises(NotFound, match="no module 'nowhere_at_all'"):
        card_of("nowhere_at_all:Thing-v0")
    with pytest.raises(NotFound, match="no parameter 'gravitty'") as caught:
        card_of("LunarLander-v3", gravitty=-9.0)
    assert "gravity" in caught.value.hint


def test_a_withdrawn_version_names_its_successor():
    if "Taxi-v3" in gymnasium.registry:
        assert card_of("Taxi-v3").feature("state").kind == "category"
        return
    with pytest.raises(NotFound, match="Use Taxi-v4"):
        card_of("Taxi-v3")


def test_importing_families_stays_light():
    code = (
        "import sys, experimenter.envs.make, experimenter.envs.records;"
        "print(json.dumps([m for m in ('gymnasium', 'minigrid', 'torch') if m in sys.modules]))"
    )
    out = subprocess.run(
        [sys.executable, "-c", f"import json;{code}"], capture_output=True, text=True, check=True
    )
    assert json.loads(out.stdout) == []


def test_measured_features_that_never_vary_are_dropped():
    class Still(gymnasium.Env):
        observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
        action_space = gymnasium.spaces.Discrete(2)

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return np.array([0.5, self.np_random.random()], dtype=np.float32), {}

        def step(self, action):
            obs = np.array([0.5, self.np_random.random()], dtype=np.float32)
            return obs, 0.0, False, False, {}

    gymnasium.register("Still-v0", Still)
    try:
        assert [f.name for f in card_of("Still-v0", steps=50).features] == ["obs_1"]
    finally:
        del gymnasium.registry["Still-v0"]
