"""The PyTorch path: the same updates as the kernels' for perceptrons, learning from images, and who gets which."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from experimenter.errors import TrainingFault, UsageError
from experimenter.policies.actions import ActionHead, CategoricalHead, GaussianHead
from experimenter.policies.network import Shape, initial_params, values
from experimenter.policies.policy import load_policy
from experimenter.records import Convolution, EnvSpec, Hyperparameters, Network, Training
from experimenter.rl.devices import choose_device, cuda_name, quicker, update_seconds
from experimenter.rl.learners import make_learner
from experimenter.rl.ppo import Learner, Rollout
from experimenter.rl.training import TrainJob, train
from tests.kernel import image_samples
from tests.kernel.rl_samples import CARTPOLE, job, phase

pytest.importorskip("torch")
from experimenter.rl.autograd import AutogradLearner

HEADS = {
    "discrete": CategoricalHead([4], [0], single=True),
    "multi_discrete": CategoricalHead([3, 2, 5], [0, 0, 0], single=False),
    "continuous": GaussianHead(np.array([-2.0, -np.inf, 0.0]), np.array([2.0, np.inf, 1.0])),
}
HYPER = Hyperparameters(minibatch_size=48, update_epochs=3, ent_coef=0.02)
CATCH = EnvSpec(id=image_samples.CATCH)
SEEING = Network(hidden=(32,), activation="relu", convolution=(Convolution(filters=8, kernel=3),))


def _rollout(
    shape: Shape, head: ActionHead, rng: np.random.Generator, steps: int = 24, n: int = 6
) -> Rollout:
    terminated, truncated = rng.random((steps, n)) < 0.05, rng.random((steps, n)) < 0.05
    truncated &= ~terminated
    if isinstance(head, CategoricalHead):
        raw = np.stack([rng.integers(0, size, (steps, n)) for size in head.sizes], axis=2)
    else:
        raw = rng.standard_normal((steps, n, head.width)).astype(np.float32)
    times, envs = np.nonzero(truncated)
    return Rollout(
        obs=rng.standard_normal((steps, n, shape.inputs)).astype(np.float32),
        raw=raw,
        reward=rng.standard_normal((steps, n)).astype(np.float32),
        terminated=terminated,
        truncated=truncated,
        final_obs=rng.standard_normal((len(times), shape.inputs)).astype(np.float32),
        final_at=(times, envs),
        last_obs=rng.standard_normal((n, shape.inputs)).astype(np.float32),
    )


def _shape(head: ActionHead, activation: str = "tanh") -> Shape:
    return Shape(5, (16, 12), head.outputs, head.log_std, activation)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", sorted(HEADS))
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_ten_updates_of_both_learners_stay_together(kind: str, activation: str) -> None:
    rng, head = np.random.default_rng(4), HEADS[kind]
    shape = _shape(head, activation)
    flat = initial_params(shape, rng)
    kernels = Learner(shape, head, flat.copy())
    torch = AutogradLearner(shape, head, flat.copy())
    for update in range(10):
        rollout = _rollout(shape, head, rng)
        told = [
            learner.update(rollout, HYPER, 1e-3, np.random.default_rng(update))
            for learner in (kernels, torch)
        ]
        for name in (
            "policy_loss",
            "value_loss",
            "entropy",
            "approx_kl",
            "clipfrac",
            "grad_norm",
            "explained_variance",
        ):
            first, second = (getattr(stats, name) for stats in told)
            assert second == pytest.approx(first, rel=1e-3, abs=1e-4), (update, name)
        assert told[1].finite
    moved = np.abs(kernels.flat - flat).max()
    assert moved > 0.01
    assert np.abs(kernels.flat - torch.flat).max() < 1e-3 * moved
    assert torch.adam.t == kernels.adam.t == 10 * 3 * 3
    assert np.allclose(torch.adam.m, kernels.adam.m, atol=1e-5)
    assert np.allclose(torch.adam.v, kernels.adam.v, atol=1e-5)


def test_a_training_may_change_from_one_learner_to_the_other() -> None:
    """All that either keeps between two updates is the flat vector and Adam's moments."""
    rng, head = np.random.default_rng(8), HEADS["discrete"]
    shape = _shape(head)
    flat = initial_params(shape, rng)
    rollouts = [_rollout(shape, head, rng) for _ in range(4)]
    through, changed = Learner(shape, head, flat.copy()), Learner(shape, head, flat.copy())
    for i, rollout in enumerate(rollouts):
        through.update(rollout, HYPER, 1e-3, np.random.default_rng(i))
    for i, rollout in enumerate(rollouts[:2]):
        changed.update(rollout, HYPER, 1e-3, np.random.default_rng(i))
    after = AutogradLearner(shape, head, changed.flat)
    after.adam.m, after.adam.v, after.adam.t = changed.adam.m, changed.adam.v, changed.adam.t
    for i, rollout in enumerate(rollouts[2:], start=2):
        after.update(rollout, HYPER, 1e-3, np.random.default_rng(i))
    assert after.flat is changed.flat
    assert np.abs(through.flat - changed.flat).max() < 1e-5


