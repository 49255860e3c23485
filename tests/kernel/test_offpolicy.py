"""Off-policy trainings: what they learn from, what survives a kill, and what the stored policy is."""

from __future__ import annotations

import json
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
import pytest
from gymnasium import spaces

from experimenter.errors import TrainingFault, UsageError, WorkspaceError
from experimenter.identity import canonical_json, seeds
from experimenter.judge.evaluate import evaluate
from experimenter.policies.actions import head_for
from experimenter.policies.policy import load_policy
from experimenter.policies.squashed import SquashedHead, ValueHead
from experimenter.records import (
    Design,
    EnvSpec,
    JudgeSpec,
    Network,
    OffPolicySettings,
    Phase,
    RewardProgram,
    Training,
    WeightedEnv,
)
from experimenter.rl.offpolicy.behaviour import epsilon
from experimenter.rl.offpolicy.buffer import ReplayBuffer, ReplayFiles, Transitions
from experimenter.rl.offpolicy.dqn import DQNLearner
from experimenter.rl.offpolicy.losses import DQNLosses
from experimenter.rl.offpolicy.settings import settled
from experimenter.rl.population import train_population
from experimenter.rl.rollout import Wanted
from experimenter.rl.training import Member, TrainJob, train
from tests.kernel.rl_samples import CAR_FEATURES, CARTPOLE, MOUNTAIN_CAR, SWING, job, lasting, quiet

PENDULUM = EnvSpec(id="Pendulum-v1")
RELU = Network(hidden=(32, 32), activation="relu")
SHORT = {
    "sac": OffPolicySettings(num_envs=2, train_freq=32, batch_size=32, learning_starts=128, gradient_steps=8),
    "dqn": OffPolicySettings.dqn().model_copy(
        update={
            "num_envs": 2,
            "train_freq": 32,
            "batch_size": 32,
            "learning_starts": 128,
            "gradient_steps": 8,
        }
    ),
}


def _phase(
    environment: EnvSpec, settings: OffPolicySettings, steps: int, reward: RewardProgram | None = None
) -> Phase:
    environments = (WeightedEnv(environment=environment),)
    return Phase(environments=environments, off_policy=settings, steps=steps, reward=reward)


def _job(workspace: Path, algorithm: str, *phases: Phase, network: Network = RELU, **changes) -> TrainJob:
    environment = phases[0].environments[0].environment
    design = settled(Design(name="sample", algorithm=algorithm, phases=phases, network=network))
    made = job(workspace, *phases, environment=environment, **changes)
    return made.model_copy(update={"design": design})


def _short(workspace: Path, algorithm: str, **changes) -> TrainJob:
    environment = PENDULUM if algorithm == "sac" else CARTPOLE
    return _job(workspace, algorithm, _phase(environment, SHORT[algorithm], 1024), chunk_steps=256, **changes)


def _judged(workspace: Path, training: Training, environment: EnvSpec) -> float:
    assert training.policy is not None
    policy = load_policy(workspace / training.policy.path, training.policy.hash)
    assert policy.action_mode == training.action_mode
    return float(np.mean(evaluate(policy, environment, seeds(0, "confirm_eval", 20), JudgeSpec()).scores))


@pytest.mark.slow
def test_sac_swings_the_pendulum_up(tmp_path: Path) -> None:
    """Random actions earn about −1,200; what stays upright earns about −150, here after 10,000 steps."""
    settings = OffPolicySettings(learning_rate=1e-3, batch_size=128, learning_starts=500, train_freq=32)
    network = Network(hidden=(64, 64), activation="relu")
    learning = _job(tmp_path, "sac", _phase(PENDULUM, settings, 10_240), network=network, chunk_steps=2048)
    assert _judged(tmp_path, train(learning, quiet), PENDULUM) > -250


