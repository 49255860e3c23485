"""Members trained side by side come to what they would have come to alone; one that fails leaves the others be."""

from __future__ import annotations

import time
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from experimenter.errors import EnvironmentFault, ProgramRejected
from experimenter.records import EnvSpec, Hyperparameters, RewardProgram
from experimenter.rl import population
from experimenter.rl.population import train_population
from experimenter.rl.training import TrainJob, train
from tests.kernel.rl_samples import CARTPOLE, MOUNTAIN_CAR, SMALL, job, lasting, phase, quiet

STRANGERS = str(Path(__file__).parents[1] / "strangers")
LEAN = RewardProgram(
    name="lean", source='def reward(t):\n    return {"low": 1.0 - np.abs(t.next_obs[:, 2])}\n'
)
UNKNOWN = RewardProgram(name="unknown", source='def reward(t):\n    return {"a": t.next.nowhere}\n')


def member(folder: Path, number: int, **change: object) -> TrainJob:
    """One of several: its own seed, learning rate and reward, the same rollouts."""
    hyper = SMALL.model_copy(
        update={"learning_rate": 1e-3 * (1 + number), "normalize_rewards": number % 2 == 0}
    )
    reward = LEAN if number == 2 else None
    made = job(
        folder / str(number),
        phase(CARTPOLE, steps=1024, hyper=hyper, reward=reward),
        seed=11 + number,
        vector="native",
        step=f"s{number}",
    )
    return made.model_copy(update=change)


def test_each_member_gets_to_the_bit_what_it_gets_alone(tmp_path: Path) -> None:
    alone = [train(member(tmp_path / "alone", number), quiet) for number in range(5)]
    heard: set[str] = set()
    ended = train_population(
        [member(tmp_path / "together", number) for number in range(5)], lambda step, _: heard.add(step)
    )
    assert [one.step for one in ended] == ["s0", "s1", "s2", "s3", "s4"] and heard == {e.step for e in ended}
    for one, other in zip(ended, alone, strict=True):
        assert one.training is not None and lasting(one.training) == lasting(other)


def test_they_are_in_fact_collected_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    groups: list[int] = []
    collect = population.together
    monkeypatch.setattr(
        population, "together", lambda wanted, joint: groups.append(len(wanted)) or collect(wanted, joint)
    )
    train_population([member(tmp_path, number) for number in range(4)], lambda *_: None)
    assert 4 in groups and len(groups) >= 1024 // SMALL.rollout - 2


def test_each_member_is_said_to_have_taken_its_own_share_of_the_time(tmp_path: Path) -> None:
    """Nobody is charged for what the others did meanwhile: together they took no longer than it lasted."""
    began = time.monotonic()
    ended = train_population([member(tmp_path, number) for number in range(4)], lambda *_: None)
    lasted = time.monotonic() - began
    taken = [one.training.seconds for one in ended if one.training]
    assert len(taken) == 4 and min(taken) > 0 and sum(taken) <= lasted


def test_members_may_differ_in_what_their_batches_share_and_in_length(tmp_path: Path) -> None:
    """Another width, another environment, a shorter training: served in turn, none held up by the others."""
    wide = Hyperparameters(num_envs=8, num_steps=16, minibatch_size=32, update_epochs=2)
    jobs = [
        member(tmp_path, 0),
        member(tmp_path, 1, until=256),
        job(tmp_path / "w", phase(CARTPOLE, steps=512, hyper=wide), vector="native", step="w"),
        job(tmp_path / "m", phase(MOUNTAIN_CAR, steps=512), environment=MOUNTAIN_CAR, step="m"),
    ]
    ended = train_population(jobs, lambda *_: None)
    assert [one.training.steps for one in ended if one.training] == [1024, 256, 512, 512]
    assert lasting(ended[2].training) == lasting(train(_elsewhere(jobs[2], tmp_path / "a"), quiet))


def _elsewhere(one: TrainJob, folder: Path) -> TrainJob:
    return one.model_copy(update={"folder": str(folder / "runs" / "t"), "relative": "runs/t"})


def test_a_member_that_fails_ends_alone(tmp_path: Path) -> None:
    faulty = EnvSpec(id="faulty_envs:FaultyStep-v0", kwargs={"at": 9})
    jobs = [
        member(tmp_path, 0),
        job(tmp_path / "f", phase(faulty, steps=1024), environment=faulty, step="f"),
        job(tmp_path / "u", phase(CARTPOLE, steps=1024, reward=UNKNOWN), vector="native", step="u"),
        member(tmp_path, 3),
    ]
    ended = train_population(jobs, lambda *_: None)
    assert isinstance(ended[1].error, EnvironmentFault) and isinstance(ended[2].error, ProgramRejected)
    for place, number in ((0, 0), (3, 3)):
        assert lasting(ended[place].training) == lasting(train(member(tmp_path / "alone", number), quiet))


def test_a_killed_population_goes_on_where_each_member_was(tmp_path: Path) -> None:
    expected = train_population([member(tmp_path / "whole", number) for number in range(3)], lambda *_: None)

    class Killed(BaseException):
        pass

    def kill(step: str, data: dict) -> None:
        if step == "s1" and data["steps"] >= 640:
            raise Killed

    jobs = [member(tmp_path / "killed", number) for number in range(3)]
    with pytest.raises(Killed):
        train_population(jobs, kill)
    again = train_population(jobs[::-1], lambda *_: None)[::-1]
    for one, other in zip(again, expected, strict=True):
        assert lasting(one.training) == lasting(other.training)
    assert sum(one.training.wasted_env_steps for one in again) > 0


def test_worlds_that_draw_at_every_step_draw_the_same_beside_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(STRANGERS)
    gusts = EnvSpec(id="batched_envs:Gusts-v0")

    def one(folder: Path, number: int) -> TrainJob:
        plain = SMALL.model_copy(update={"normalize_observations": False})
        told = {"environment": gusts, "seed": 5 + number, "vector": "native", "step": f"g{number}"}
        return job(folder / str(number), phase(gusts, steps=512, hyper=plain), **told)

    ended = train_population([one(tmp_path / "together", number) for number in range(3)], lambda *_: None)
    for number, member_end in enumerate(ended):
        assert lasting(member_end.training) == lasting(train(one(tmp_path / "alone", number), quiet))


class Unclosable(gymnasium.Env):
    """Refuses to be closed after it was played."""

    observation_space, action_space = gymnasium.spaces.Box(-1, 1, (2,)), gymnasium.spaces.Discrete(2)
    taken = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.taken += 1
        return np.zeros(2, np.float32), 1.0, self.taken % 20 == 0, False, {}

    def close(self):
        if self.taken > 100:
            raise RuntimeError("stuck")


def test_a_member_that_cannot_be_closed_has_failed_and_the_others_have_not(tmp_path: Path) -> None:
    gymnasium.register("Unclosable-v0", entry_point=Unclosable, max_episode_steps=50)
    stuck = EnvSpec(id="Unclosable-v0")
    told = {"environment": stuck, "step": "stuck", "validation_seeds": ()}
    try:
        jobs = [job(tmp_path / "s", phase(stuck, steps=1024), **told), member(tmp_path, 1)]
        ended = train_population(jobs, lambda *_: None)
    finally:
        gymnasium.registry.pop("Unclosable-v0")
    assert isinstance(ended[0].error, EnvironmentFault) and "stuck" in ended[0].error.message
    assert ended[1].training is not None and ended[1].training.steps == 1024