def test_values_of_what_follows_are_numpys() -> None:
    rng, head = np.random.default_rng(2), HEADS["discrete"]
    shape = _shape(head)
    learner = AutogradLearner(shape, head, initial_params(shape, rng))
    rollout = _rollout(shape, head, rng)
    value = rng.standard_normal((24, 6)).astype(np.float32)
    following = learner.next_values(rollout, value)
    assert np.allclose(following[-1], values(learner.params, shape, rollout.last_obs), atol=1e-6)
    expected = values(learner.params, shape, rollout.final_obs)
    assert len(expected) > 2
    assert np.allclose(following[rollout.final_at], expected, atol=1e-6)


def test_not_a_number_is_told_and_no_exception() -> None:
    rng, head = np.random.default_rng(2), HEADS["continuous"]
    shape = _shape(head)
    learner = AutogradLearner(shape, head, initial_params(shape, rng))
    rollout = _rollout(shape, head, rng)
    rollout.reward[3, 2] = np.nan
    assert not learner.update(rollout, HYPER, 1e-3, rng).finite


def _train(workspace: Path, steps: int, **changes: object) -> tuple[TrainJob, Training]:
    hyper = Hyperparameters(
        num_envs=16, num_steps=32, minibatch_size=128, update_epochs=6, learning_rate=2e-3,
        normalize_observations=False,
    )  # fmt: skip
    whole = phase(CATCH, steps=8192, hyper=hyper)
    asked = job(workspace, whole, environment=CATCH, network=SEEING, chunk_steps=4096, until=steps, **changes)
    return asked, train(asked, lambda _: None)


def test_a_policy_learns_to_catch_what_it_sees(tmp_path: Path) -> None:
    """The ball's column is random, so that a policy that sees nothing is worth −0.78 at best."""
    asked, training = _train(tmp_path, 8192)
    assert training.status == "finished", training.error
    assert training.curve[-1].true_return is not None
    assert training.curve[-1].true_return > 0.8
    assert training.policy is not None
    policy = load_policy(asked.workspace / training.policy.path, training.policy.hash)
    assert policy.network == SEEING


def test_a_training_by_torch_goes_on_where_it_stood(tmp_path: Path) -> None:
    hyper = Hyperparameters(num_envs=4, num_steps=32, minibatch_size=64)
    made = []
    for name, pieces in (("whole", (1024,)), ("parts", (512, 1024))):
        for until in pieces:
            asked = job(
                tmp_path / name, phase(CARTPOLE, steps=1024, hyper=hyper), until=until, learner="autograd"
            )
            made.append(train(asked, lambda _: None))
    whole, _, parts = made
    assert whole.policy is not None
    assert parts.policy is not None
    assert whole.policy.hash == parts.policy.hash


