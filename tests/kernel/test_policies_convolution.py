"""Policies that see images: found in any observation, computed by numpy as torch would, judged without it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from experimenter.envs.images import ImagePart, find_image
from experimenter.envs.pipeline import Pipeline
from experimenter.envs.spaces import space_to_json
from experimenter.errors import TrainingFault
from experimenter.policies.convolution import convolved, sizes
from experimenter.policies.network import Shape, initial_params, views
from experimenter.policies.policy import Policy, load_policy, save_policy
from experimenter.records import Convolution, Design, EnvSpec, Network, Phase, WeightedEnv
from tests.kernel.image_samples import Catch, CatchWithWind

SMALL = (Convolution(filters=8, kernel=3),)
NATURE = (
    Convolution(filters=32, kernel=8, stride=4),
    Convolution(filters=64, kernel=4, stride=2),
    Convolution(filters=64, kernel=3),
)
BYTES = {"low": 0, "high": 255, "dtype": np.uint8}


def _policy(space: spaces.Space, network: Network, actions: int = 3) -> Policy:
    acting = space_to_json(spaces.Discrete(actions))
    policy = Policy(Pipeline.for_space(space), None, network, {}, space_to_json(space), acting)
    rng = np.random.default_rng(5)
    flat = initial_params(policy.shape, rng) + rng.normal(0, 0.05, policy.shape.size).astype(np.float32)
    policy.params = views(flat, policy.shape)
    return policy


@pytest.mark.parametrize(
    ("image", "inputs", "layers", "activation"),
    [
        (ImagePart("", 0, (10, 10, 4)), 400, SMALL, "relu"),
        (ImagePart("", 0, (10, 12, 3)), 360, (*SMALL, Convolution(filters=5, kernel=4, stride=3)), "tanh"),
        (ImagePart("image", 7, (9, 8, 2)), 7 + 144 + 5, SMALL, "tanh"),
        (ImagePart("", 0, (84, 84, 4), channels_first=True), 84 * 84 * 4, NATURE, "relu"),
    ],
)
def test_numpy_computes_what_torch_computes(
    image: ImagePart, inputs: int, layers: tuple[Convolution, ...], activation: str
) -> None:
    torch = pytest.importorskip("torch")
    shape = Shape(inputs, (16,), 3, False, activation, image, layers)  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    params = views(initial_params(shape, rng), shape)
    for i in range(len(layers)):
        params[f"convolution.{i}.bias"][:] = rng.normal(0, 0.3, layers[i].filters)
    x = rng.random((5, inputs), dtype=np.float32)

    pixels = torch.tensor(x[:, image.offset : image.offset + image.size])
    height, width, channels = image.shape
    if image.channels_first:
        h = pixels.reshape(5, channels, height, width)
    else:
        h = pixels.reshape(5, height, width, channels).permute(0, 3, 1, 2)
    for i, layer in enumerate(layers):
        weight = torch.tensor(params[f"convolution.{i}.weight"]).permute(3, 2, 0, 1)
        bias = torch.tensor(params[f"convolution.{i}.bias"])
        h = getattr(torch, activation)(torch.nn.functional.conv2d(h, weight, bias, layer.stride))
    flat = h.permute(0, 2, 3, 1).reshape(5, -1).numpy()
    beside = np.concatenate([x[:, : image.offset], x[:, image.offset + image.size :]], axis=1)

    told = convolved(params, image, layers, activation, x)
    assert told.shape == (5, shape.features)
    assert np.abs(told - np.concatenate([flat, beside], axis=1)).max() < 1e-5
    assert told.std() > 0.01


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        (spaces.Box(shape=(84, 84), **BYTES), ImagePart("", 0, (84, 84, 1))),
        (spaces.Box(shape=(10, 10, 4), **BYTES), ImagePart("", 0, (10, 10, 4))),
        (spaces.Box(shape=(4, 84, 84), **BYTES), ImagePart("", 0, (84, 84, 4), channels_first=True)),
        (spaces.Box(0, 1, (10, 10, 6), np.bool_), ImagePart("", 0, (10, 10, 6))),
        (spaces.Box(-1, 1, (12,), np.float32), None),
        (CatchWithWind.observation_space, ImagePart("image", 0, (10, 10, 2))),
        (
            spaces.Dict({"a": spaces.Box(-1, 1, (3,)), "view": spaces.Box(shape=(20, 20, 3), **BYTES)}),
            ImagePart("view", 3, (20, 20, 3)),
        ),
    ],
)
def test_the_image_is_found_in_any_observation(space: spaces.Space, expected: ImagePart | None) -> None:
    assert find_image(Pipeline.for_space(space).parts) == expected


def test_a_minigrid_view_can_be_convolved_over_its_categories() -> None:
    """The default leaves such views to perceptrons; a design may ask otherwise."""
    pytest.importorskip("minigrid")
    space = gymnasium.make("MiniGrid-Empty-5x5-v0").observation_space
    found = find_image(Pipeline.for_space(space).parts)
    assert found is not None
    assert found.shape == (7, 7, 20)
    batch = {"image": np.ones((2, 7, 7, 3), np.uint8), "direction": np.zeros(2, np.int64)}
    batch |= {"mission": np.zeros((2, 0))} if "mission" in space.spaces else {}
    policy = _policy(spaces.Dict({k: space[k] for k in ("image", "direction")}), Network(convolution=SMALL))
    x = policy.inputs(batch)
    assert (
        x[0, found.offset : found.offset + found.size].reshape(7, 7, 20).sum(axis=2).tolist()
        == [[3.0] * 7] * 7
    )


def test_a_row_is_computed_alike_whatever_stands_beside_it() -> None:
    policy = _policy(Catch.observation_space, Network(hidden=(32,), convolution=SMALL, activation="relu"))
    obs = np.random.default_rng(1).integers(0, 256, (37, 10, 10, 2)).astype(np.uint8)
    together = policy.outputs(obs)
    alone = np.concatenate([policy.outputs(obs[i : i + 1]) for i in range(37)])
    assert np.array_equal(together, alone)
    assert np.array_equal(policy.outputs(obs[::-1])[::-1], together)


def test_the_rest_of_the_observation_joins_after_the_convolution() -> None:
    policy = _policy(CatchWithWind.observation_space, Network(hidden=(16,), convolution=SMALL))
    image = np.zeros((2, 10, 10, 2), np.uint8)
    out = policy.outputs({"image": image, "wind": np.array([[-1.0], [1.0]], np.float32)})
    assert np.abs(out[0] - out[1]).max() > 1e-4
    assert policy.shape.features == 8 * 8 * 8 + 1


def test_convolutions_that_cannot_be_are_refused_in_words() -> None:
    with pytest.raises(TrainingFault, match="no part of an observation is an image"):
        _policy(spaces.Box(-1, 1, (4,), np.float32), Network(convolution=SMALL))
    with pytest.raises(TrainingFault, match="does not fit"):
        sizes(ImagePart("", 0, (10, 10, 1)), NATURE)


def test_a_stored_policy_is_judged_without_torch(tmp_path: Path) -> None:
    policy = _policy(Catch.observation_space, Network(hidden=(16,), convolution=SMALL, activation="relu"))
    policy_hash = save_policy(tmp_path / "policy", policy)
    again = load_policy(tmp_path / "policy", policy_hash)
    assert again.network == policy.network
    obs = np.random.default_rng(2).integers(0, 256, (3, 10, 10, 2)).astype(np.uint8)
    assert np.array_equal(again.outputs(obs), policy.outputs(obs))
    code = (
        "import sys; from pathlib import Path; import tests.kernel.image_samples\n"
        "from experimenter.judge.evaluate import evaluate\n"
        "from experimenter.policies.policy import load_policy\n"
        "from experimenter.records import EnvSpec, JudgeSpec\n"
        f"policy = load_policy(Path({str(tmp_path / 'policy')!r}))\n"
        "print(evaluate(policy, EnvSpec(id='TinyCatch-v0'), [1, 2], JudgeSpec()).lengths, 'torch' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["(4,", "4)", "False"]


def test_a_network_of_perceptrons_is_written_as_it_always_was() -> None:
    assert Network().model_dump(mode="json") == {"v": 1, "hidden": [64, 64], "activation": "tanh"}
    phase = Phase(environments=(WeightedEnv(environment=EnvSpec(id="CartPole-v1")),), steps=10)
    plain, seeing = (
        Design(name="a", phases=(phase,), network=network)
        for network in (Network(), Network(convolution=SMALL))
    )
    assert plain.hash == "eff66e7bea70382d1f26660ef0e0a240" != seeing.hash
    assert Network.model_validate(seeing.network.model_dump(mode="json")) == seeing.network
