"""MaskablePPO: what is against the rules is never done, by the trainer, by the stored policy or by the judge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from experimenter.config import Settings
from experimenter.envs.card import extract_card
from experimenter.envs.make import spec_for
from experimenter.envs.pipeline import Pipeline
from experimenter.envs.spaces import space_to_json
from experimenter.errors import ExperimenterError, TrainingFault, UsageError
from experimenter.identity import seeds
from experimenter.judge.evaluate import evaluate
from experimenter.loop.admission import check_algorithm
from experimenter.policies.network import initial_params, views
from experimenter.policies.policy import Policy, load_policy
from experimenter.records import EnvSpec, Hyperparameters, JudgeSpec, Network
from experimenter.rl.algorithms import algorithm
from experimenter.rl.training import TrainJob, train
from tests.kernel.rl_samples import CARTPOLE, lasting, quiet
from tests.plugins.algorithm_samples import sample_job

pytest.importorskip("sb3_contrib")
torch = pytest.importorskip("torch")

RULES = EnvSpec(id="masked_env:Rules-v0")


def _policy(actions: Any, size: int) -> Policy:
    seen = spaces.Dict({"action_mask": spaces.MultiBinary(size), "worth": spaces.Box(-9, 9, (4,))})
    shown = space_to_json(seen), space_to_json(actions)
    network = Network(hidden=(16,))
    policy = Policy(Pipeline.for_space(seen), None, network, {}, *shown, said="masked")
    policy.params = views(initial_params(policy.shape, np.random.default_rng(0)), policy.shape)
    return policy


@pytest.mark.parametrize(
    ("actions", "size"), [(spaces.Discrete(5, start=3), 5), (spaces.MultiDiscrete([3, 4]), 7)], ids=str
)
def test_a_converted_policy_acts_as_the_librarys_own_does(actions: Any, size: int) -> None:
    policy = _policy(actions, size)
    model: Any = algorithm("maskable-ppo").model()(policy, Hyperparameters(), np.random.default_rng(3))  # type: ignore[attr-defined]
    with torch.no_grad():
        for weight in model.model.policy.parameters():
            weight.add_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(weight.numel())))
    model.show()
    rng = np.random.default_rng(0)
    mask = rng.random((1000, size)) < 0.5
    edges = np.cumsum([0, *policy.head.sizes])  # type: ignore[attr-defined]
    for first in edges[:-1]:
        mask[:, first] |= True
    seen = {"action_mask": mask.astype(np.int8), "worth": rng.normal(size=(1000, 4)).astype(np.float32)}
    inputs = policy.inputs(seen)
    expected, _ = model.model.predict(inputs, deterministic=True, action_masks=mask)
    raw = expected.reshape(1000, -1)
    np.testing.assert_array_equal(policy.act(seen, "greedy", rng), policy.head.execute(raw))
    drawn = policy.head.sample(policy.outputs(seen), None, rng)
    for at, first in enumerate(edges[:-1]):
        assert mask[np.arange(1000), first + drawn[:, at]].all()
    log_prob = model.judged(
        *(torch.from_numpy(a) for a in (inputs, drawn if len(edges) > 2 else drawn[:, 0], mask))
    )[1]
    ours = policy.head.forward(policy.outputs(seen), None, drawn).log_prob
    np.testing.assert_allclose(log_prob.detach().numpy(), ours, atol=1e-4)


def _with(learning: TrainJob, **changes: Any) -> TrainJob:
    phase = learning.design.phases[0]
    hyper = phase.hyperparameters.model_copy(update=changes)
    phases = (phase.model_copy(update={"hyperparameters": hyper}),)
    return learning.model_copy(update={"design": learning.design.model_copy(update={"phases": phases})})


def test_a_training_never_breaks_the_rules_and_learns_among_what_is_left(tmp_path: Path) -> None:
    """At random among what is possible a move is worth 0.5; the best one of three is worth 0.75."""
    import masked_env

    masked_env.Rules.broken = 0
    learning = sample_job(tmp_path, "maskable-ppo", environment=RULES, steps=8192, chunk_steps=4096)
    training = train(_with(learning, learning_rate=5e-3, gamma=0.0), quiet)
    assert training.policy is not None
    policy = load_policy(tmp_path / training.policy.path, training.policy.hash)
    assert policy.said == "masked" and policy.shape.mask == (0, masked_env.MOVES)
    scores = evaluate(policy, RULES, seeds(0, "confirm_eval", 20), JudgeSpec()).scores
    assert masked_env.Rules.broken == 0
    assert float(np.mean(scores)) > 6.0


def test_a_training_that_is_cut_short_goes_on_with_the_same_bytes(tmp_path: Path) -> None:
    at_once = train(sample_job(tmp_path / "a", "maskable-ppo", environment=RULES), quiet)
    cut = sample_job(tmp_path / "b", "maskable-ppo", environment=RULES, until=256)
    train(cut, quiet)
    assert lasting(train(cut.model_copy(update={"until": 512}), quiet)) == lasting(at_once)


def test_where_there_is_no_mask_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(TrainingFault, match="no part 'action_mask' of 2"):
        train(sample_job(tmp_path, "maskable-ppo", environment=CARTPOLE), quiet)


def test_a_run_is_refused_before_anything_is_trained_where_there_is_no_mask() -> None:
    card = extract_card(spec_for("CartPole-v1"), judge=None)
    with pytest.raises(
        UsageError, match=r"CartPole-v1 cannot be learnt by MASKABLE-PPO: no part 'action_mask'"
    ):
        check_algorithm(Settings(algorithm="maskable-ppo"), card)
    check_algorithm(Settings(algorithm="maskable-ppo"), extract_card(spec_for(RULES.id), judge=None))


def test_a_mask_is_not_normalised(tmp_path: Path) -> None:
    plain = sample_job(tmp_path, "maskable-ppo", environment=RULES)
    with pytest.raises(UsageError, match="mask among the observations"):
        train(_with(plain, normalize_observations=True), quiet)


def test_a_masked_policy_is_not_exported_without_its_mask() -> None:
    from experimenter_skills.exporting import graph_of

    with pytest.raises(ExperimenterError, match="mask"):
        graph_of(_policy(spaces.Discrete(5), 5))
