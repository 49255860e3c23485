"""The vector environment: same-step autoreset, true final observations, and checks."""

from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.wrappers import TimeLimit

from experimenter.envs.limits import declared_limit
from experimenter.envs.make import make, spec_for
from experimenter.envs.vector import SyncVector
from experimenter.errors import EnvironmentFault

STRANGERS = str(Path(__file__).parents[1] / "strangers")


@pytest.fixture(autouse=True)
def _strangers(monkeypatch):
    monkeypatch.syspath_prepend(STRANGERS)


def replay(env_id, seed, actions):
    """One environment stepped by Gymnasium's own rules: every transition and what follows it."""
    env = gymnasium.make(env_id)
    env.reset(seed=seed)
    for action in actions:
        obs, reward, terminated, truncated, _ = env.step(action)
        follows = env.reset()[0] if terminated or truncated else obs
        yield obs, reward, terminated, truncated, follows


@pytest.mark.parametrize(("env_id", "steps"), [("CartPole-v1", 300), ("MountainCar-v0", 450)])
def test_same_step_autoreset_matches_gymnasium(env_id, steps):
    rng = np.random.default_rng(0)
    vector = SyncVector(spec_for(env_id), 3)
    first = vector.reset([5, 6, 7])
    actions = rng.integers(0, vector.action_space.n, (steps, 3))
    told = [list(replay(env_id, seed, actions[:, i].tolist())) for i, seed in enumerate((5, 6, 7))]
    assert np.array_equal(first[1], gymnasium.make(env_id).reset(seed=6)[0])
    ends = 0
    for t in range(steps):
        step = vector.step(actions[t])
        for i in range(3):
            obs, reward, terminated, truncated, follows = told[i][t]
            assert np.array_equal(step.next_obs[i], obs)
            assert np.array_equal(step.obs[i], follows)
            assert (step.reward[i], step.terminated[i], step.truncated[i]) == (reward, terminated, truncated)
            ends += terminated or truncated
    assert ends >= 3


def test_the_final_observation_is_true_and_arrays_are_kept():
    vector = SyncVector(spec_for("MountainCar-v0"), 2)
    vector.reset([0, 1])
    kept = [vector.step(np.array([2, 0])) for _ in range(200)]
    last = kept[-1]
    assert last.truncated.all() and not last.terminated.any()
    assert not np.array_equal(last.next_obs, last.obs)
    assert np.array_equal(last.obs[:, 1], [0.0, 0.0]), "a new episode starts at rest"
    assert len({step.next_obs.tobytes() for step in kept}) == 200
    assert vector.elapsed.tolist() == [0, 0]


def test_dict_and_tuple_observations_are_flat_batches():
    grid = SyncVector(spec_for("MiniGrid-Empty-5x5-v0"), 2)
    obs = grid.reset([0, 1])
    assert {k: (v.shape, v.dtype.name) for k, v in obs.items()} == {
        "direction": ((2,), "int64"),
        "image": ((2, 7, 7, 3), "uint8"),
    }
    cards = SyncVector(spec_for("Blackjack-v1"), 3)
    assert {k: v.shape for k, v in cards.reset([0, 1, 2]).items()} == {"0": (3,), "1": (3,), "2": (3,)}


def test_continuous_actions_and_the_callers_array_is_left_alone():
    vector = SyncVector(spec_for("Pendulum-v1"), 2)
    vector.reset([0, 1])
    actions = np.array([[0.5], [-3.0]])
    step = vector.step(actions)
    assert step.reward.dtype == np.float64 and step.next_obs.shape == (2, 3)
    assert actions.tolist() == [[0.5], [-3.0]]


def test_mixtures_share_their_spaces():
    easy, hard = spec_for("MiniGrid-Empty-5x5-v0", {"size": 4}), spec_for("MiniGrid-Empty-8x8-v0")
    vector = SyncVector([easy, hard], 2)
    assert vector.reset([0, 1])["image"].shape == (2, 7, 7, 3)
    with pytest.raises(EnvironmentFault, match="other spaces"):
        SyncVector([spec_for("CartPole-v1"), spec_for("Acrobot-v1")], 2)


def episodes(env_id, choose, seeds=range(5)):
    """Whether a policy ended each of five episodes by termination."""
    vector = SyncVector(spec_for(env_id), len(seeds))
    obs, won, over = vector.reset(seeds), np.zeros(5, bool), np.zeros(5, bool)
    while not over.all():
        step = vector.step(choose(obs))
        won |= step.terminated & ~over
        over |= step.terminated | step.truncated
        obs = step.obs
    return won


