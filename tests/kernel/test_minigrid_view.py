"""The quick view of a MiniGrid world is the environment's own, to the byte, and only training looks by it."""

from __future__ import annotations

import copy

import gymnasium
import numpy as np
import pytest

from experimenter.envs import minigrid_view
from experimenter.envs.make import make
from experimenter.envs.minigrid_view import hasten
from experimenter.envs.vector import SyncVector
from experimenter.envs.vectors.choosing import make_vector
from experimenter.records import EnvSpec

pytest.importorskip("minigrid")

ROOMS = (
    "MiniGrid-DoorKey-8x8-v0",
    "MiniGrid-Empty-Random-5x5-v0",
    "MiniGrid-Dynamic-Obstacles-6x6-v0",
    "MiniGrid-Fetch-8x8-N3-v0",
    "MiniGrid-LavaCrossingS9N2-v0",
    "MiniGrid-MemoryS7-v0",
    "MiniGrid-MultiRoom-N4-S5-v1",
    "MiniGrid-ObstructedMaze-2Dlh-v0",
    "MiniGrid-RedBlueDoors-6x6-v0",
    "BabyAI-GoToLocal-v0",
    "BabyAI-BossLevel-v0",
)


def room(env_id: str, **kwargs) -> gymnasium.Env:
    return make(EnvSpec(id=env_id, family="minigrid", kwargs=kwargs))


@pytest.mark.parametrize("env_id", ROOMS)
def test_every_view_of_a_wandering_agent_is_the_same(env_id):
    plain, quick = room(env_id).unwrapped, room(env_id).unwrapped
    assert hasten(quick)
    rng, ends = np.random.default_rng(1), 0
    plain.reset(seed=3), quick.reset(seed=3)
    for _ in range(300):
        action = 2 if rng.random() < 0.4 else int(rng.integers(plain.action_space.n))
        told, mine = plain.step(action), quick.step(action)
        assert mine[0]["image"].dtype == np.uint8 and mine[0]["image"].flags.writeable
        assert np.array_equal(told[0].pop("image"), mine[0].pop("image"))
        assert told == mine
        if told[2] or told[3]:
            ends += 1
            first, second = plain.reset(seed=ends)[0], quick.reset(seed=ends)[0]
            assert np.array_equal(first["image"], second["image"])


@pytest.mark.parametrize("size", [3, 5, 9])
def test_views_of_other_sizes_are_the_same_with_and_without_walls_to_look_through(size):
    for through in (False, True):
        plain, quick = (room("MiniGrid-FourRooms-v0", agent_view_size=size).unwrapped for _ in range(2))
        plain.see_through_walls = quick.see_through_walls = through
        assert hasten(quick)
        plain.reset(seed=size), quick.reset(seed=size)
        for action in np.random.default_rng(2).integers(0, 3, 200).tolist():
            assert np.array_equal(plain.step(action)[0]["image"], quick.step(action)[0]["image"])


def test_an_environment_with_a_view_of_its_own_keeps_it():
    from minigrid.envs import EmptyEnv

    class Foggy(EmptyEnv):
        def gen_obs(self):
            return {**super().gen_obs(), "image": np.zeros((7, 7, 3), np.uint8)}

    foggy = Foggy()
    assert not hasten(foggy)
    assert not foggy.reset(seed=0)[0]["image"].any()


def test_what_an_object_says_of_itself_is_heard():
    from minigrid.core.world_object import Wall

    class Glass(Wall):
        def see_behind(self):
            return True

        def encode(self):
            return (9, 5, 2)

    plain, quick = (room("MiniGrid-Empty-8x8-v0").unwrapped for _ in range(2))
    hasten(quick)
    for env in (plain, quick):
        env.see_through_walls = False
        env.reset(seed=0)
        env.grid.set(3, 1, Glass("blue"))
        env.grid.set(4, 1, Wall("red"))
    image = quick.gen_obs()["image"]
    assert np.array_equal(plain.gen_obs()["image"], image)
    assert [9, 5, 2] in image.reshape(-1, 3).tolist() and [2, 0, 0] in image.reshape(-1, 3).tolist()


def test_a_copy_sees_its_own_world():
    env = room("MiniGrid-DoorKey-5x5-v0").unwrapped
    hasten(env)
    env.reset(seed=0)
    twin = copy.deepcopy(env)
    before = twin.gen_obs()["image"]
    env.step(0)
    assert np.array_equal(twin.gen_obs()["image"], before)
    assert not np.array_equal(env.gen_obs()["image"], before)


def test_a_package_that_sees_otherwise_is_believed(monkeypatch: pytest.MonkeyPatch):
    env = room("MiniGrid-DoorKey-5x5-v0").unwrapped
    hasten(env)
    monkeypatch.setattr(minigrid_view, "seen", lambda env: np.zeros((7, 7, 3), np.uint8))
    assert env.reset(seed=0)[0]["image"].any()
    assert "gen_obs" not in vars(env)


def test_training_looks_quickly_and_the_judge_as_the_environment_does():
    spec = EnvSpec(id="MiniGrid-DoorKey-5x5-v0", family="minigrid")
    trained, judged = make_vector("sync", spec, 1), SyncVector(spec, 1)
    assert "gen_obs" in vars(trained.unwrapped())
    assert "gen_obs" not in vars(judged.unwrapped())
