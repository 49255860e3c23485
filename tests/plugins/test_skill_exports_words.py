"""Exported policies that read what an environment says act as the policy does, or are refused with the reason."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from gymnasium import spaces

from experimenter.envs.make import make, spec_for
from experimenter.envs.pipeline import Pipeline
from experimenter.envs.spaces import space_to_json
from experimenter.errors import ExperimenterError
from experimenter.execution.observing import ObserveOrder, observe, read_observations
from experimenter.policies.network import initial_params, views
from experimenter.policies.policy import Policy, load_policy, save_policy
from experimenter.records import Interval, Network, PolicyRef, Skill
from experimenter_skills.exporting import TOLERANCE, convert

pytest.importorskip("minigrid")
DOOR = spec_for("MiniGrid-GoToDoor-5x5-v0")
MISSIONS = ("go to the red door", "go to the blue door", "go to the grey door")
ANY = spaces.Dict({"count": spaces.Box(-1, 1, (2,)), "order": spaces.Text(60)})


def a_policy(seeing: spaces.Space, acting: spaces.Space, network: Network, family: str = "") -> Policy:
    """Weights so large that every word tells."""
    policy = Policy(
        Pipeline.for_space(seeing, family), None, network, {}, space_to_json(seeing), space_to_json(acting)
    )
    rng = np.random.default_rng(5)
    flat = initial_params(policy.shape, rng) + rng.normal(0, 0.3, policy.shape.size).astype(np.float32)
    policy.params = views(flat, policy.shape)
    return policy


def a_skill(environment, hash_: str = "ab" * 16) -> Skill:
    return Skill(
        name="go",
        description="",
        environment=environment,
        environment_hash="0",
        policy=PolicyRef(path="p", hash=hash_, lineage_steps=1),
        judge="",
        score=Interval(iqm=0, low=0, high=0, seeds=1),
    )


def run(form: str, data: bytes, inputs: np.ndarray) -> dict[str, np.ndarray]:
    if form == "onnx":
        from experimenter_skills.onnx_form import runner
    else:
        from experimenter_skills.torch_form import runner
    return dict(runner(data)(inputs))


@pytest.mark.parametrize("form", ["onnx", "torchscript"])
def test_a_policy_with_missions_is_exported_and_still_does_what_it_is_told(tmp_path, form):
    """From the observations of its own environment, as the command collects them, to actions mission by mission."""
    pytest.importorskip("onnx" if form == "onnx" else "torch")
    env = make(DOOR)
    made = a_policy(env.observation_space, env.action_space, Network(hidden=(16,)), DOOR.family)
    hash_ = save_policy(tmp_path / "p", made)
    order = {"policy_folder": str(tmp_path / "p"), "policy_hash": hash_, "environment": DOOR}
    observe(ObserveOrder(**order, count=60, seed=1, folder=str(tmp_path)), lambda _: None)
    policy = load_policy(tmp_path / "p", hash_)
    found = convert(policy, a_skill(DOOR, hash_), form, tmp_path / "file", read_observations(tmp_path))
    assert found.difference <= TOLERANCE

    view, _ = env.reset(seed=0)
    told = {
        "image": np.repeat(view["image"][None], 3, axis=0),
        "direction": np.repeat(view["direction"], 3),
        "mission": np.array(MISSIONS, dtype=object),
    }
    answer = run(form, (tmp_path / "file").read_bytes(), policy.pipeline.encode(told))
    assert np.array_equal(answer["action"].reshape(-1), policy.act(told, "greedy", np.random.default_rng(0)))
    assert len({row.tobytes() for row in answer["logits"]}) == 3, "another mission is another input"


@pytest.mark.parametrize("form", ["onnx", "torchscript"])
def test_a_policy_that_reads_any_text_is_exported_with_what_encodes_it(tmp_path, form):
    """Whoever uses the file finds in it how words become inputs."""
    pytest.importorskip("onnx" if form == "onnx" else "torch")
    policy = a_policy(ANY, spaces.Box(-1, 1, (2,)), Network(hidden=(16,)))
    words = [f"take the {colour} {thing}" for colour in ("red", "blue") for thing in ("ball", "key")]
    met = {"count": np.zeros((4, 2), np.float32), "order": np.array(words, dtype=object)}
    assert convert(policy, a_skill(DOOR), form, tmp_path / "file", met).difference <= TOLERANCE
    data = (tmp_path / "file").read_bytes()
    answer = run(form, data, policy.pipeline.encode(met))
    wanted = policy.act(met, "greedy", np.random.default_rng(0))
    np.testing.assert_allclose(answer["action"], wanted, atol=TOLERANCE)
    said = metadata(form, data)
    assert "pipeline" in said["reads"]
    again = Pipeline.from_json(json.loads(said["pipeline"]))
    assert np.array_equal(again.encode(met), policy.pipeline.encode(met))


def metadata(form: str, data: bytes) -> dict[str, str]:
    if form == "onnx":
        import onnx

        return {entry.key: entry.value for entry in onnx.load_model_from_string(data).metadata_props}
    import io

    import torch

    from experimenter_skills.torch_form import METADATA

    extra = {METADATA: ""}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.load(io.BytesIO(data), _extra_files=extra)
    return dict(json.loads(extra[METADATA]))


def test_one_that_reads_and_remembers_is_refused_with_the_reason(tmp_path):
    policy = a_policy(ANY, spaces.Discrete(2), Network(hidden=(8,), memory=4))
    met = {"count": np.zeros((1, 2), np.float32), "order": np.array(["red"], dtype=object)}
    with pytest.raises(ExperimenterError, match="remembers") as told:
        convert(policy, a_skill(DOOR), "onnx", tmp_path / "file", met)
    assert ".zip" in told.value.hint and not (tmp_path / "file").exists()