def test_perceptrons_get_the_kernels_and_everything_else_torch(tmp_path: Path) -> None:
    head = HEADS["discrete"]
    plain = _shape(head)
    seeing = Shape(200, (8,), 4, False, "relu", image_samples.IMAGE, SEEING.convolution)
    asked = job(tmp_path, phase(CARTPOLE, steps=128))

    def made(shape: Shape, **changes: object) -> object:
        flat = np.zeros(shape.size, np.float32)
        return make_learner(asked.model_copy(update=changes), shape, head, flat)

    assert isinstance(made(plain), Learner)
    assert isinstance(made(plain, learner="autograd"), AutogradLearner)
    assert isinstance(made(seeing), AutogradLearner)
    with pytest.raises(TrainingFault, match="plain perceptrons"):
        made(seeing, learner="kernels")


def test_without_torch_the_fault_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    head = HEADS["discrete"]
    asked = job(tmp_path, phase(CARTPOLE, steps=128), learner="autograd")
    flat = np.zeros(_shape(head).size, np.float32)
    with pytest.raises(TrainingFault) as told:
        make_learner(asked, _shape(head), head, flat)
    assert "rl-experimenter[torch]" in told.value.hint
    with pytest.raises(UsageError) as refused:
        choose_device("cuda", _shape(head), 64)
    assert "rl-experimenter[torch]" in refused.value.hint


def test_a_perceptron_gets_the_cpu_and_nothing_loads_torch() -> None:
    code = (
        "import sys; from experimenter.policies.network import Shape\n"
        "from experimenter.rl.devices import choose_device\n"
        "from experimenter.rl.learners import make_learner\n"
        "print(choose_device('auto', Shape(4, (64, 64), 2, False), 256).device, 'torch' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["cpu", "False"]


def test_the_quicker_device_is_taken() -> None:
    slow, quick = {"cpu": 0.02, "cuda": 0.05}, {"cpu": 0.5, "cuda": 0.02}
    assert quicker(slow, "Card").device == "cpu"
    chosen = quicker(quick, "Card")
    assert (chosen.device, chosen.seconds) == ("cuda", quick)
    assert "25 times less than on the CPU" in chosen.reason


def test_an_update_can_be_timed_for_images_and_for_gaussians() -> None:
    seeing = Shape(200, (8,), 4, False, "relu", image_samples.IMAGE, SEEING.convolution)
    assert update_seconds("cpu", seeing, 16) > 0
    assert update_seconds("cpu", _shape(HEADS["continuous"]), 16) > 0


@pytest.mark.skipif(cuda_name() is not None, reason="a graphics card is present")
def test_a_card_that_is_not_there_is_refused_with_advice() -> None:
    shape = _shape(HEADS["discrete"])
    with pytest.raises(UsageError) as told:
        choose_device("cuda", shape, 64)
    assert "--device" in told.value.hint
    seeing = Shape(200, (8,), 4, False, "relu", image_samples.IMAGE, SEEING.convolution)
    assert choose_device("auto", seeing, 64).device == "cpu"


@pytest.mark.skipif(cuda_name() is None, reason="needs a graphics card")
def test_updates_on_a_card_are_those_of_the_cpu() -> None:
    rng, head = np.random.default_rng(4), HEADS["discrete"]
    shape = Shape(200, (8,), 4, False, "relu", image_samples.IMAGE, SEEING.convolution)
    flat = initial_params(shape, rng)
    learners = [AutogradLearner(shape, head, flat.copy(), device) for device in ("cpu", "cuda")]
    for update in range(3):
        rollout = _rollout(shape, head, rng)
        for learner in learners:
            learner.update(rollout, HYPER, 1e-3, np.random.default_rng(update))
    assert np.abs(learners[0].flat - flat).max() > 0.005
    assert np.abs(learners[0].flat - learners[1].flat).max() < 1e-3
    assert choose_device("auto", shape, 64).device in ("cpu", "cuda")
