"""Images inside observations: where they begin among the inputs, how they are laid out, and how large they may be."""

import numpy as np
import pytest
from gymnasium import spaces

from experimenter.envs.images import ImagePart, find_image
from experimenter.envs.pipeline import Pipeline
from experimenter.errors import EnvironmentFault


def pixels(*shape):
    return spaces.Box(0, 255, shape, np.uint8)


@pytest.mark.parametrize(
    ("shape", "wanted", "channels_first"),
    [
        ((84, 84), (84, 84, 1), False),
        ((64, 48, 3), (64, 48, 3), False),
        ((84, 84, 4), (84, 84, 4), False),
        ((3, 64, 48), (64, 48, 3), True),
        ((1, 84, 84), (84, 84, 1), True),
        ((12, 64, 64), (64, 64, 12), True),
        ((64, 64, 12), (64, 64, 12), False),
    ],
)
def test_the_layout_of_an_image_is_told_from_its_shape(shape, wanted, channels_first):
    assert Pipeline.for_space(pixels(*shape)).images == (ImagePart("", 0, wanted, channels_first),)


def test_images_are_found_between_other_parts_at_their_offsets():
    space = spaces.Dict(
        {
            "arm": spaces.Box(-1, 1, (5,), np.float32),
            "camera": spaces.Dict({"left": pixels(8, 9, 3), "right": pixels(3, 8, 9)}),
            "depth": pixels(6, 7),
            "gear": spaces.Discrete(4),
        }
    )
    pipeline = Pipeline.for_space(space)
    assert pipeline.images == (
        ImagePart("camera.left", 5, (8, 9, 3)),
        ImagePart("camera.right", 5 + 216, (8, 9, 3), channels_first=True),
        ImagePart("depth", 5 + 432, (6, 7, 1)),
    )
    rng = np.random.default_rng(0)
    left, right = rng.integers(0, 256, (2, 8, 9, 3), np.uint8), rng.integers(0, 256, (2, 3, 8, 9), np.uint8)
    batch = {
        "arm": np.zeros((2, 5), np.float32),
        "camera.left": left,
        "camera.right": right,
        "depth": np.zeros((2, 6, 7), np.uint8),
        "gear": np.zeros(2, np.int64),
    }
    encoded = pipeline.encode(batch)
    for image, given in zip(pipeline.images, (left, right), strict=False):
        columns = encoded[:, image.offset : image.offset + image.size]
        assert np.array_equal(columns.reshape(given.shape), given / np.float32(255))
    assert Pipeline.from_json(pipeline.to_json()).images == pipeline.images


def test_what_is_no_picture_is_none():
    for space in (pixels(128), pixels(2, 8, 8, 3), spaces.Box(0, 1, (8, 8), np.float32)):
        assert Pipeline.for_space(space).images == ()


def test_an_image_is_the_same_to_whoever_admits_it_and_to_whoever_convolves_it():
    """Real numbers of three dimensions are as much of an image as bytes, in size and in network."""
    pipeline = Pipeline.for_space(spaces.Box(0, 1, (84, 84, 4), np.float32))
    assert (
        pipeline.images == (ImagePart("", 0, (84, 84, 4)),)
        and find_image(pipeline.parts) == pipeline.images[0]
    )
    with pytest.raises(EnvironmentFault, match=r"100,800 inputs of images; .* at most 100,000"):
        Pipeline.for_space(spaces.Box(0, 1, (210, 160, 3), np.float32))
    view = Pipeline.for_space(pixels(7, 7, 3), "minigrid")
    assert view.images == (ImagePart("", 0, (7, 7, 20), one_hot=True),)


def test_atari_frames_are_read_and_larger_ones_refused():
    assert Pipeline.for_space(pixels(84, 84, 4)).size == 28_224
    with pytest.raises(EnvironmentFault, match=r"100,800 inputs of images; .* at most 100,000"):
        Pipeline.for_space(pixels(210, 160, 3))
    with pytest.raises(EnvironmentFault, match=r"25,000 inputs; .* at most 20,000"):
        Pipeline.for_space(spaces.Box(0, 1, (25_000,), np.float32))
    both = spaces.Dict({"a": spaces.Box(0, 1, (25_000,), np.float32), "b": pixels(84, 84, 4)})
    with pytest.raises(EnvironmentFault, match="25,000 inputs beside images"):
        Pipeline.for_space(both)


def test_the_note_holds_for_any_network():
    note = Pipeline.for_space(pixels(84, 84, 4)).notes[0]
    assert "84 × 84 × 4" in note and "28,224 inputs" in note and "flattened" not in note
