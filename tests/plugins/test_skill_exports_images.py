"""Exported policies that see images act as the policy does; one that remembers is refused, and why."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces

from experimenter.envs.pipeline import Pipeline
from experimenter.envs.spaces import space_to_json
from experimenter.errors import ExperimenterError
from experimenter.policies.network import initial_params, views
from experimenter.policies.normaliser import Normaliser
from experimenter.policies.policy import Policy
from experimenter.records import Convolution, EnvSpec, Interval, Network, PolicyRef, Skill
from experimenter_skills.exporting import TOLERANCE, convert, graph_of

LAYERS = (Convolution(filters=6, kernel=4, stride=2), Convolution(filters=5, kernel=2))
IMAGE = spaces.Box(0, 255, (12, 10, 3), np.uint8)
SEEN = {
    "an image": IMAGE,
    "channels first": spaces.Box(0, 255, (4, 16, 18), np.uint8),
    "an image between numbers": spaces.Dict(
        {"arm": spaces.Box(-1, 1, (3,), np.float32), "eye": IMAGE, "place": spaces.Discrete(4)}
    ),
}


def _policy(seeing: spaces.Space, activation: str, normalised: bool) -> Policy:
    network = Network(hidden=(16,), activation=activation, convolution=LAYERS)  # type: ignore[arg-type]
    acting = space_to_json(spaces.Discrete(4))
    policy = Policy(Pipeline.for_space(seeing), None, network, {}, space_to_json(seeing), acting)
    rng = np.random.default_rng(5)
    flat = initial_params(policy.shape, rng) + rng.normal(0, 0.1, policy.shape.size).astype(np.float32)
    policy.params = views(flat, policy.shape)
    if normalised:
        policy.normaliser = Normaliser(policy.pipeline.size)
        policy.normaliser.update(rng.random((200, policy.pipeline.size)))
    return policy


@pytest.mark.parametrize("form", ["onnx", "torchscript"])
@pytest.mark.parametrize("what", sorted(SEEN))
@pytest.mark.parametrize(("activation", "normalised"), [("relu", False), ("tanh", True)])
def test_a_policy_that_sees_is_exported_identically(tmp_path, form, what, activation, normalised):
    pytest.importorskip("onnx" if form == "onnx" else "torch")
    policy, rng = _policy(SEEN[what], activation, normalised), np.random.default_rng(1)
    skill = Skill(
        name="see",
        description="",
        environment=EnvSpec(id="Made-v0"),
        environment_hash="0",
        policy=PolicyRef(path="p", hash="ab" * 16, lineage_steps=1),
        judge="",
        score=Interval(iqm=0, low=0, high=0, seeds=1),
    )
    shape = SEEN[what].shape or ()
    if what == "an image between numbers":
        met = {
            "arm": rng.normal(size=(300, 3)).astype(np.float32),
            "eye": rng.integers(0, 256, (300, *IMAGE.shape)).astype(np.uint8),
            "place": rng.integers(0, 4, 300),
        }
    else:
        met = rng.integers(0, 256, (300, *shape)).astype(np.uint8)
    found = convert(policy, skill, form, tmp_path / "policy", met)
    assert found.difference <= TOLERANCE
    assert (tmp_path / "policy").stat().st_size > 1000


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_policy_that_remembers_is_refused_with_the_reason(cell):
    seeing, acting = space_to_json(IMAGE), space_to_json(spaces.Discrete(4))
    policy = Policy(Pipeline.for_space(IMAGE), None, Network(memory=8, cell=cell), {}, seeing, acting)
    with pytest.raises(ExperimenterError, match="remembers") as told:
        graph_of(policy)
    assert ".zip" in told.value.hint
