"""The judge against plain loops, against itself under other batchings, and against environments that misbehave."""

from __future__ import annotations

import json
import subprocess
import sys

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from experimenter.envs.families import family
from experimenter.envs.make import make, spec_for
from experimenter.envs.pipeline import Pipeline
from experimenter.envs.spaces import leaves, space_to_json
from experimenter.errors import EnvironmentFault, UsageError, WorkspaceError
from experimenter.judge.evaluate import evaluate
from experimenter.judge.job import judge_job
from experimenter.judge.seat import Seat
from experimenter.policies.actions import head_for
from experimenter.policies.network import initial_params, views
from experimenter.policies.policy import Policy, save_policy, shape_for
from experimenter.records import EnvSpec, Evaluation, JudgeSpec, Network

NOTHING = JudgeSpec()
SEEDS = tuple(range(100, 123))


class Line(gymnasium.Env):
    """A walk that ends after a random number of steps, and breaks the API in one chosen way at its third step."""

    action_space = spaces.Discrete(2)

    def __init__(self, fault: str = "", endless: bool = False, form: str = "box", where: int = 3):
        self.fault, self.endless, self.form, self.where = fault, endless, form, where
        box = spaces.Box(-np.inf, np.inf, (2,), np.float64)
        nested = spaces.Dict(
            {"here": box, "words": spaces.Text(5), "more": spaces.Tuple([spaces.Discrete(4)])}
        )
        self.observation_space = nested if form == "dict" else box

    def _observe(self):
        here = np.array([self.position, float(self.count)])
        return {"here": here, "words": "go", "more": (self.count % 4,)} if self.form == "dict" else here

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if self.fault == "raises at reset":
            raise RuntimeError("the door is stuck")
        self.position, self.count = float(self.np_random.normal()), 0
        self.length = int(self.np_random.integers(4, 40))
        return self._observe(), {}

    def step(self, action):
        self.count += 1
        self.position += (0.5 if action else -0.5) + float(self.np_random.normal())
        ended = not self.endless and self.count >= self.length
        early = self.count == 2 and self.position > 0
        info = {"is_success": early, "subtasks": {"early": early}}
        step = [self._observe(), self.position, ended, False, info]
        if self.count == self.where:
            self._break(step)
        return tuple(step)

    def _break(self, step):
        match self.fault:
            case "raises":
                raise ZeroDivisionError("no way on")
            case "nan reward":
                step[1] = float("nan")
            case "text reward":
                step[1] = "a lot"
            case "nan observation":
                step[0] = np.array([np.nan, 0.0])
            case "wrong shape":
                step[0] = np.zeros(3)
            case "words for an observation":
                step[0] = np.array(["a", "b"])
            case "flag is a number":
                step[2] = 0
            case "no dictionary":
                step[4] = None
            case "four values":
                step.pop()
            case "success is a word":
                step[4] = {"is_success": "yes"}


gymnasium.register("JudgeLine-v0", Line)
gymnasium.register("JudgeLineLimited-v0", Line, max_episode_steps=12)


def a_policy(spec: EnvSpec, seed: int = 0, mode: str = "greedy") -> Policy:
    """Random weights with a strong actor head, so that its actions depend on what it sees."""
    env = make(spec)
    network = Network(hidden=(16, 16))
    pipeline = Pipeline.for_space(env.observation_space)
    shape = shape_for(pipeline.size, network, head_for(env.action_space))
    flat = initial_params(shape, np.random.default_rng(seed))
    params = views(flat, shape)
    params["actor.weight"] *= 100.0
    forms = space_to_json(env.observation_space), space_to_json(env.action_space)
    env.close()
    return Policy(pipeline, None, network, params, *forms, action_mode=mode)


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1", "JudgeLine-v0"])
@pytest.mark.parametrize("mode", ["greedy", "sample"])
def test_a_seeds_result_does_not_depend_on_how_episodes_are_batched(env_id, mode):
    spec = spec_for(env_id, {})
    policy = a_policy(spec)
    whole = evaluate(policy, spec, SEEDS, NOTHING, mode)
    by_seed = dict(zip(whole.seeds, whole.scores, strict=True))
    shuffled = tuple(np.random.default_rng(1).permutation(SEEDS).tolist())
    for seeds, seats in ((SEEDS, 1), (SEEDS, 5), (shuffled, 16), (SEEDS[3:4], 16), (SEEDS[::-1], 3)):
        again = evaluate(policy, spec, seeds, NOTHING, mode, seats=seats)
        assert again.scores == tuple(by_seed[s] for s in seeds)


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Acrobot-v1"])
def test_scores_are_the_undiscounted_native_returns_of_a_plain_loop(env_id):
    spec = spec_for(env_id, {})
    policy = a_policy(spec, seed=3)
    expected = []
    for seed in SEEDS[:4]:
        env = gymnasium.make(env_id)
        observation, _ = env.reset(seed=seed)
        total, ended = 0.0, False
        while not ended:
            action = policy.act(observation[None], "greedy", np.random.default_rng(0))[0]
            observation, reward, terminated, truncated, _ = env.step(action)
            total, ended = total + float(reward), terminated or truncated
        expected.append(total)
    assert evaluate(policy, spec, SEEDS[:4], NOTHING).scores == tuple(expected)


