"""A training learns, counts exactly, and ends the same whether or not it was killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from experimenter.errors import ProgramRejected, TrainingFault, WorkspaceError
from experimenter.identity import seeds
from experimenter.judge.evaluate import evaluate
from experimenter.policies.policy import load_policy
from experimenter.records import EnvSpec, Hyperparameters, JudgeSpec, Network, RewardProgram, Training
from experimenter.rl import ppo
from experimenter.rl.metrics import spent
from experimenter.rl.training import TrainJob, train
from experimenter.rl.validation import Validator
from tests.kernel.rl_samples import (
    CAR_FEATURES,
    CARTPOLE,
    MOUNTAIN_CAR,
    SMALL,
    SWING,
    job,
    lasting,
    phase,
    quiet,
)

ROOT = Path(__file__).resolve().parents[2]
PENDULUM = EnvSpec(id="Pendulum-v1")


def test_it_learns(tmp_path: Path) -> None:
    """CartPole from about 20 to above 400 in 40,000 steps, in seconds, judged on fresh seeds."""
    whole = phase(CARTPOLE, steps=40_000, hyper=Hyperparameters())
    learning = job(tmp_path, whole, chunk_steps=8192, network=Network())
    training = train(learning, quiet)
    assert training.policy is not None and training.env_steps <= 40_000
    policy = load_policy(tmp_path / training.policy.path, training.policy.hash)
    assert policy.action_mode == training.action_mode
    scores = evaluate(policy, CARTPOLE, seeds(0, "confirm_eval", 10), JudgeSpec()).scores
    assert np.mean(scores) > 400


def test_it_stops_at_a_target_only_when_all_validation_seeds_say_so(tmp_path: Path) -> None:
    whole = job(tmp_path, phase(CARTPOLE, steps=60_000, hyper=Hyperparameters()), chunk_steps=8192)
    stopped = train(whole.model_copy(update={"target": 150.0}), quiet)
    assert stopped.steps < 60_000 and stopped.curve[-1].true_return >= 150.0
    assert all(point.true_return < 150.0 for point in stopped.curve[:-1])


def test_progress_and_metrics(tmp_path: Path) -> None:
    heard: list[dict] = []
    small = job(tmp_path, phase(CARTPOLE, steps=1024))
    train(small, heard.append)
    rollouts = {data["steps"] for data in heard} - {0}
    assert heard[0]["steps"] == 0 and heard[0]["until"] == 1024, "alive before the first rollout is over"
    assert len(heard) > 1024 // SMALL.num_envs, "and at every step"
    assert rollouts == {128 * (i + 1) for i in range(8)}
    assert heard[-1]["until"] == 1024 and heard[-1]["steps_per_second"] > 0
    assert heard[-1]["true_return_from"] == "training" and heard[-1]["true_return"] > 5
    lines = [json.loads(line) for line in (Path(small.folder) / "metrics.jsonl").read_text().splitlines()]
    assert [line["global_step"] for line in lines] == sorted(rollouts)
    assert {"losses/approx_kl", "charts/episodic_return"} <= lines[-1].keys()


def test_counts(tmp_path: Path) -> None:
    """Whole rollouts only: of 1,000 steps 896 are taken; a budget below one rollout still buys a short one."""
    training = train(job(tmp_path / "a", phase(CARTPOLE, steps=1000)), quiet)
    assert training.env_steps == training.steps == 896
    assert training.eval_steps > 0 and training.wasted_env_steps == 0
    assert [point.steps for point in training.curve] == [512, 896]
    assert train(job(tmp_path / "b", phase(CARTPOLE, steps=30)), quiet).env_steps == 28
    assert train(job(tmp_path / "c", phase(CARTPOLE, steps=5000), until=40), quiet).env_steps == 40


def test_a_longer_training_goes_on_from_a_shorter_one(tmp_path: Path) -> None:
    whole = job(tmp_path / "a", phase(CARTPOLE, steps=2048))
    at_once = train(whole, quiet)
    again = job(tmp_path / "b", phase(CARTPOLE, steps=2048), until=1024)
    short = train(again, quiet)
    assert short.steps == 1024 and short.curve == at_once.curve[:2]
    long = train(again.model_copy(update={"until": 2048}), quiet)
    assert lasting(long) == lasting(at_once)
    assert short.policy is not None
    load_policy(tmp_path / "b" / short.policy.path, short.policy.hash)


def test_phases_mixtures_and_starting_policies(tmp_path: Path) -> None:
    """Two phases, the first a mixture; a second training starts from what they left."""
    easy = EnvSpec(id="CartPole-v1", kwargs={"sutton_barto_reward": True})
    other = SMALL.model_copy(update={"num_envs": 8, "num_steps": 16, "normalize_rewards": False})
    first = train(
        job(tmp_path, phase(CARTPOLE, easy, steps=512), phase(CARTPOLE, steps=512, hyper=other)), quiet
    )
    assert first.env_steps == 1024 and len(first.curve) == 2
    then = job(tmp_path, phase(CARTPOLE, steps=256), folder=str(tmp_path / "runs" / "u"), relative="runs/u")
    design = then.design.model_copy(update={"start": first.policy})
    second = train(then.model_copy(update={"design": design}), quiet)
    assert second.policy is not None and second.policy.lineage_steps == 1024 + 256
    wider = design.model_copy(update={"network": design.network.model_copy(update={"hidden": (9, 9)})})
    with pytest.raises(TrainingFault, match="layers"):
        train(then.model_copy(update={"design": wider, "folder": str(tmp_path / "runs" / "w")}), quiet)


@pytest.mark.parametrize(("spec", "name"), [(PENDULUM, "Pendulum-v1"), (MOUNTAIN_CAR, "MountainCar-v0")])
def test_same_seed_same_bytes(tmp_path: Path, spec: EnvSpec, name: str) -> None:
    one, two = (train(job(tmp_path / x, phase(spec, steps=1024), environment=spec), quiet) for x in "ab")
    assert lasting(one) == lasting(two)
    other = job(tmp_path / "c", phase(spec, steps=1024), environment=spec, seed=12)
    assert lasting(train(other, quiet)) != lasting(one)


def _car(folder: Path, reward: RewardProgram = SWING, steps: int = 2048) -> TrainJob:
    return job(
        folder,
        phase(MOUNTAIN_CAR, steps=steps, reward=reward),
        environment=MOUNTAIN_CAR,
        features=CAR_FEATURES,
    )


def test_a_reward_program_is_what_is_learnt_from(tmp_path: Path) -> None:
    training = train(_car(tmp_path).model_copy(update={"chunk_steps": 1024}), quiet)
    assert training.containment in ("full", "reduced")
    traces = {trace.name: trace for trace in training.components}
    assert set(traces) == {"speed", "native"} and traces["native"].maximum[-1] == -1.0
    assert traces["speed"].share + traces["native"].share == pytest.approx(1.0)
    assert len(traces["speed"].mean) == 10
    last = training.curve[-1]
    assert last.components.keys() == {"speed", "native"}
    assert last.shaped_return == pytest.approx(sum(last.components.values()))
    assert 0 < training.reach < 1


def test_unknown_features_are_refused(tmp_path: Path) -> None:
    wrong = RewardProgram(name="wrong", source='def reward(t):\n    return {"a": t.next.height}\n')
    with pytest.raises(ProgramRejected, match="height"):
        train(_car(tmp_path, wrong), quiet)


def _spoil(monkeypatch: pytest.MonkeyPatch, times: int) -> list[float]:
    """The first ``times`` updates of the third chunk and later yield weights that are no numbers."""
    rates: list[float] = []
    update = ppo.Learner.update

    def spoilt(self, rollout, hyper, rate, rng):
        stats = update(self, rollout, hyper, rate, rng)
        rates.append(rate)
        if len(rates) > 8 and len(rates) <= 8 + times:
            self.flat[:] = np.nan
            stats = ppo.UpdateStats(*(float("nan"),) * 7, finite=False)
        return stats

    monkeypatch.setattr(ppo.Learner, "update", spoilt)
    return rates


def test_weights_that_are_no_numbers_roll_back_once_with_half_the_rate(tmp_path: Path, monkeypatch) -> None:
    rates = _spoil(monkeypatch, times=1)
    hyper = SMALL.model_copy(update={"anneal_learning_rate": False})
    training = train(job(tmp_path, phase(CARTPOLE, steps=2048, hyper=hyper)), quiet)
    assert training.status == "finished" and training.steps == 2048 - 128
    assert training.env_steps == 2048, "what was thrown away is paid from the same budget"
    assert rates[8] == hyper.learning_rate and rates[9] == rates[-1] == hyper.learning_rate / 2


def test_weights_that_are_no_numbers_twice_end_the_training(tmp_path: Path, monkeypatch) -> None:
    _spoil(monkeypatch, times=2)
    failing = job(tmp_path, phase(CARTPOLE, steps=2048))
    with pytest.raises(TrainingFault, match="stopped being numbers twice"):
        train(failing, quiet)
    assert spent(Path(failing.folder)) == 1024 + 2 * 128


def test_a_roll_back_without_steps_left_ends_the_training(tmp_path: Path, monkeypatch) -> None:
    def spoilt(self, rollout, hyper, rate, rng):
        return ppo.UpdateStats(*(float("nan"),) * 7, finite=False)

    monkeypatch.setattr(ppo.Learner, "update", spoilt)
    failing = job(tmp_path, phase(CARTPOLE, steps=128))
    with pytest.raises(TrainingFault, match="no step is left"):
        train(failing, quiet)
    assert spent(Path(failing.folder)) == 128


def test_what_was_spent_is_read_past_torn_lines(tmp_path: Path) -> None:
    assert spent(tmp_path / "nowhere") == spent(tmp_path) == 0
    (tmp_path / "metrics.jsonl").write_bytes(b'{"env_steps": 128}\n{"env_steps": 256}\n{"env_st\xff')
    assert spent(tmp_path) == 256


class _Killed(BaseException):
    """Stands for the end of the process."""


def test_steps_lost_before_the_first_checkpoint_are_counted(tmp_path: Path) -> None:
    whole = job(tmp_path, phase(CARTPOLE, steps=1024))

    def kill(data: dict) -> None:
        if data["steps"] == 256:
            raise _Killed

    for _ in range(2):
        with pytest.raises(_Killed):
            train(whole, kill)
    assert train(whole, quiet).wasted_env_steps == 2 * 128


@pytest.mark.parametrize(
    ("length", "asked", "challenged"),
    [(None, 1, None), (20.0, 10, 10), (200.0, 6, 10), (4000.0, 3, 3), (10_000.0, 1, 1)],
)
def test_long_episodes_are_validated_on_fewer_seeds(length, asked, challenged) -> None:
    validator = Validator(CARTPOLE, tuple(range(10)), JudgeSpec())
    assert validator.episodes(16_384, length) == asked
    assert challenged is None or validator.challenge(16_384, length) == challenged


def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path: Path) -> None:
    whole = job(tmp_path, phase(CARTPOLE, steps=2048))
    expected = train(whole, quiet)
    newest = sorted(Path(whole.folder).glob("checkpoint-*.bin"))
    assert len(newest) == 2
    newest[-1].write_bytes(newest[-1].read_bytes()[:-7] + b"garbage")
    assert lasting(train(whole, quiet)) == lasting(expected)
    assert list(Path(whole.folder).glob("*.damaged"))


def test_a_damaged_starting_policy_is_refused(tmp_path: Path) -> None:
    first = train(job(tmp_path, phase(CARTPOLE, steps=128)), quiet)
    assert first.policy is not None
    (tmp_path / first.policy.path / "policy.json").write_text("{}")
    then = job(tmp_path, phase(CARTPOLE, steps=128), folder=str(tmp_path / "runs" / "u"), relative="runs/u")
    design = then.design.model_copy(update={"start": first.policy})
    with pytest.raises(WorkspaceError, match="damaged"):
        train(then.model_copy(update={"design": design}), quiet)


def _in_a_process(file: Path) -> subprocess.Popen[str]:
    where = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "tests.kernel.rl_samples", str(file)]
    environment = {**os.environ, "PYTHONPATH": where}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)


def _lines(folder: Path) -> int:
    path = folder / "metrics.jsonl"
    return len(path.read_text().splitlines()) if path.exists() else 0


def _kill_after(process: subprocess.Popen[str], folder: Path, more: int) -> bool:
    """Waits until ``more`` further updates were logged, then kill −9; false when it ended by itself."""
    start, limit = _lines(folder), time.monotonic() + 60
    while _lines(folder) < start + more and process.poll() is None and time.monotonic() < limit:
        time.sleep(0.002)
    if process.poll() is not None:
        return False
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return True


def test_killed_again_and_again_it_ends_the_same(tmp_path: Path) -> None:
    """Real kill −9 at drawn moments, with a reward program, a normaliser and validation in play."""
    expected = train(_car(tmp_path / "a", steps=8192), quiet)
    killed = _car(tmp_path / "b", steps=8192)
    file = tmp_path / "job.json"
    file.write_text(killed.model_dump_json())
    draw, kills = random.Random(4), 0
    for _ in range(3):
        kills += _kill_after(_in_a_process(file), Path(killed.folder), draw.randint(5, 16))
    out, _ = _in_a_process(file).communicate(timeout=60)
    found = Training.model_validate_json(out)
    assert kills == 3
    assert lasting(found) == lasting(expected)
    assert found.wasted_env_steps > 0
