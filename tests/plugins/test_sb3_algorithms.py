"""Stable-Baselines3's algorithms in our trainings: the same policies, the same promises, and rewards that are ours."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load

from experimenter.errors import TrainingFault, UsageError, WorkspaceError
from experimenter.identity import seeds
from experimenter.judge.evaluate import evaluate
from experimenter.policies.policy import flat_params, load_policy
from experimenter.records import JudgeSpec, Network, OffPolicySettings
from experimenter.rl.algorithms import algorithm
from experimenter.rl.course import NotFinite
from experimenter.rl.offpolicy.buffer import ReplayBuffer, ReplayFiles
from experimenter.rl.offpolicy.settings import settled
from experimenter.rl.population import train_population
from experimenter.rl.state import load_newest
from experimenter.rl.training import train
from tests.kernel.rl_samples import CAR_FEATURES, CARTPOLE, MOUNTAIN_CAR, SWING, lasting, quiet
from tests.plugins.algorithm_samples import PENDULUM, sample_job

pytest.importorskip("sb3_contrib")
torch = pytest.importorskip("torch")

REPLAYING = ("td3", "tqc", "sb3-sac", "qrdqn", "sb3-dqn")
ROLLING = ("trpo", "sb3-ppo", "recurrent-ppo")


@pytest.mark.parametrize("name", [*REPLAYING, *ROLLING])
def test_a_training_that_is_cut_short_goes_on_with_the_same_bytes(tmp_path: Path, name: str) -> None:
    at_once = train(sample_job(tmp_path / "a", name), quiet)
    assert at_once.env_steps == at_once.steps == 512 and len(at_once.curve) == 4
    cut = sample_job(tmp_path / "b", name, until=256)
    assert train(cut, quiet).curve == at_once.curve[:2]
    # As after a kill between the learner's file and the checkpoint: the file is there, and is made again.
    (Path(cut.folder) / "learner-000003.bin").write_bytes(b"torn")
    torch.manual_seed(99)
    np.random.seed(99)
    assert lasting(train(cut.model_copy(update={"until": 512}), quiet)) == lasting(at_once)
    assert not list(Path(cut.folder).glob("learner-*.bin")), "of no more use once every step was taken"
    assert lasting(train(cut.model_copy(update={"until": 512}), quiet)) == lasting(at_once)


def test_other_seeds_come_to_something_else(tmp_path: Path) -> None:
    made = [train(sample_job(tmp_path / str(seed), "tqc", seed=seed, until=256), quiet) for seed in (1, 2)]
    assert len({one.policy.hash for one in made if one.policy is not None}) == 2


def test_a_training_leaves_torchs_and_numpys_generators_as_they_were(tmp_path: Path) -> None:
    torch.manual_seed(5)
    np.random.seed(5)
    torch_before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    train(sample_job(tmp_path, "td3", until=256), quiet)
    assert torch.equal(torch.get_rng_state(), torch_before)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_before)


def test_members_of_a_population_come_to_what_they_come_to_alone(tmp_path: Path) -> None:
    names = ("trpo", "sb3-ppo", "sb3-dqn")
    alone = [lasting(train(sample_job(tmp_path / "alone" / name, name, step=name), quiet)) for name in names]
    jobs = [sample_job(tmp_path / "side" / name, name, step=name) for name in names]
    ended = train_population(jobs, lambda *_: None)
    assert [lasting(one.training) for one in ended if one.training is not None] == alone


@pytest.mark.parametrize("name", ["td3", "trpo"])
def test_weights_that_are_no_numbers_roll_back_once(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the third chunk; what is gone back to is what the library knew then, and not only the policy."""
    from experimenter.algorithms.courses import ReplayCourse, RolloutCourse

    course, calls = (ReplayCourse if name == "td3" else RolloutCourse), []
    chunk = course.chunk

    def spoilt(self: Any, *given: Any) -> Any:
        taught = yield from chunk(self, *given)
        calls.append(self.state.chunk)
        if len(calls) == 3:
            with torch.no_grad():
                for weight in self._model.model.policy.parameters():
                    weight.fill_(float("nan"))
            raise NotFinite
        return taught

    monkeypatch.setattr(course, "chunk", spoilt)
    training = train(sample_job(tmp_path, name), quiet)
    assert calls == [0, 1, 2, 2] and training.env_steps == 512 and training.steps == 384
    environment = PENDULUM if name == "td3" else CARTPOLE
    assert np.isfinite(_judged(tmp_path, training.policy, environment))


@pytest.mark.parametrize("name", ["td3", "qrdqn", "trpo"])
def test_a_training_starts_from_what_another_left(tmp_path: Path, name: str) -> None:
    first = train(sample_job(tmp_path, name, folder=str(tmp_path / "a"), relative="a"), quiet)
    then = sample_job(tmp_path, name, folder=str(tmp_path / "b"), relative="b", until=128, seed=12)
    design = then.design.model_copy(update={"start": first.policy})
    second = train(then.model_copy(update={"design": design, "root": str(tmp_path)}), quiet)
    train(sample_job(tmp_path, name, folder=str(tmp_path / "c"), relative="c", until=128, seed=12), quiet)
    assert second.curve[0].steps == 0 and first.policy is not None
    given = flat_params(load_policy(tmp_path / first.policy.path))
    near, far = (float(np.linalg.norm(_weights(tmp_path / folder) - given)) for folder in ("b", "c"))
    assert 0 < near < far / 3, "a little learnt on, and not begun anew"