def test_an_evaluation_counts_what_it_played_and_says_how():
    spec = spec_for("CartPole-v1", {})
    heard = []
    found = evaluate(
        a_policy(spec, mode="sample"), spec, SEEDS, NOTHING, progress=heard.append, policy_hash="abc"
    )
    assert found.lengths == tuple(int(s) for s in found.scores)
    assert found.eval_steps == sum(found.lengths) == heard[-1]["steps"]
    assert found.mean == pytest.approx(np.mean(found.scores))
    assert (found.policy, found.judge, found.action_mode) == ("abc", NOTHING.words, "sample")
    assert found.success_rate is None and found.subtasks == {}
    episodes = [h["episodes"] for h in heard]
    assert episodes == sorted(episodes) and episodes[-1] == len(SEEDS) == heard[0]["of"]


def test_the_stored_action_mode_applies_unless_one_is_named():
    spec = spec_for("CartPole-v1", {})
    greedy, sampling = a_policy(spec), a_policy(spec, mode="sample")
    assert evaluate(greedy, spec, SEEDS, NOTHING).scores != evaluate(sampling, spec, SEEDS, NOTHING).scores
    named = evaluate(greedy, spec, SEEDS, NOTHING, "sample")
    assert named.scores == evaluate(sampling, spec, SEEDS, NOTHING).scores and named.action_mode == "sample"


def test_success_by_return_by_length_and_by_an_info_key_at_any_step():
    spec = spec_for("JudgeLine-v0", {})
    policy = a_policy(spec)

    def judged(**words):
        return evaluate(policy, spec, SEEDS, JudgeSpec(**words))

    plain = judged()
    by_return = judged(kind="return_at_least", threshold=plain.scores[0])
    assert by_return.success_rate == pytest.approx(np.mean(np.array(plain.scores) >= plain.scores[0]))
    by_length = judged(kind="length_at_least", threshold=plain.lengths[0])
    assert by_length.success_rate == pytest.approx(np.mean(np.array(plain.lengths) >= plain.lengths[0]))
    by_key = judged(kind="info", key="is_success")
    assert 0 < by_key.success_rate < 1
    assert judged(kind="info", key="never said").success_rate == 0.0
    assert judged(kind="family").success_rate is None


def test_subtasks_are_counted_when_reached_at_any_step():
    spec = spec_for("JudgeLine-v0", {})
    found = evaluate(a_policy(spec), spec, SEEDS, JudgeSpec(kind="info", key="is_success"))
    assert set(found.subtasks) == {"early"} and set(found.subtasks["early"]) == {0.0, 1.0}
    assert np.mean(found.subtasks["early"]) == pytest.approx(found.success_rate)


def test_a_family_declares_success_and_subtasks():
    pytest.importorskip("minigrid")
    spec = spec_for("MiniGrid-DoorKey-5x5-v0", {})
    found = evaluate(a_policy(spec), spec, SEEDS[:6], JudgeSpec(kind="family"), "sample")
    assert found.success_rate == pytest.approx(np.mean([s > 0 for s in found.scores]))
    assert {"key_picked_up", "door_opened"} <= set(found.subtasks)