def test_the_strangers_can_be_solved_but_not_by_chance():
    def corridor(obs):
        at, pressed = obs["place"][:, 0], obs["pressed"] == 1
        return np.where(pressed, 1, np.where(at == 0, 2, 0))

    def push(obs):
        return np.clip(10.0 * (0.2 * obs[:, 4:6] - obs[:, 2:4]), -1, 1)

    rng = np.random.default_rng(0)
    assert episodes("stranger_envs:SwitchCorridor-v0", corridor).all()
    assert not episodes("stranger_envs:SwitchCorridor-v0", lambda obs: rng.integers(0, 4, 5)).any()
    assert episodes("stranger_envs:PushTarget-v0", push).all()


def test_a_fault_in_one_of_many_names_its_step():
    specs = [spec_for("faulty_envs:FaultyNanObservation-v0", {"at": at}) for at in (30, 9)]
    vector = SyncVector(specs, 2)
    vector.reset([0, 1])
    for _ in range(8):
        vector.step(np.zeros(2, dtype=int))
    with pytest.raises(EnvironmentFault, match="NaN or infinity at step 9"):
        vector.step(np.zeros(2, dtype=int))


def test_huge_but_finite_observations_pass():
    class Huge(gymnasium.Env):
        observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float64)
        action_space = gymnasium.spaces.Discrete(2)

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return np.array([1e30, -1e30]), {}

        def step(self, action):
            return np.array([1e30, 1e30]), np.float32(1), np.bool_(False), False, {}

    gymnasium.register("Huge-v0", Huge)
    try:
        vector = SyncVector(spec_for("Huge-v0"), 2)
        vector.reset([0, 1])
        assert vector.step(np.zeros(2, dtype=int)).next_obs.dtype == np.float32
    finally:
        del gymnasium.registry["Huge-v0"]


def test_minigrid_subtasks_follow_the_episode():
    spec = spec_for("MiniGrid-DoorKey-5x5-v0")
    env = make(spec)
    _, info = env.reset(seed=3)
    assert info["subtasks"] == {"key_picked_up": False, "door_opened": False}
    inner = env.unwrapped
    key = next(cell for cell in inner.grid.grid if cell is not None and cell.type == "key")
    inner.grid.set(*inner.front_pos, key)
    _, _, _, _, picked = env.step(3)
    door = next(cell for cell in inner.grid.grid if cell is not None and cell.type == "door")
    inner.grid.set(*inner.front_pos, door)
    _, _, _, _, opened = env.step(5)
    assert picked["subtasks"] == {"key_picked_up": True, "door_opened": False}
    assert opened["subtasks"] == {"key_picked_up": True, "door_opened": True}


class Stubborn(gymnasium.Env):
    """Never ends; its reset takes no options, which Gymnasium's own time limit would pass on."""

    observation_space, action_space = gymnasium.spaces.Box(0, 1, (1,)), gymnasium.spaces.Discrete(2)

    def __init__(self, max_steps: int = 0):
        self.max_steps = max_steps

    def reset(self, seed=None):
        return np.zeros(1, np.float32), {}

    def step(self, action):
        return np.zeros(1, np.float32), 1.0, False, False, {}


gymnasium.register("Stubborn-v0", Stubborn)


def test_where_no_limit_is_declared_everybody_cuts_at_the_same_step():
    spec = spec_for("Stubborn-v0")
    vector, env = SyncVector(spec, 1), make(spec)
    vector.reset([0])
    env.reset(seed=0)
    for step in range(1, 20_001):
        moved, (_, _, terminated, truncated, _) = vector.step(np.zeros(1, np.int64)), env.step(0)
        assert moved.truncated[0] == truncated == (step % 10_000 == 0), step
        assert not moved.terminated[0] and not terminated
        if truncated:
            env.reset()
    vector.close()


def test_an_environments_own_limit_is_left_alone():
    assert declared_limit(make(spec_for("Stubborn-v0", {"max_steps": 16_384}))) == 16_384
    assert type(make(spec_for("CartPole-v1"))) is TimeLimit
    assert SyncVector(spec_for("CartPole-v1"), 1).assumed_limit() is None
