"""Exported policies act as the policy does, and a file that would not is never written."""

from __future__ import annotations

import dataclasses
import io
import json
import subprocess
import sys
import warnings

import numpy as np
import pytest
from gymnasium import spaces

from experimenter.envs.pipeline import Pipeline
from experimenter.envs.spaces import space_to_json
from experimenter.errors import ExperimenterError
from experimenter.policies.actions import head_for
from experimenter.policies.network import initial_params, views
from experimenter.policies.normaliser import Normaliser
from experimenter.policies.policy import Policy, shape_for
from experimenter.records import EnvSpec, Interval, Network, PolicyRef, Skill
from experimenter_skills import exporting
from experimenter_skills.exporting import OBSERVATIONS, TOLERANCE, convert, graph_of

FORMS = ["onnx", "torchscript"]
PLANE = spaces.Box(-np.inf, np.inf, (3, 2), np.float32)
ACTIONS = {
    "discrete": spaces.Discrete(4, start=-1),
    "several": spaces.MultiDiscrete([2, 3, 5]),
    "switches": spaces.MultiBinary(3),
    "box": spaces.Box(np.array([-2.0, -np.inf, 0.0], np.float32), np.array([2.0, np.inf, 5.0], np.float32)),
}


def policy_for(seeing, acting, activation="tanh", hidden=(16, 16), normalised=True, said="distribution"):
    rng = np.random.default_rng(5)
    network, pipeline = Network(hidden=hidden, activation=activation), Pipeline.for_space(seeing)
    shape = shape_for(pipeline.size, network, head_for(acting, said))
    params = views(initial_params(shape, rng), shape)
    params["actor.weight"][...] = rng.normal(size=params["actor.weight"].shape)
    params["actor.bias"][...] = rng.normal(size=params["actor.bias"].shape)
    if "actor.log_std" in params:
        params["actor.log_std"][...] = -0.5
    normaliser = Normaliser(pipeline.size) if normalised else None
    if normaliser is not None:
        normaliser.update(rng.normal(3.0, 20.0, (500, pipeline.size)))
    spaces_seen = space_to_json(seeing), space_to_json(acting)
    return Policy(pipeline, normaliser, network, params, *spaces_seen, said=said)


def off_policy(said):
    """What SAC or DQN leaves: an actor without a critic."""
    acting = ACTIONS["discrete"] if said == "values" else spaces.Box(-2.0, 3.0, (3,), np.float32)
    rng, network = np.random.default_rng(5), Network(hidden=(16, 16), activation="relu")
    pipeline = Pipeline.for_space(PLANE)
    policy = Policy(pipeline, None, network, {}, space_to_json(PLANE), space_to_json(acting), said=said)
    policy.params = views(rng.normal(0, 0.3, policy.shape.size).astype(np.float32), policy.shape)
    return policy


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("said", ["squashed", "values"])
def test_what_off_policy_algorithms_leave_is_exported_identically(tmp_path, form, said):
    policy, path = off_policy(said), tmp_path / "policy"
    seen = met() / 20
    assert convert(policy, skill(), form, path, seen).difference <= TOLERANCE
    told = run(form, path.read_bytes(), seen.reshape(-1, 6))
    out = policy.outputs(seen)
    np.testing.assert_allclose(told[0], policy.act(seen, "greedy", np.random.default_rng(0)), atol=TOLERANCE)
    gives = metadata(form, path.read_bytes())["gives"]
    if said == "values":
        assert gives == "action, q_values"
        np.testing.assert_allclose(told[1], out, atol=TOLERANCE)
    else:
        assert gives == "action, mean, log_std" and (out[:, 3:] > 2.0).any(), (
            "some deviations are at their bound"
        )
        np.testing.assert_allclose(told[1], out[:, :3], atol=TOLERANCE)
        np.testing.assert_allclose(told[2], np.clip(out[:, 3:], -20.0, 2.0), atol=TOLERANCE)


def skill():
    return Skill(
        name="a-skill",
        description="",
        environment=EnvSpec(id="Some-v0"),
        environment_hash="0",
        policy=PolicyRef(path="x", hash="ab" * 16, lineage_steps=1),
        judge="",
        score=Interval(iqm=0, low=0, high=0, seeds=1),
    )


def met(n=OBSERVATIONS):
    return np.random.default_rng(1).normal(3.0, 20.0, (n, 3, 2)).astype(np.float32)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ACTIONS)