@pytest.mark.slow
def test_dqn_balances_the_pole(tmp_path: Path) -> None:
    settings = OffPolicySettings.dqn()
    network = Network(hidden=(64, 64), activation="relu")
    learning = _job(tmp_path, "dqn", _phase(CARTPOLE, settings, 40_960), network=network, chunk_steps=4096)
    assert _judged(tmp_path, train(learning, quiet), CARTPOLE) > 300


@pytest.mark.parametrize("algorithm", ["sac", "dqn"])
def test_a_training_that_is_cut_short_goes_on_with_the_same_bytes(tmp_path: Path, algorithm: str) -> None:
    at_once = train(_short(tmp_path / "a", algorithm), quiet)
    assert at_once.env_steps == at_once.steps == 1024 and len(at_once.curve) == 4
    again = _short(tmp_path / "b", algorithm, until=512)
    assert train(again, quiet).curve == at_once.curve[:2]
    # As after a kill between the buffer's file and the checkpoint: the file is there, and is made again.
    (Path(again.folder) / "replay-000002.bin").write_bytes(b"torn")
    assert lasting(train(again.model_copy(update={"until": 1024}), quiet)) == lasting(at_once)
    assert not list(Path(again.folder).glob("replay-*.bin")), "of no more use once every step was taken"
    assert lasting(train(again.model_copy(update={"until": 1024}), quiet)) == lasting(at_once)
    other = train(_short(tmp_path / "c", algorithm, seed=12), quiet)
    assert lasting(other) != lasting(at_once)


def test_a_buffer_that_forgets_goes_on_with_the_same_bytes_and_deletes_what_it_forgot(tmp_path: Path) -> None:
    small = SHORT["dqn"].model_copy(update={"buffer_size": 300})
    made = [
        _job(tmp_path / name, "dqn", _phase(CARTPOLE, small, 2048), chunk_steps=256, until=until)
        for name, until in (("a", 1536), ("b", 1024))
    ]
    at_once, _ = (train(one, quiet) for one in made)
    assert lasting(train(made[1].model_copy(update={"until": 1536}), quiet)) == lasting(at_once)
    kept = sorted(path.name for path in Path(made[0].folder).glob("replay-*.bin"))
    assert kept == ["replay-000003.bin", "replay-000004.bin", "replay-000005.bin"], (
        "enough for either checkpoint"
    )


def test_a_lost_or_damaged_file_of_the_buffer_is_named(tmp_path: Path) -> None:
    for name, spoil in (("a", lambda path: path.unlink()), ("b", lambda path: path.write_bytes(b"x" * 99))):
        cut = _short(tmp_path / name, "dqn", until=512)
        train(cut, quiet)
        spoil(Path(cut.folder) / "replay-000001.bin")
        with pytest.raises(WorkspaceError, match="replay-000001"):
            train(cut.model_copy(update={"until": 1024}), quiet)


def _car(workspace: Path, *rewards: RewardProgram | None, until: int) -> TrainJob:
    phases = [_phase(MOUNTAIN_CAR, SHORT["dqn"], 256, reward) for reward in rewards]
    return _job(workspace, "dqn", *phases, chunk_steps=256, features=CAR_FEATURES, until=until)


def test_the_buffer_keeps_what_was_paid_and_a_new_reward_begins_a_new_buffer(tmp_path: Path) -> None:
    training = train(_car(tmp_path, SWING, None, None, None, until=768), quiet)
    assert {trace.name for trace in training.components} == {"speed", "native"}
    files = ReplayFiles(tmp_path / "runs" / "t")
    kept = sorted(path.name for path in files.folder.glob("replay-*.bin"))
    assert kept == ["replay-000001.bin", "replay-000002.bin"], "the first phase paid by another program"
    native = ReplayBuffer(10_000, 2, 1)
    train(_car(tmp_path / "shaped", SWING, SWING, until=256), quiet)
    key = json.loads(_head(tmp_path / "shaped"))["key"]
    ReplayFiles(tmp_path / "shaped" / "runs" / "t").read_back(native, 1, key)
    batch = native.batch(np.arange(256))
    assert native.total == 256
    paid = 100 * (0.99 * np.abs(batch.next_obs[:, 1]) - np.abs(batch.obs[:, 1])) - 1
    np.testing.assert_allclose(batch.reward, paid, atol=1e-4)


