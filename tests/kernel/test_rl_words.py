"""Policies that read: what an environment says decides what they do, in training, before the judge and in programs."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from rl_samples import job, phase, quiet

from experimenter.envs.card import extract_card
from experimenter.envs.make import spec_for
from experimenter.envs.render import card_lines
from experimenter.errors import EnvironmentFault, TrainingFault
from experimenter.identity import seeds
from experimenter.judge.evaluate import evaluate
from experimenter.policies.acting import Actor
from experimenter.policies.policy import load_policy
from experimenter.records import Hyperparameters, JudgeSpec, Network, RewardProgram
from experimenter.rl.training import train

ORDERS = ("press {} and not {}", "never {}, do {} instead", "please do {} now", "not {}!")
SWITCHES = ("left", "right")


class Ordered(gymnasium.Env):
    """A sentence says which of two switches pays, sometimes by naming the other one; then there are three presses."""

    action_space = spaces.Discrete(2)
    observation_space = spaces.Dict({"count": spaces.Discrete(4), "order": spaces.Text(60)})

    def _observe(self):
        return {"count": self.count, "order": self.order}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count, self.right = 0, 0
        self.pays = int(self.np_random.integers(2))
        form = ORDERS[int(self.np_random.integers(len(ORDERS)))]
        paid, other = SWITCHES[self.pays], SWITCHES[1 - self.pays]
        words = (paid, other) if form.startswith(("press", "please")) else (other, paid)
        self.order = form.format(*words)
        return self._observe(), {}

    def step(self, action):
        self.count += 1
        self.right += int(action == self.pays)
        over = self.count == 3
        return self._observe(), float(action == self.pays), over, False, {"is_success": self.right == 3}


gymnasium.register("WordsOrdered-v0", Ordered)
ORDERED = spec_for("WordsOrdered-v0")
SUCCESS = JudgeSpec(kind="info", key="is_success", declared_by="info")
QUICK = Hyperparameters(num_envs=16, num_steps=32, minibatch_size=128, normalize_observations=False)


def trained(tmp_path, spec, steps, hyper, judge, reward=None):
    """One training and its policy, for a small network."""
    whole = phase(spec, steps=steps, hyper=hyper, reward=reward)
    made = job(
        tmp_path, whole, environment=spec, network=Network(hidden=(32, 32)), chunk_steps=4096, judge=judge
    )
    training = train(made, quiet)
    return load_policy(tmp_path / training.policy.path, training.policy.hash)


def test_an_agent_learns_to_do_what_it_is_told(tmp_path):
    """Without reading, three presses are right in half of the episodes at best."""
    policy = trained(tmp_path, ORDERED, 16_384, QUICK, SUCCESS)
    found = evaluate(policy, ORDERED, seeds(0, "confirm_eval", 200), SUCCESS, "greedy")
    assert found.success_rate >= 0.95
    actor = Actor(policy)
    pressed = [actor.act({"count": 0, "order": order}) for order in ("press left and not right", "not left!")]
    assert pressed == [0, 1]


def test_reward_programs_see_words_as_numbers(tmp_path):
    source = (
        "def reward(t):\n"
        "    words = t.obs['order']\n"
        "    told = np.sum(words, axis=1) > 5\n"
        "    return {'native': t.native_reward, 'told': 0.1 * told}\n"
    )
    program = RewardProgram(name="told", source=source)
    policy = trained(tmp_path, ORDERED, 1_024, QUICK, SUCCESS, program)
    assert policy.pipeline.size == 4 + 512


@pytest.mark.parametrize(
    ("env_id", "words"),
    [
        ("MiniGrid-GoToDoor-5x5-v0", "mission: blue, green, grey, purple, red, yellow"),
        ("MiniGrid-Fetch-5x5-N2-v0", "mission: a, ball, blue, fetch, get, go, green"),
        ("BabyAI-GoToObj-v0", "mission: any words"),
    ],
)
def test_missions_of_minigrid_are_read_learned_from_and_judged(tmp_path, env_id, words):
    pytest.importorskip("minigrid")
    spec = spec_for(env_id)
    card = extract_card(spec, judge=None, steps=100)
    shown = card_lines(card)
    assert words in shown and "Left out" not in shown and card.left_out == ()
    assert not any("mission" in feature.name for feature in card.features)
    hyper = Hyperparameters(num_envs=8, num_steps=64, minibatch_size=256, normalize_observations=False)
    policy = trained(tmp_path, spec, 1_024, hyper, card.judge)
    assert [part.rule for part in policy.pipeline.parts] == ["onehot", "minigrid", "tokens"]
    found = evaluate(policy, spec, range(4), card.judge)
    assert len(found.scores) == 4 and np.isfinite(found.scores).all() and found.success_rate is not None


def test_a_mission_that_never_varies_is_left_out_and_said():
    pytest.importorskip("minigrid")
    card = extract_card(spec_for("MiniGrid-DoorKey-5x5-v0"), judge=None, steps=50)
    assert card.left_out == ("mission",) and "mission (always the same" in card_lines(card)


@pytest.mark.parametrize("other", ["MiniGrid-Empty-5x5-v0", "MiniGrid-Fetch-5x5-N2-v0"])
def test_environments_that_say_other_things_are_not_mixed_and_the_refusal_says_why(tmp_path, other):
    """One that always says the same, and one with sentences of its own, beside a target whose mission varies."""
    pytest.importorskip("minigrid")
    target, spec = spec_for("MiniGrid-GoToDoor-5x5-v0"), spec_for(other)
    for number, specs in enumerate([(target, spec), (spec, target), (spec,)]):
        mixed = job(tmp_path / str(number), phase(*specs, steps=256), environment=target)
        with pytest.raises((EnvironmentFault, TrainingFault), match="texts") as refused:
            train(mixed, quiet)
        assert "one list of sentences" in refused.value.hint


def test_environments_that_always_say_the_same_are_mixed_whatever_that_is(tmp_path):
    pytest.importorskip("minigrid")
    empty, key = spec_for("MiniGrid-Empty-5x5-v0"), spec_for("MiniGrid-DoorKey-5x5-v0")
    mixed = job(tmp_path, phase(empty, key, steps=256), environment=key)
    assert train(mixed, quiet).steps == 256
