"""A film shows the judge's own episode, small enough to carry about, and says so where nothing can be drawn."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from experimenter.envs.make import make, spec_for
from experimenter.envs.pipeline import Pipeline
from experimenter.envs.spaces import space_to_json
from experimenter.errors import EnvironmentFault, WorkspaceError
from experimenter.execution.film import Film, film, gif_bytes
from experimenter.execution.playing import PlayOrder, play, read_film
from experimenter.judge.evaluate import evaluate
from experimenter.policies.actions import head_for
from experimenter.policies.network import initial_params, views
from experimenter.policies.policy import Policy, load_policy, save_policy, shape_for
from experimenter.records import JudgeSpec, Network

SEED = 12
SWITCHES = "stranger_envs:SwitchCorridor-v0"


def stored(folder, env, mode="sample"):
    """An untrained policy for an environment; returns the specification and the policy's hash."""
    spec = spec_for(env)
    made = make(spec)
    seeing, acting = made.observation_space, made.action_space
    made.close()
    pipeline, network = Pipeline.for_space(seeing, spec.family), Network(hidden=(8,))
    shape = shape_for(pipeline.size, network, head_for(acting))
    params = views(initial_params(shape, np.random.default_rng(0)), shape)
    policy = Policy(pipeline, None, network, params, space_to_json(seeing), space_to_json(acting), mode)
    return spec, save_policy(folder, policy)


@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1", "MiniGrid-Empty-5x5-v0"])
def test_it_is_the_episode_that_the_judge_plays(tmp_path, env):
    spec, hash_ = stored(tmp_path, env)
    found = film(tmp_path, hash_, spec, SEED, None, max_frames=20, size=64)
    judged = evaluate(load_policy(tmp_path, hash_), spec, [3, SEED, 5], JudgeSpec())
    assert (found.native_return, found.length) == (judged.scores[1], judged.lengths[1])
    assert found.frames.dtype == np.uint8 and found.frames.shape[3] == 3
    assert 2 <= len(found.frames) == len(found.captions) <= 20
    assert max(found.frames.shape[1:3]) <= 64
    assert found.captions[0].startswith("step 0 ")
    assert found.captions[-1].startswith(f"step {found.length:,} ")


def test_pictures_move_and_the_same_seed_gives_the_same_film(tmp_path):
    spec, hash_ = stored(tmp_path, "CartPole-v1")
    first, second = (film(tmp_path, hash_, spec, SEED, "greedy", size=120) for _ in range(2))
    assert (first.frames == second.frames).all()
    assert (first.frames[0] != first.frames[-1]).any()


def test_a_long_episode_is_thinned_to_its_whole_length(tmp_path):
    spec, hash_ = stored(tmp_path, "Pendulum-v1")
    found = film(tmp_path, hash_, spec, SEED, None, max_frames=7, size=32)
    steps = [int(caption.split()[1]) for caption in found.captions]
    assert found.length == 200 == steps[-1] and len(steps) <= 7
    gaps = np.diff(steps)
    assert set(gaps[:-1]) == {gaps[0]} and 0 < gaps[-1] <= gaps[0]
    assert found.speed > 1


def test_success_is_the_judges(tmp_path):
    spec, hash_ = stored(tmp_path, "CartPole-v1")
    declared = JudgeSpec(kind="length_at_least", threshold=1, declared_by="goal", words="any step")
    assert film(tmp_path, hash_, spec, SEED, None, size=32, judge=declared).success is True
    assert film(tmp_path, hash_, spec, SEED, None, size=32).success is None


def test_a_gif_shows_every_frame_and_keeps_to_its_limit(tmp_path):
    rng = np.random.default_rng(0)
    still = np.full((12, 40, 60, 3), 200, np.uint8)
    still[:, :, :, 0] = np.arange(12)[:, None, None] * 20
    plain = Film(still, 25.0, 1.0, None, ("",) * 12)
    with Image.open(io.BytesIO(gif_bytes(plain))) as picture:
        assert picture.n_frames == 12 and picture.size == (60, 40)
        picture.seek(11)
        assert abs(np.asarray(picture.convert("RGB"))[0, 0].astype(int) - still[11, 0, 0]).max() <= 8
    noise = Film(rng.integers(0, 256, (30, 90, 90, 3), dtype=np.uint8), 25.0, 0.0, None, ("",) * 30)
    assert len(gif_bytes(noise, limit=60_000)) <= 60_000 < len(gif_bytes(noise))


def test_an_environment_without_pictures_is_named_and_told_in_words(tmp_path):
    spec, hash_ = stored(tmp_path, SWITCHES)
    with pytest.raises(EnvironmentFault, match="cannot draw pictures"):
        film(tmp_path, hash_, spec, SEED, None)
    order = PlayOrder(policy_folder=str(tmp_path), policy_hash=hash_, environment=spec, seed=SEED)
    told = play(order, lambda _: None)
    assert len(told.lines) == told.length + 1
    assert told.lines[0].startswith("step 0: ") and ", reward " in told.lines[-1]
    judged = evaluate(load_policy(tmp_path, hash_), spec, [SEED], JudgeSpec())
    assert told.native_return == judged.mean


def test_a_film_leaves_the_worker_as_data(tmp_path):
    spec, hash_ = stored(tmp_path, "CartPole-v1")
    order = PlayOrder(
        policy_folder=str(tmp_path),
        policy_hash=hash_,
        environment=spec,
        seed=SEED,
        folder=str(tmp_path),
        size=48,
    )
    played = play(order, lambda _: None)
    assert (
        read_film(tmp_path, played).frames == film(tmp_path, hash_, spec, SEED, None, size=48).frames
    ).all()


def test_a_policy_that_is_not_the_promised_one_is_not_filmed(tmp_path):
    spec, _ = stored(tmp_path, "CartPole-v1")
    with pytest.raises(WorkspaceError):
        film(tmp_path, "0" * 32, spec, SEED, None)