def test_every_kind_of_action_is_exported_identically(tmp_path, form, kind):
    policy, path = policy_for(PLANE, ACTIONS[kind]), tmp_path / "policy"
    found = convert(policy, skill(), form, path, met())
    assert found.difference <= TOLERANCE and found.observations == OBSERVATIONS and found.ties == 0
    fresh = np.random.default_rng(2).normal(3.0, 60.0, (1000, 3, 2)).astype(np.float32)
    told = run(form, path.read_bytes(), fresh.reshape(1000, 6))
    wanted = policy.act(fresh, "greedy", np.random.default_rng(0))
    assert told[0].dtype == wanted.dtype
    np.testing.assert_allclose(told[0], wanted, rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(told[1], policy.outputs(fresh), rtol=0, atol=TOLERANCE)


def run(form, data, inputs):
    """Loads an exported file as a stranger would, without this package."""
    if form == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
        return session.run(None, {"observation": inputs})
    import torch

    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        return [tensor.numpy() for tensor in torch.jit.load(io.BytesIO(data))(torch.from_numpy(inputs))]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("hidden", [(16, 12), ()])
def test_deviations_that_follow_from_the_state_are_exported(tmp_path, form, hidden):
    policy, path = policy_for(PLANE, ACTIONS["box"], hidden=hidden, said="sde"), tmp_path / "policy"
    assert convert(policy, skill(), form, path, met()).difference <= TOLERANCE
    fresh = np.random.default_rng(2).normal(3.0, 20.0, (200, 3, 2)).astype(np.float32)
    action, mean, log_std = run(form, path.read_bytes(), fresh.reshape(200, 6))
    wanted = policy.act(fresh, "greedy", np.random.default_rng(0))
    np.testing.assert_allclose(action, wanted, rtol=0, atol=TOLERANCE)
    out, drawn = policy.outputs(fresh), np.random.default_rng(3)
    np.testing.assert_allclose(mean, out[:, :3], atol=TOLERANCE)
    raw = [policy.head.sample(out[:1], policy.params["actor.log_std"], drawn)[0] for _ in range(4000)]
    np.testing.assert_allclose(np.std(raw, axis=0), np.exp(log_std[0]), rtol=0.05)


@pytest.mark.parametrize("form", FORMS)
def test_other_networks_and_none_of_the_normaliser(tmp_path, form):
    policy = policy_for(PLANE, ACTIONS["box"], activation="relu", hidden=(7,), normalised=False)
    small = met() / 50
    found = convert(policy, skill(), form, tmp_path / "policy", small)
    assert found.difference <= TOLERANCE
    for n in (1, 5):
        told = run(form, (tmp_path / "policy").read_bytes(), small[:n].reshape(n, 6))
        np.testing.assert_allclose(told[1], policy.outputs(small[:n]), atol=TOLERANCE)
        np.testing.assert_allclose(told[2], np.full((n, 3), -0.5, np.float32))


def metadata(form, data):
    if form == "onnx":
        import onnx

        return {prop.key: prop.value for prop in onnx.load_model_from_string(data).metadata_props}
    import torch

    extra = {"metadata.json": ""}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.load(io.BytesIO(data), _extra_files=extra)
    return json.loads(extra["metadata.json"])


@pytest.mark.parametrize("form", FORMS)
def test_a_dictionary_of_observations_is_read_encoded_and_the_file_says_so(tmp_path, form):
    seeing = spaces.Dict({"where": spaces.Discrete(5), "speed": spaces.Box(-1, 1, (2,), np.float32)})
    policy = policy_for(seeing, ACTIONS["discrete"])
    rng = np.random.default_rng(3)
    seen = {"where": rng.integers(0, 5, 600), "speed": rng.uniform(-1, 1, (600, 2)).astype(np.float32)}
    convert(policy, skill(), form, tmp_path / "policy", seen)
    data = (tmp_path / "policy").read_bytes()
    told = metadata(form, data)
    assert told["reads"].startswith("encoded") and told["policy_hash"] == "ab" * 16
    pipeline = Pipeline.from_json(json.loads(told["pipeline"]))
    actions = run(form, data, pipeline.encode(seen))[0]
    assert (actions == policy.act(seen, "greedy", rng)).all()
    convert(policy_for(PLANE, ACTIONS["discrete"]), skill(), form, tmp_path / "plain", met())
    assert metadata(form, (tmp_path / "plain").read_bytes())["reads"].startswith("observations as")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["discrete", "box"])
def test_a_file_that_acts_otherwise_is_refused_and_not_written(tmp_path, monkeypatch, form, kind):
    def slightly_wrong(policy):
        graph = graph_of(policy)
        weight, bias = graph.layers[-1]
        bias = bias + np.float32(5e-5)
        return dataclasses.replace(graph, layers=(*graph.layers[:-1], (weight, bias)))

    monkeypatch.setattr(exporting, "graph_of", slightly_wrong)
    with pytest.raises(ExperimenterError, match="would not act"):
        convert(policy_for(PLANE, ACTIONS[kind]), skill(), form, tmp_path / "policy", met())
    assert list(tmp_path.iterdir()) == []


def test_a_skewed_choice_is_noticed_where_the_numbers_agree():
    policy = policy_for(PLANE, ACTIONS["discrete"])
    graph, wanted = graph_of(policy), policy.outputs(met(50))
    right = policy.head.execute(policy.head.greedy(wanted))
    assert exporting._ties(graph, policy, wanted, right) == 0
    with pytest.raises(ExperimenterError, match="other actions"):
        exporting._ties(graph, policy, wanted, np.roll(right, 1))


@pytest.mark.parametrize(("form", "package"), [("onnx", "onnx"), ("torchscript", "torch")])
def test_a_missing_package_is_named_with_its_extra(form, package):
    script = f"""
import sys
sys.modules[{package!r}] = None
from experimenter.errors import NotFound
from experimenter_skills import {"onnx_form" if form == "onnx" else "torch_form"} as made
try:
    made.build(None, {{}})
except NotFound as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert f"rl-experimenter[{package}]" in done.stdout, done.stderr