def test_dictionaries_tuples_and_text_are_batched_as_in_training():
    spec = spec_for("JudgeLine-v0", {"form": "dict"})
    assert evaluate(a_policy(spec), spec, SEEDS, NOTHING).eval_steps > len(SEEDS)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("raises at reset", "the door is stuck"),
        ("raises", "no way on"),
        ("nan reward", "not one finite number"),
        ("text reward", "a lot"),
        ("nan observation", "NaN"),
        ("wrong shape", "shape (3,)"),
        ("words for an observation", "dtype <U1"),
        ("flag is a number", "terminated"),
        ("no dictionary", "info"),
        ("four values", "step"),
        ("success is a word", "is_success"),
    ],
)
def test_a_faulty_environment_is_named_with_seed_and_step(fault, words):
    sound = spec_for("JudgeLine-v0", {})
    with pytest.raises(EnvironmentFault) as caught:
        evaluate(
            a_policy(sound),
            sound.model_copy(update={"kwargs": {"fault": fault}}),
            SEEDS,
            JudgeSpec(kind="info", key="is_success"),
        )
    message = str(caught.value)
    assert (
        words in message and "JudgeLine-v0" in message and f"seed {SEEDS[0]}" in message and caught.value.hint
    )
    assert ("reset" if "reset" in fault else "step 3") in message


def test_an_endless_environment_is_cut_where_it_declares_no_limit():
    spec = spec_for("JudgeLine-v0", {"endless": True})
    assert evaluate(a_policy(spec), spec, SEEDS[:1], NOTHING).lengths == (10_000,)


def test_an_environment_that_overruns_its_own_limit_is_at_fault():
    spec = spec_for("JudgeLineLimited-v0", {"endless": True})
    env = make(spec).unwrapped
    env.spec = gymnasium.spec(spec.id)
    seat = Seat(env, spec, NOTHING, family(spec.family), leaves(env.observation_space))
    seat.start(7)
    for _ in range(11):
        seat.step(0)
    with pytest.raises(EnvironmentFault, match=r"seed 7 within 12 steps .*max_episode_steps"):
        seat.step(0)


def test_a_declared_limit_ends_episodes_by_truncation():
    spec = spec_for("JudgeLineLimited-v0", {"endless": True})
    assert evaluate(a_policy(spec), spec, SEEDS, NOTHING).lengths == (12,) * len(SEEDS)


def test_a_policy_is_not_judged_on_other_spaces():
    cart, line = spec_for("CartPole-v1", {}), spec_for("JudgeLine-v0", {})
    with pytest.raises(EnvironmentFault, match="other observations"):
        evaluate(a_policy(cart), line, SEEDS, NOTHING)


def test_no_seeds_is_a_usage_error():
    spec = spec_for("CartPole-v1", {})
    with pytest.raises(UsageError):
        evaluate(a_policy(spec), spec, (), NOTHING)


def a_payload(tmp_path, **changes):
    spec = spec_for("CartPole-v1", {})
    stored = save_policy(tmp_path / "policy", a_policy(spec, mode="sample"))
    payload = {
        "policy_folder": str(tmp_path / "policy"),
        "policy_hash": stored,
        "environment": spec.model_dump(mode="json"),
        "seeds": list(SEEDS[:3]),
        "judge": JudgeSpec(kind="return_at_least", threshold=10).model_dump(mode="json"),
    }
    return {**payload, **changes}


def test_the_job_judges_the_stored_policy_and_answers_in_json(tmp_path):
    payload = a_payload(tmp_path)
    value = json.loads(json.dumps(judge_job(json.loads(json.dumps(payload)), lambda _: None)))
    found = Evaluation.model_validate(value)
    spec = spec_for("CartPole-v1", {})
    assert found.scores == evaluate(a_policy(spec, mode="sample"), spec, SEEDS[:3], NOTHING).scores
    assert (found.policy, found.action_mode) == (payload["policy_hash"], "sample")


@pytest.mark.parametrize("damage", ["hash", "weights", "missing"])
def test_the_job_refuses_a_policy_that_is_not_the_promised_one(tmp_path, damage):
    payload = a_payload(tmp_path, **({"policy_hash": "0" * 32} if damage == "hash" else {}))
    weights = tmp_path / "policy" / "policy.safetensors"
    if damage == "weights":
        data = bytearray(weights.read_bytes())
        data[-1] ^= 1
        weights.write_bytes(bytes(data))
    if damage == "missing":
        weights.unlink()
    with pytest.raises(WorkspaceError):
        judge_job(payload, lambda _: None)


def test_the_judges_process_loads_no_planner_no_trainer_no_sandbox_no_torch(tmp_path):
    code = (
        "import json, sys; from experimenter.judge.job import judge_job; "
        "judge_job(json.load(sys.stdin), lambda _: None); print('\\n'.join(sys.modules))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(a_payload(tmp_path)),
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = answer.stdout.split()
    assert "experimenter.judge.evaluate" in loaded and "torch" not in loaded
    forbidden = ("sandbox", "planners", "rl", "loop")
    assert not [m for m in loaded for f in forbidden if m.startswith(f"experimenter.{f}")]
