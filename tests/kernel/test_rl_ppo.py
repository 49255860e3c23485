"""Pieces of the algorithm against cases worked out by hand: bootstrapping, advantages, rollouts, shaping, schedules."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experimenter.envs.card import extract_card
from experimenter.envs.features import FeatureExtractor
from experimenter.envs.pipeline import Pipeline
from experimenter.envs.records import Feature, FeatureSource
from experimenter.envs.spaces import space_to_json
from experimenter.envs.vector import SyncVector
from experimenter.policies.actions import CategoricalHead
from experimenter.policies.network import Shape, initial_params, values, views
from experimenter.policies.policy import Policy
from experimenter.records import EnvSpec, Network, WeightedEnv
from experimenter.rl.adam import Adam, clip_norm
from experimenter.rl.defaults import default_hyperparameters, default_network
from experimenter.rl.ppo import Learner, Rollout, advantages
from experimenter.rl.rollout import Collector
from experimenter.rl.schedule import allot, next_chunk
from experimenter.rl.shaping import Shaper
from tests.kernel.rl_samples import CARTPOLE, MOUNTAIN_CAR, SMALL, job, phase

NO = np.zeros((3, 1), dtype=bool)
STEP_1 = np.array([[False], [True], [False]])


def _column(*numbers: float) -> np.ndarray:
    return np.array(numbers, dtype=np.float32)[:, None]


def test_truncation_bootstraps_and_termination_does_not() -> None:
    """Rewards 1, values 10, 20, 30, γ = .5, λ = .5; the episode ends at the second step, whose true final
    observation is worth 8. By hand: δ₂ = 1 + .5·40 − 30 = −9; cut by truncation δ₁ = 1 + .5·8 − 20 = −15, by
    termination 1 − 20 = −19; δ₀ = 1 + .5·20 − 10 = 1; A₀ = δ₀ + .25·δ₁, and nothing flows over the end."""
    reward, value, following = _column(1, 1, 1), _column(10, 20, 30), _column(20, 8, 40)
    cut = advantages(reward, value, following, NO, STEP_1, 0.5, 0.5)
    assert cut.advantage.ravel().tolist() == [1 - 0.25 * 15, -15, -9]
    ended = advantages(reward, value, following, STEP_1, NO, 0.5, 0.5)
    assert ended.advantage.ravel().tolist() == [1 - 0.25 * 19, -19, -9]
    assert ended.target.ravel().tolist() == [10 + 1 - 0.25 * 19, 1, 21]
    on = advantages(reward, value, following, NO, NO, 0.5, 0.5)
    assert on.advantage.ravel().tolist() == [1 + 0.25 * (-15 - 0.25 * 9), -15 - 0.25 * 9, -9]


def test_next_values_are_of_the_true_final_observation() -> None:
    shape = Shape(2, (4,), 3, False)
    flat = initial_params(shape, np.random.default_rng(0))
    learner = Learner(shape, CategoricalHead([3], [0], single=True), flat)
    rng = np.random.default_rng(1)
    obs, final, last = (rng.standard_normal(s).astype(np.float32) for s in ((3, 1, 2), (1, 2), (1, 2)))
    rollout = Rollout(
        obs,
        np.zeros((3, 1, 1), np.int64),
        _column(0, 0, 0),
        NO,
        STEP_1,
        final,
        (np.array([1]), np.array([0])),
        last,
    )
    params = views(flat, shape)
    own = values(params, shape, obs[:, 0])
    found = learner.next_values(rollout, own[:, None]).ravel()
    expected = [own[1], values(params, shape, final)[0], values(params, shape, last)[0]]
    assert found == pytest.approx(expected, rel=1e-5)


def _policy(spec: EnvSpec) -> tuple[SyncVector, Policy]:
    vector = SyncVector(spec, 3)
    spaces = space_to_json(vector.observation_space), space_to_json(vector.action_space)
    policy = Policy(Pipeline.for_space(vector.observation_space), None, Network(hidden=(8,)), {}, *spaces)
    policy.params = views(initial_params(policy.shape, np.random.default_rng(0)), policy.shape)
    return vector, policy


def test_rollouts_hold_true_transitions() -> None:
    """MountainCar ends by its time limit after 200 steps: the final observation follows from the one before."""
    vector, policy = _policy(MOUNTAIN_CAR)
    collector = Collector(vector, policy)
    collector.reset((1, 2, 3))
    e = collector.collect(450, np.random.default_rng(0))
    assert np.flatnonzero(e.truncated[:, 0]).tolist() == [199, 399] and not e.terminated.any()
    assert e.elapsed[[0, 199, 200, 449], 0].tolist() == [0, 199, 0, 49]
    assert isinstance(e.obs_raw, np.ndarray) and isinstance(e.next_raw, np.ndarray)
    on = ~e.truncated[:-1]
    assert np.array_equal(e.next_raw[:-1][on], e.obs_raw[1:][on])
    move = e.next_raw[..., 0] - e.obs_raw[..., 0]
    inside = e.next_raw[..., 0] > -1.2
    assert np.allclose(move[inside], e.next_raw[..., 1][inside], atol=1e-6)
    assert np.array_equal(e.final_inputs, e.next_raw[e.final_at]) and len(e.final_inputs) == 6
    vector.close()


class _Recorder:
    """A reward program of ours that shows what it was sent."""

    level = "none"

    def __init__(self, *fields: str) -> None:
        self.fields = frozenset(fields)
        self.batches: list[dict] = []

    def begin(self, batch):
        found = self.call(batch)
        return lambda: found

    def call(self, batch):
        self.batches.append(dict(batch))
        n = len(batch["elapsed"])
        return {"a": np.arange(n, dtype=np.float64), "b": np.full(n, 0.5)}


def _flag(name: str, **source) -> Feature:
    return Feature(name=name, kind="flag", source=FeatureSource(**source))


def test_a_program_is_called_once_with_the_fields_it_names() -> None:
    program = _Recorder("elapsed", "gamma", "action", "obs", "now.x", "next.ever_x")
    features = (_flag("x", index=0), _flag("ever_x", rule="ever", of="x"), _flag("y", index=1))
    vector, policy = _policy(CARTPOLE)
    collector = Collector(vector, policy)
    collector.reset((1, 2, 3))
    e = collector.collect(80, np.random.default_rng(0))
    paid = Shaper(program, features, 3, 0.9).pay(e)
    assert len(program.batches) == 1
    batch = program.batches[0]
    assert batch.keys() == program.fields and batch["gamma"] == 0.9
    assert batch["obs"].shape == (240, 4) and batch["obs"].dtype == np.float32
    assert batch["action"].shape == (240,) and batch["action"].dtype == np.int64
    assert batch["elapsed"].dtype == np.int32
    assert np.array_equal(paid.reward, np.arange(240.0).reshape(80, 3) + 0.5)
    assert isinstance(e.next_raw, np.ndarray) and isinstance(e.obs_raw, np.ndarray)
    ever = batch["next.ever_x"].reshape(80, 3)
    for i in range(3):
        highest = -np.inf
        for t in range(80):
            highest = max(0.0 if e.elapsed[t, i] == 0 else highest, e.obs_raw[t, i, 0], e.next_raw[t, i, 0])
            assert ever[t, i] == pytest.approx(highest)
    assert paid.features["y"].shape == (240,) and "ever_x" not in FeatureExtractor(features).now
    vector.close()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 900), min_size=1, max_size=4),
    st.integers(1, 3000),
    st.integers(64, 2048),
    st.integers(1, 9),
    st.integers(1, 64),
)
def test_schedules_end_and_never_overspend(steps, until, chunk_steps, num_envs, num_steps) -> None:
    hyper = SMALL.model_copy(update={"num_envs": num_envs, "num_steps": num_steps})
    design = job(Path("workspace"), *(phase(CARTPOLE, steps=s, hyper=hyper) for s in steps)).design
    at, done, total, chunks = 0, 0, 0, 0
    while (chunk := next_chunk(design, at, done, total, until, chunk_steps)) is not None:
        cost = chunk.rollouts * chunk.num_steps * num_envs
        assert chunk.phase >= at and chunk.rollouts >= 1
        done = (chunk.done if chunk.phase != at else done) + cost
        at, total, chunks = chunk.phase, total + cost, chunks + 1
        assert chunks < 10_000
    assert num_envs <= total <= max(until, num_envs)
    assert total <= max(steps[0], num_envs) + sum(steps[1:])


def test_environments_are_shared_out_by_weight() -> None:
    def some(*weights: float) -> tuple[WeightedEnv, ...]:
        return tuple(WeightedEnv(environment=EnvSpec(id=f"E{i}"), weight=w) for i, w in enumerate(weights))

    assert allot(some(1.0), 4, 0) == (0, 0, 0, 0)
    assert sorted(allot(some(3.0, 1.0), 8, 0)) == [0] * 6 + [1] * 2
    drawn = np.concatenate([allot(some(0.9, 0.1), 4, chunk) for chunk in range(500)])
    assert (drawn == 1).mean() == pytest.approx(0.1, abs=0.01)


def test_adam_follows_its_paper() -> None:
    """Two steps of the textbook form, in float64, against the flat one."""
    rng = np.random.default_rng(0)
    params, gradients = (
        rng.standard_normal(5).astype(np.float32),
        rng.standard_normal((2, 5)).astype(np.float32),
    )
    adam, ours = Adam(5), params.copy()
    m, v, theirs = np.zeros(5), np.zeros(5), params.astype(np.float64)
    for t, g in enumerate(gradients, start=1):
        adam.step(ours, g.copy(), 0.01)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g.astype(np.float64) ** 2
        theirs -= 0.01 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-5)
    assert ours == pytest.approx(theirs, abs=1e-6)


def test_gradients_are_shrunk_to_the_limit_and_no_further() -> None:
    gradient = np.array([3.0, 4.0], np.float32)
    assert clip_norm(gradient, 10.0) == 5.0 and gradient.tolist() == [3.0, 4.0]
    assert clip_norm(gradient, 0.5) == 5.0
    assert np.linalg.norm(gradient) == pytest.approx(0.5, rel=1e-4)


def test_dormant_units_are_counted() -> None:
    shape = Shape(2, (4,), 3, False)
    flat = initial_params(shape, np.random.default_rng(0))
    learner = Learner(shape, CategoricalHead([3], [0], single=True), flat)
    obs = np.random.default_rng(1).standard_normal((64, 2)).astype(np.float32)
    assert learner.dormant_share(obs) == 0.0
    views(flat, shape)["hidden.0.weight"][:, :, :2] = 0.0
    assert learner.dormant_share(obs) == 0.5


@pytest.mark.parametrize(
    ("env_id", "kind"),
    [("CartPole-v1", "plain"), ("Pendulum-v1", "continuous"), ("FrozenLake-v1", "categorical")],
)
def test_defaults_are_chosen_by_the_kind_of_task(env_id: str, kind: str) -> None:
    card = extract_card(EnvSpec(id=env_id), judge=None, steps=100)
    hyper = default_hyperparameters(card)
    assert (hyper.ent_coef == 0.0) == (kind == "continuous")
    assert hyper.normalize_observations == (kind != "categorical")
    renamed = card.model_copy(update={"spec": EnvSpec(id="Other-v9"), "title": "", "summary": ""})
    assert default_hyperparameters(renamed) == hyper and default_network(renamed) == default_network(card)
