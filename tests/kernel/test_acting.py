"""A policy on single observations acts as the judge has it act, in any space, and refuses what it cannot read."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces
from test_judge_evaluate import NOTHING, SEEDS, a_policy

from experimenter.envs.make import make, spec_for
from experimenter.envs.pipeline import Pipeline
from experimenter.envs.spaces import space_to_json
from experimenter.errors import UsageError
from experimenter.judge.evaluate import evaluate
from experimenter.policies.acting import Actor
from experimenter.policies.actions import head_for
from experimenter.policies.network import initial_params, views
from experimenter.policies.policy import Policy, shape_for
from experimenter.records import Network

BOX = spaces.Box(-1.0, 1.0, (2, 3), np.float64)
NESTED = spaces.Dict(
    {
        "arm": spaces.Dict({"angle": BOX, "more": spaces.Sequence(spaces.Discrete(3))}),
        "goal": spaces.Tuple([spaces.Discrete(3)]),
    }
)


def between(observation_space, action_space, mode="greedy"):
    """An untrained policy from one space to the other."""
    network, pipeline = Network(hidden=(8,)), Pipeline.for_space(observation_space)
    shape = shape_for(pipeline.size, network, head_for(action_space))
    params = views(initial_params(shape, np.random.default_rng(3)), shape)
    forms = space_to_json(observation_space), space_to_json(action_space)
    return Policy(pipeline, None, network, params, *forms, action_mode=mode)


@pytest.mark.parametrize("mode", ["greedy", "sample"])
@pytest.mark.parametrize(
    ("env_id", "kwargs"), [("CartPole-v1", {}), ("Pendulum-v1", {}), ("JudgeLine-v0", {"form": "dict"})]
)
def test_one_observation_at_a_time_is_the_judges_own_episode(env_id, kwargs, mode):
    spec = spec_for(env_id, kwargs)
    policy = a_policy(spec, mode=mode)
    actor, scores = Actor(policy), []
    with make(spec) as env:
        for seed in SEEDS[:4]:
            observation, _ = env.reset(seed=seed)
            actor.reset(seed)
            total, ended = 0.0, False
            while not ended:
                observation, reward, terminated, truncated, _ = env.step(actor.act(observation))
                total, ended = total + float(reward), terminated or truncated
            scores.append(total)
    assert evaluate(policy, spec, SEEDS[:4], NOTHING).scores == tuple(scores)


@pytest.mark.parametrize(
    "action_space",
    [
        spaces.Discrete(4, start=2),
        spaces.MultiDiscrete([3, 4]),
        spaces.MultiBinary(5),
        spaces.Box(-2.0, 0.5, (2, 2), np.float64),
    ],
)
@pytest.mark.parametrize("observation_space", [BOX, NESTED, spaces.MultiDiscrete([4, 2]), spaces.Discrete(5)])
@pytest.mark.parametrize("mode", ["greedy", "sample"])
def test_every_action_is_one_that_the_environment_takes(observation_space, action_space, mode):
    actor = Actor(between(observation_space, action_space, mode))
    observation_space.seed(1)
    for _ in range(20):
        action = actor.act(observation_space.sample())
        assert action_space.contains(action), action
    assert isinstance(action, int) == isinstance(action_space, spaces.Discrete)


def test_a_seed_repeats_what_is_sampled():
    actor = Actor(between(BOX, spaces.Box(-1.0, 1.0, (2,), np.float32), "sample"))
    drawn = []
    for seed in (1, 1, 2, None):
        actor.reset(seed)
        drawn.append(tuple(actor.act(np.zeros((2, 3))).tolist()))
    assert drawn[0] == drawn[1] and len(set(drawn)) == 3


def test_what_is_not_read_may_be_left_out_and_lists_are_numbers():
    actor = Actor(between(NESTED, spaces.Discrete(4)))
    bare = {"arm": {"angle": np.full((2, 3), 0.5).tolist()}, "goal": [2]}
    assert actor.act(bare) == actor.act(
        {"arm": {"angle": np.full((2, 3), 0.5), "more": (1, 2)}, "goal": (2,)}
    )


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"arm": {"angle": np.zeros((1, 2, 3))}, "goal": (1,)}, "arm.angle"),
        ({"arm": {"angle": np.zeros((2, 3))}, "goal": ()}, "goal.0"),
        ({"arm": {"angle": np.full((2, 3), np.inf)}, "goal": (1,)}, "infinity"),
        ({"arm": {"angle": [[1, 2, 3], [4, 5]]}, "goal": (1,)}, "arm.angle"),
        ({"arm": None, "goal": (1,)}, "got none"),
        ({"arm": {"angle": [["a"] * 3] * 2}, "goal": (1,)}, "arm.angle"),
    ],
)
def test_what_it_cannot_read_is_named(wrong, words):
    with pytest.raises(UsageError, match=words):
        Actor(between(NESTED, spaces.Discrete(4))).act(wrong)