def test_a_kill_when_another_reward_begins_goes_on_with_the_same_bytes(tmp_path: Path) -> None:
    """The first chunk with another reward was kept in the buffer's file, and its checkpoint was not written."""
    rewards = (SWING, None, None)
    whole = train(_car(tmp_path / "whole", *rewards, until=768), quiet)
    cut = _car(tmp_path / "cut", *rewards, until=512)
    train(cut, quiet)
    (Path(cut.folder) / "checkpoint-000002.bin").unlink()
    assert lasting(train(cut.model_copy(update={"until": 768}), quiet)) == lasting(whole)


def test_while_a_reward_program_works_another_training_may_go_on(tmp_path: Path) -> None:
    """After each paid stretch a training steps aside; beside another one it still comes to the same bytes."""
    paid, native = _car(tmp_path / "a", SWING, until=256), _car(tmp_path / "b", None, until=256)
    with ExitStack() as stack:
        one, kinds = Member(paid, quiet, stack), list[str]()
        wanted = one.go_on()
        with suppress(StopIteration):
            while True:
                kinds.append(type(wanted).__name__)
                wanted = one.go_on(wanted.collect) if isinstance(wanted, Wanted) else one.go_on()
    assert kinds == ["Wanted", "Elsewhere"] * (256 // 64)
    alone = [
        train(_car(tmp_path / name, reward, until=256), quiet) for name, reward in (("c", SWING), ("d", None))
    ]
    beside = train_population(
        [_elsewhere(paid, tmp_path / "e"), _elsewhere(native, tmp_path / "f")], lambda *_: None
    )
    assert [lasting(ended.training) for ended in beside if ended.training] == [lasting(one) for one in alone]


def _elsewhere(one: TrainJob, folder: Path) -> TrainJob:
    return one.model_copy(update={"folder": str(folder / "runs" / "t")})


def _head(workspace: Path) -> str:
    from safetensors.numpy import load

    data = (workspace / "runs" / "t" / "replay-000000.bin").read_bytes()
    return load(data[32:])["head"].tobytes().decode()


def test_where_an_episode_is_cut_the_true_final_observation_still_counts(tmp_path: Path) -> None:
    """MountainCar is cut after 200 steps by a limit: what followed is no reset state, and its value is kept."""
    train(_car(tmp_path, None, None, None, until=512), quiet)
    files, buffer = ReplayFiles(tmp_path / "runs" / "t"), ReplayBuffer(100_000, 2, 1)
    files.read_back(buffer, 2, json.loads(_head(tmp_path))["key"])
    batch = buffer.batch(np.arange(len(buffer)))
    assert len(buffer) == 512 and (batch.keep == 1.0).all()
    moved = batch.next_obs[:, 0] - batch.obs[:, 0]
    np.testing.assert_allclose(moved, batch.next_obs[:, 1], atol=1e-5)


def test_a_pole_that_fell_is_worth_nothing_more(tmp_path: Path) -> None:
    train(_short(tmp_path, "dqn", until=256), quiet)
    files, buffer = ReplayFiles(tmp_path / "runs" / "t"), ReplayBuffer(100_000, 4, 1)
    files.read_back(buffer, 1, json.loads(_head(tmp_path))["key"])
    batch = buffer.batch(np.arange(256))
    fell = (np.abs(batch.next_obs[:, 0]) > 2.4) | (np.abs(batch.next_obs[:, 2]) > 12 * np.pi / 180)
    assert fell.any() and (batch.keep == np.where(fell, 0.0, 1.0)).all()


def test_weights_that_are_no_numbers_roll_back_once(tmp_path: Path, monkeypatch) -> None:
    rates: list[float] = []
    update = DQNLearner.update

    def spoilt(self, batch, rate):
        rates.append(rate)
        told = update(self, batch, rate)
        if len(rates) == 60:
            self.flat[:] = np.nan
            return DQNLosses(float("nan"), 0.0, 0.0)
        return told

    monkeypatch.setattr(DQNLearner, "update", spoilt)
    training = train(_short(tmp_path, "dqn"), quiet)
    assert training.status == "finished" and training.env_steps == 1024 and training.steps < 1024
    assert rates[-1] == rates[0] / 2
    assert np.isfinite(_judged(tmp_path, training, CARTPOLE))


def test_the_stored_policy_is_the_actor_alone(tmp_path: Path) -> None:
    for algorithm, said, outputs in (("sac", "squashed", 2), ("dqn", "values", 2)):
        training = train(_short(tmp_path / algorithm, algorithm, until=256), quiet)
        assert training.policy is not None
        folder = tmp_path / algorithm / training.policy.path
        described = json.loads((folder / "policy.json").read_text())
        policy = load_policy(folder, training.policy.hash)
        assert described["head"] == said == policy.said
        assert not any(name.startswith("critic") for name in policy.params)
        assert policy.params["hidden.0.weight"].shape[0] == 1
        assert policy.params["actor.weight"].shape == (32, outputs)
        assert policy.copy().said == said
        if algorithm == "dqn":
            assert training.action_mode == "greedy"


def test_a_training_starts_from_what_another_left(tmp_path: Path) -> None:
    for algorithm in ("sac", "dqn"):
        first = train(
            _short(tmp_path, algorithm, until=256, folder=str(tmp_path / algorithm), relative=algorithm),
            quiet,
        )
        then = _short(tmp_path, algorithm, until=256, folder=str(tmp_path / (algorithm + "2")), relative="x")
        design = then.design.model_copy(update={"start": first.policy})
        second = train(then.model_copy(update={"design": design, "root": str(tmp_path)}), quiet)
        assert second.curve[0].steps == 0 and second.curve[0].true_return == first.curve[-1].true_return


@pytest.mark.parametrize(
    ("algorithm", "environment", "said"),
    [("sac", CARTPOLE, "SAC needs continuous actions"), ("dqn", PENDULUM, "DQN needs one discrete action")],
)
def test_an_algorithm_that_cannot_act_here_says_why(
    tmp_path: Path, algorithm: str, environment: EnvSpec, said: str
) -> None:
    with pytest.raises(TrainingFault, match=said):
        train(_job(tmp_path, algorithm, _phase(environment, SHORT[algorithm], 256)), quiet)


def test_a_setting_that_is_named_twice_is_one_setting(tmp_path: Path) -> None:
    """Where a design was never settled and says two things, it is refused before it costs a step."""
    phases = (_phase(CARTPOLE, SHORT["dqn"], 256),)
    unsettled = Design(name="sample", algorithm="dqn", phases=phases, network=RELU)
    one = _job(tmp_path, "dqn", *phases)
    with pytest.raises(UsageError, match=r"2 for off_policy.num_envs and 8 for hyperparameters.num_envs"):
        train(one.model_copy(update={"design": unsettled}), quiet)
    with pytest.raises(UsageError, match="PPO learns from rollouts only"):
        train(one.model_copy(update={"design": unsettled.model_copy(update={"algorithm": "ppo"})}), quiet)
    hyper = one.design.phases[0].hyperparameters.model_copy(update={"gamma": 0.5})
    other = one.design.phases[0].model_copy(update={"hyperparameters": hyper})
    with pytest.raises(UsageError, match=r"0\.99 for off_policy.gamma and 0\.5 for hyperparameters.gamma"):
        train(one.model_copy(update={"design": one.design.model_copy(update={"phases": (other,)})}), quiet)
    assert settled(unsettled).hash == one.design.hash == settled(one.design).hash
    assert train(one, quiet).steps == 256


def test_an_unknown_algorithm_is_refused_with_a_guess(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Did you mean sac") as refused:
        train(_job(tmp_path, "sacc", _phase(PENDULUM, SHORT["sac"], 256)), quiet)
    assert {"dqn", "ppo", "sac"} <= set(refused.value.hint.rstrip(".").replace(",", "").split())


def test_a_squashed_gaussian_stays_inside_and_its_mean_is_greedy() -> None:
    space = spaces.Box(np.array([-2.0, 0.0], np.float32), np.array([2.0, 10.0], np.float32))
    head = head_for(space, "squashed")
    assert isinstance(head, SquashedHead) and head.outputs == 4 and head.width == 2
    rng = np.random.default_rng(0)
    out = np.tile(np.array([[0.5, -1.0, -1.0, 9.0]], np.float32), (20_000, 1))
    np.testing.assert_allclose(
        head.execute(head.greedy(out))[0], [2 * np.tanh(0.5), 5 + 5 * np.tanh(-1.0)], rtol=1e-5
    )
    raw = head.sample(out, None, rng)
    drawn = np.arctanh(raw[:, 0].astype(np.float64))
    assert drawn.mean() == pytest.approx(0.5, abs=0.02) and drawn.std() == pytest.approx(np.exp(-1), abs=0.02)
    executed = head.execute(raw)
    assert executed.dtype == np.float32 and all(space.contains(action) for action in executed[:500])
    with pytest.raises(TrainingFault, match="no bounds"):
        head_for(spaces.Box(-np.inf, np.inf, (2,)), "squashed")


def test_values_are_explored_at_the_rate_that_is_set() -> None:
    head = head_for(spaces.Discrete(4, start=-1), "values")
    assert isinstance(head, ValueHead) and head.modes == ("greedy",)
    out = np.tile(np.array([[0.0, 3.0, 1.0, 2.0]], np.float32), (40_000, 1))
    for exploration in (0.0, 0.2, 1.0):
        head.exploration = exploration
        chosen = head.execute(head.sample(out, None, np.random.default_rng(1)))
        shares = np.bincount(chosen + 1, minlength=4) / len(chosen)
        expected = np.full(4, exploration / 4) + [0.0, 1.0 - exploration, 0.0, 0.0]
        np.testing.assert_allclose(shares, expected, atol=0.01)
    assert (head.execute(head.greedy(out)) == 0).all()


def test_the_share_of_random_actions_falls_linearly_and_stays() -> None:
    settings = OffPolicySettings(exploration_fraction=0.5, exploration_final_eps=0.1)
    assert [round(epsilon(settings, at), 6) for at in (0.0, 0.25, 0.5, 1.0)] == [1.0, 0.55, 0.1, 0.1]


def _transitions(start: int, n: int) -> Transitions:
    numbers = np.arange(start, start + n, dtype=np.float32)
    obs = np.stack([numbers, numbers], axis=1)
    return Transitions(obs, obs + 1, numbers[:, None], numbers, np.ones(n, np.float32))


def test_the_buffer_holds_the_newest_and_nothing_else() -> None:
    buffer, added = ReplayBuffer(10, 2, 1), 0
    for n in (3, 4, 2, 5, 25, 1):
        buffer.add(_transitions(added, n))
        added += n
        held = buffer.batch(np.arange(len(buffer)))
        newest = np.arange(max(0, added - 10), added)
        assert sorted(held.reward.tolist()) == newest.tolist() and buffer.total == added
        np.testing.assert_array_equal(held.next_obs - held.obs, 1.0)
        np.testing.assert_array_equal(held.action[:, 0], held.reward)


def test_a_phase_without_off_policy_settings_is_written_as_it_always_was() -> None:
    plain = Phase(environments=(WeightedEnv(environment=PENDULUM),), steps=10)
    assert "off_policy" not in canonical_json(plain)
    whole = _phase(PENDULUM, SHORT["sac"], 10)
    assert Phase.model_validate_json(whole.model_dump_json()) == whole
    assert json.loads(canonical_json(whole))["off_policy"]["train_freq"] == 32