def _weights(folder: Path) -> np.ndarray:
    state = load_newest(folder)
    assert state is not None
    return state.flat


def test_a_damaged_file_of_the_learner_is_named(tmp_path: Path) -> None:
    cut = sample_job(tmp_path, "trpo", until=256)
    train(cut, quiet)
    (Path(cut.folder) / "learner-000002.bin").write_bytes(b"x" * 99)
    with pytest.raises(WorkspaceError, match="learner-000002"):
        train(cut.model_copy(update={"until": 512}), quiet)


def _swing(seen: np.ndarray, following: np.ndarray) -> np.ndarray:
    return 100 * (0.99 * np.abs(following[:, 1]) - np.abs(seen[:, 1])) - 1


def test_what_a_reward_program_pays_is_what_is_learnt_from(tmp_path: Path) -> None:
    car = {"environment": MOUNTAIN_CAR, "rewards": (SWING,), "features": CAR_FEATURES, "until": 256}
    training = train(sample_job(tmp_path, "qrdqn", **car), quiet)  # type: ignore[arg-type]
    assert {trace.name for trace in training.components} == {"speed", "native"}
    buffer = ReplayBuffer(10_000, 2, 1)
    key = _key_of(tmp_path / "runs" / "t" / "replay-000000.bin")
    ReplayFiles(tmp_path / "runs" / "t").read_back(buffer, 2, key)
    batch = buffer.batch(np.arange(len(buffer)))
    assert len(buffer) == 256
    np.testing.assert_allclose(batch.reward, _swing(batch.obs, batch.next_obs), atol=1e-4)


def _key_of(path: Path) -> str:
    return str(json.loads(load(path.read_bytes()[32:])["head"].tobytes())["key"])


def test_a_stored_policy_needs_neither_library_nor_torch(tmp_path: Path) -> None:
    made = train(sample_job(tmp_path, "td3", until=256), quiet)
    assert made.policy is not None
    code = (
        "import sys, pathlib; from experimenter.policies.policy import flat_params, load_policy; import numpy as np;"
        f"p = load_policy(pathlib.Path({str(tmp_path / made.policy.path)!r}), {made.policy.hash!r});"
        "print(p.act(np.zeros((1, 3), np.float32), 'greedy', np.random.default_rng(0)).shape,"
        " {'torch', 'stable_baselines3', 'experimenter.algorithms'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "(1, 1) set()\n"


def test_an_extra_that_is_not_installed_is_named_before_anything_costs_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sb3_contrib", None)
    with pytest.raises(UsageError, match=r"tqc needs sb3_contrib.*rl-experimenter\[sb3\]"):
        train(sample_job(tmp_path, "tqc"), quiet)


@pytest.mark.parametrize(
    ("name", "said"), [("tqc", "TQC needs continuous actions"), ("qrdqn", "one discrete")]
)
def test_an_algorithm_that_cannot_act_here_says_why(tmp_path: Path, name: str, said: str) -> None:
    elsewhere = CARTPOLE if name == "tqc" else PENDULUM
    with pytest.raises(TrainingFault, match=said):
        train(sample_job(tmp_path, name, environment=elsewhere), quiet)


@pytest.mark.parametrize(
    ("name", "network", "said"),
    [
        ("trpo", Network(memory=8), "other layers"),
        ("recurrent-ppo", Network(), "long short-term memory"),
        ("recurrent-ppo", Network(memory=8), "long short-term memory"),
    ],
)
def test_a_network_that_it_cannot_train_is_refused(
    tmp_path: Path, name: str, network: Network, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        train(sample_job(tmp_path, name, network=network), quiet)


def _judged(workspace: Path, policy: Any, environment: Any) -> float:
    found = load_policy(workspace / policy.path, policy.hash)
    return float(np.mean(evaluate(found, environment, seeds(0, "confirm_eval", 20), JudgeSpec()).scores))


def test_trpo_balances_the_pole(tmp_path: Path) -> None:
    """Random actions earn about 22."""
    learning = sample_job(tmp_path, "trpo", steps=12_288, chunk_steps=2048, network=Network(hidden=(32, 32)))
    assert _judged(tmp_path, train(learning, quiet).policy, CARTPOLE) > 150


@pytest.mark.slow
def test_tqc_swings_the_pendulum_up(tmp_path: Path) -> None:
    """Random actions earn about −1,200; what stays upright earns about −150."""
    settings = OffPolicySettings(learning_rate=1e-3, batch_size=128, learning_starts=500, train_freq=32)
    network = Network(hidden=(64, 64), activation="relu")
    learning = sample_job(tmp_path, "tqc", steps=8192, chunk_steps=2048, network=network)
    phase = learning.design.phases[0].model_copy(update={"off_policy": settings})
    design = learning.design.model_copy(update={"phases": (phase,)})
    learning = learning.model_copy(update={"design": settled(design)})
    assert _judged(tmp_path, train(learning, quiet).policy, PENDULUM) > -300


def test_what_the_registry_says_of_them_is_what_their_policies_say() -> None:
    for name in (*REPLAYING, *ROLLING):
        found = algorithm(name)
        assert found.name == name and found.says(sample_job(Path("/nowhere"), name).design) == found.said  # type: ignore[attr-defined]
