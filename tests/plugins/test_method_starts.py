"""Snapshot starts: the archive keeps what it should, replays reach the states they name, a kill changes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from experimenter.contracts import EpisodeTrace, Snapshot
from experimenter.envs.pipeline import Pipeline
from experimenter.envs.records import Feature, FeatureSource
from experimenter.envs.spaces import space_to_json
from experimenter.envs.vector import SyncVector
from experimenter.methods import apply_reward_method, method, parameters_of
from experimenter.policies.network import initial_params, views
from experimenter.policies.policy import Policy
from experimenter.records import EnvSpec, JudgeSpec, MethodUse
from experimenter.rl import ppo
from experimenter.rl.rollout import Collector
from experimenter.rl.schedule import Chunk
from experimenter.rl.shaping import Shaper
from experimenter.rl.starts import Starts
from experimenter.rl.state import TrainingState, load_newest, pack, unpack
from experimenter.rl.training import train
from tests.kernel.cards import card, number, rollouts
from tests.kernel.rl_samples import CAR_FEATURES, CARTPOLE, MOUNTAIN_CAR, SMALL, job, lasting, phase, quiet

PENDULUM = EnvSpec(id="Pendulum-v1")
CORRIDOR = EnvSpec(id="corridor_env:Corridor-v0")


def archive(**parameters):
    hook = method("snapshot-starts")
    return hook.starts(parameters_of(hook, parameters))


def episode(
    seed: int, score: float, *, length: int = 10, environment: int = 0, succeeded: bool | None = None
):
    actions = np.arange(length, dtype=np.int64) + 100 * seed
    return EpisodeTrace(environment, seed, actions, score, succeeded)


def chosen(states, draws: int = 300, environment: int = 0, progress: float = 0.0) -> list[Snapshot]:
    rng = np.random.default_rng(0)
    found = (states.choose(rng, environment, progress) for _ in range(draws))
    return [snapshot for snapshot in found if snapshot is not None]


# --- the archive ------------------------------------------------------------------------------------------------------


def test_the_best_share_is_kept_and_among_equals_the_more_recent() -> None:
    states = archive(fraction=1.0, keep=2, share=1.0)
    for seed, score in enumerate([-200.0, -150.0, -150.0, -300.0, -150.0]):
        states.ended(episode(seed, score))
    assert {snapshot.seed for snapshot in chosen(states)} == {2, 4}
    states.ended(episode(9, -500.0, succeeded=True))
    assert {snapshot.seed for snapshot in chosen(states)} == {9, 4}, "success comes before return"
    few = archive(fraction=1.0, share=0.25)
    for seed in range(8):
        few.ended(episode(seed, float(seed)))
    assert {snapshot.seed for snapshot in chosen(few)} == {6, 7}


def test_environments_of_a_mixture_are_kept_apart() -> None:
    states = archive(fraction=1.0)
    states.ended(episode(1, 5.0, environment=0))
    states.ended(episode(2, -5.0, environment=1))
    assert {snapshot.seed for snapshot in chosen(states, environment=1)} == {2}
    assert chosen(states, environment=2) == []


def test_snapshots_become_rarer_and_end() -> None:
    states = archive(fraction=0.8, until=0.5)
    assert chosen(states) == [], "nothing has been learned from yet"
    states.ended(episode(1, 1.0))
    shares = [len(chosen(states, 2000, progress=progress)) / 2000 for progress in (0.0, 0.25, 0.4, 0.5, 1.0)]
    assert shares[0] == pytest.approx(0.72, abs=0.05), "a tenth of the cuts is the beginning itself"
    assert shares[0] > shares[1] > shares[2] > 0.0 and shares[3:] == [0.0, 0.0]


def test_cuts_lie_along_the_episode_and_never_at_its_end() -> None:
    states = archive(fraction=1.0)
    states.ended(episode(3, 1.0, length=50))
    lengths = {len(snapshot.actions) for snapshot in chosen(states, 3000)}
    assert lengths == set(range(1, 50))
    assert all(np.array_equal(s.actions, 300 + np.arange(len(s.actions))) for s in chosen(states))
    backward = archive(fraction=1.0, along="backward", until=1.0, longest=30)
    backward.ended(episode(3, 1.0, length=50))
    early, late = ([len(s.actions) for s in chosen(backward, progress=p)] for p in (0.0, 0.6))
    assert set(early) == {30}, "its longest replay"
    assert max(late) < 21 and min(late) >= 7


def test_a_snapshot_that_does_not_repeat_is_forgotten() -> None:
    states = archive(fraction=1.0, share=1.0)
    for seed in (1, 1, 2):
        states.ended(episode(seed, 1.0))
    states.drop(Snapshot(0, 1, np.arange(3)))
    assert {snapshot.seed for snapshot in chosen(states)} == {2}


@pytest.mark.parametrize("actions", [np.arange(6), np.linspace(-1, 1, 6, dtype=np.float32).reshape(3, 2)])
def test_an_archive_is_plain_data_and_comes_back_whole(actions) -> None:
    states, again = archive(fraction=1.0), archive(fraction=1.0)
    states.ended(EpisodeTrace(1, 7, actions, 0.1, True))
    states.ended(EpisodeTrace(0, 8, actions, -0.1, None))
    told = json.loads(json.dumps(states.state()))
    again.restore(told)
    assert again.state() == told
    for one, two in zip(chosen(states, environment=1), chosen(again, environment=1), strict=True):
        assert np.array_equal(one.actions, two.actions) and one.actions.dtype == two.actions.dtype


# --- replays ----------------------------------------------------------------------------------------------------------


class Scripted:
    """Start states that always give the same snapshot, and write down what they hear."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot: Snapshot | None = snapshot
        self.heard: list[EpisodeTrace] = []

    def ended(self, episode: EpisodeTrace) -> None:
        self.heard.append(episode)

    def choose(self, rng: np.random.Generator, environment: int, progress: float) -> Snapshot | None:
        return self.snapshot

    def drop(self, snapshot: Snapshot) -> None:
        self.snapshot = None

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: Any) -> None:
        raise AssertionError("nothing was stored")


def begun(
    tmp_path: Path, spec: EnvSpec, states, *, rollouts_planned: int = 50, features=CAR_FEATURES, steps=32
):
    """A collector of four environments whose first episodes have begun."""
    hyper = SMALL.model_copy(update={"num_steps": steps})
    whole = job(tmp_path, phase(spec, steps=100_000, hyper=hyper), environment=spec, features=features)
    vector = SyncVector(spec, 4)
    spaces = space_to_json(vector.observation_space), space_to_json(vector.action_space)
    policy = Policy(Pipeline.for_space(vector.observation_space), None, whole.design.network, {}, *spaces)
    policy.params = views(initial_params(policy.shape, np.random.default_rng(0)), policy.shape)
    starts = Starts(whole, 0, states)
    starts.attach(vector, (0, 0, 0, 0))
    blank = np.zeros(1, dtype=np.float32)
    starts.enter(
        Chunk(0, 0, rollouts_planned, steps),
        TrainingState(blank, blank, blank, 0, None, np.zeros(1, dtype=np.int64)),
    )
    collector = Collector(vector, policy, starts)
    collector.reset((1, 2, 3, 4))
    return collector, starts, hyper


def reached(spec: EnvSpec, snapshot: Snapshot) -> tuple[np.ndarray, float]:
    """The state and the return that Gymnasium itself comes to."""
    env = gymnasium.make(spec.id)
    obs, _ = env.reset(seed=snapshot.seed)
    total = 0.0
    for action in snapshot.actions:
        obs, reward, *_ = env.step(action)
        total += float(reward)
    return obs, total


@pytest.mark.parametrize(
    ("spec", "actions"),
    [
        (MOUNTAIN_CAR, np.random.default_rng(1).integers(0, 3, 60)),
        (PENDULUM, np.random.default_rng(1).uniform(-2, 2, (60, 1)).astype(np.float32)),
    ],
)
def test_a_replay_reaches_the_state_and_the_time_goes_on(tmp_path: Path, spec: EnvSpec, actions) -> None:
    states = Scripted(Snapshot(0, 77, actions))
    collector, _, _ = begun(tmp_path, spec, states)
    there, earned = reached(spec, states.snapshot)
    experience = collector.collect(150, np.random.default_rng(0))
    assert np.allclose(experience.obs_raw[0], there) and (experience.elapsed[0] == 60).all()
    ends = np.flatnonzero(experience.done[:, 0])
    assert ends[0] == 139, "200 steps in all, 60 of which were replayed"
    assert np.allclose(experience.obs_raw[140], there), "the next episode begins there, too"
    assert experience.replays.steps == 8 * 60 and experience.env_steps == 4 * 150 + 8 * 60
    trace = states.heard[0]
    assert trace.seed == 77 and len(trace.actions) == 200 and np.array_equal(trace.actions[:60], actions)
    assert trace.native_return == pytest.approx(earned + experience.native[:140, 0].sum())
    again, total = reached(spec, Snapshot(0, trace.seed, trace.actions))
    assert np.allclose(again, experience.next_raw[139, 0]) and total == pytest.approx(trace.native_return)


def test_every_episode_can_be_repeated_from_its_trace(tmp_path: Path) -> None:
    """Ordinary starts as well, so that any of them can become a snapshot."""
    states = Scripted(Snapshot(0, 0, np.zeros(0, dtype=np.int64)))
    collector, _, _ = begun(tmp_path, CARTPOLE, states, features=())
    collector.collect(200, np.random.default_rng(0))
    assert len(states.heard) > 10 and len({trace.seed for trace in states.heard}) == len(states.heard)
    for trace in states.heard:
        env = gymnasium.make("CartPole-v1")
        env.reset(seed=trace.seed)
        flags = [env.step(int(action))[2] for action in trace.actions]
        assert flags[-1] and not any(flags[:-1]) and trace.native_return == len(flags)


def test_a_replay_that_ends_on_the_way_is_dropped(tmp_path: Path) -> None:
    states = Scripted(Snapshot(0, 77, np.zeros(250, dtype=np.int64)))
    collector, _, _ = begun(tmp_path, MOUNTAIN_CAR, states)
    assert states.snapshot is None
    experience = collector.collect(10, np.random.default_rng(0))
    assert (experience.elapsed[0] == 0).all() and experience.replays.steps == 200, "what was tried is counted"


def test_replays_never_cost_more_than_the_chunk_was_planned_for(tmp_path: Path) -> None:
    states = Scripted(Snapshot(0, 77, np.random.default_rng(1).integers(0, 3, 150)))
    collector, starts, hyper = begun(tmp_path, MOUNTAIN_CAR, states, rollouts_planned=20)
    spent = collected = 0
    while collected == 0 or starts.room():
        experience = collector.collect(hyper.num_steps, np.random.default_rng(collected))
        spent, collected = spent + experience.env_steps, collected + 1
    assert collected < 20 and 20 * hyper.rollout - hyper.rollout < spent <= 20 * hyper.rollout
    only, _, _ = begun(tmp_path, MOUNTAIN_CAR, Scripted(states.snapshot), rollouts_planned=1)
    assert only.collect(hyper.num_steps, np.random.default_rng(0)).replays.steps == 0


def test_flags_remember_what_happened_during_a_replay(tmp_path: Path) -> None:
    """The car swings up before the snapshot and is back in the valley at it."""
    flag = Feature(name="up", kind="flag", low=0, high=1, source=FeatureSource(index=0))
    memory = Feature(name="ever_up", kind="flag", source=FeatureSource(rule="ever", of="up"))
    actions = np.concatenate([np.zeros(40, dtype=np.int64), np.full(42, 2), np.zeros(35, dtype=np.int64)])
    states = Scripted(Snapshot(0, 77, actions))
    features = (*CAR_FEATURES, flag, memory)
    collector, _, _ = begun(tmp_path, MOUNTAIN_CAR, states, features=features, steps=48)
    highest = max(reached(MOUNTAIN_CAR, Snapshot(0, 77, actions[:n]))[0][0] for n in range(len(actions) + 1))

    class Program:
        fields, level = frozenset({"now.up", "now.ever_up", "next.ever_up"}), "none"

        def begin(self, batch):
            found = self.call(batch)
            return lambda: found

        def call(self, batch):
            return {name.replace(".", "_"): np.asarray(batch[name], dtype=float) for name in self.fields}

    shaper, up, ever, after = Shaper(Program(), features, 4, 0.99), [], [], []
    for i in range(8):
        paid = shaper.pay(collector.collect(48, np.random.default_rng(i))).components
        up.append(paid["now_up"]), ever.append(paid["now_ever_up"]), after.append(paid["next_ever_up"])
    up, ever, after = (np.concatenate(parts) for parts in (up, ever, after))
    assert up[0, 0] < highest - 0.05, "it came down again"
    assert ever[0] == pytest.approx(highest, abs=1e-6) and (ever >= np.float32(highest) - 1e-6).all()
    assert (after >= ever).all() and (ever >= up).all() and up[0, 0] == pytest.approx(up[83, 0], abs=1e-6)


# --- trainings --------------------------------------------------------------------------------------------------------

USE = MethodUse(name="snapshot-starts", parameters={"fraction": 0.9, "until": 1.0, "share": 1.0})


def snapshots(folder: Path, spec: EnvSpec = CARTPOLE, steps: int = 4096, **changes):
    whole = phase(spec, steps=steps).model_copy(update={"methods": (USE,)})
    return job(folder, whole, environment=spec, **{"chunk_steps": 1024, **changes})


def test_replayed_steps_are_paid_from_the_same_budget(tmp_path: Path) -> None:
    with_it, without = (
        snapshots(tmp_path / "a"),
        job(tmp_path / "b", phase(CARTPOLE, steps=4096), chunk_steps=1024),
    )
    training, plain = train(with_it, quiet), train(without, quiet)
    assert 4096 - 128 < training.env_steps == training.steps <= 4096 == plain.env_steps
    lines = [(Path(j.folder) / "metrics.jsonl").read_text().splitlines() for j in (with_it, without)]
    assert len(lines[0]) < len(lines[1]) == 32, "fewer rollouts to learn from"
    state = load_newest(Path(with_it.folder))
    assert state is not None and state.starts is not None and state.starts["best"]


class _Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("spec", [CARTPOLE, PENDULUM], ids=["discrete", "continuous"])
def test_killed_and_resumed_it_ends_the_same(tmp_path: Path, spec: EnvSpec) -> None:
    expected = train(snapshots(tmp_path / "a", spec), quiet)
    killed = snapshots(tmp_path / "b", spec)
    for more in (900, 1300, 700):
        begun_at: list[int] = []

        def kill(data: dict, until=more, began=begun_at) -> None:
            began.append(data["steps"])
            if data["steps"] >= began[0] + until:
                raise _Killed

        with pytest.raises(_Killed):
            train(killed, kill)
    found = train(killed, quiet)
    assert lasting(found) == lasting(expected) and found.wasted_env_steps > 0
    assert lasting(train(snapshots(tmp_path / "c", spec, seed=12), quiet)) != lasting(expected)


def test_a_longer_training_goes_on_from_a_shorter_one(tmp_path: Path) -> None:
    at_once = train(snapshots(tmp_path / "a"), quiet)
    half = snapshots(tmp_path / "b", until=2048)
    assert 1920 < train(half, quiet).steps <= 2048
    assert lasting(train(half.model_copy(update={"until": 4096}), quiet)) == lasting(at_once)


def test_a_roll_back_forgets_what_it_threw_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    updates, update = [0], ppo.Learner.update

    def spoilt(self, rollout, hyper, rate, rng):
        stats = update(self, rollout, hyper, rate, rng)
        updates[0] += 1
        return ppo.UpdateStats(*(float("nan"),) * 7, finite=False) if updates[0] == 9 else stats

    monkeypatch.setattr(ppo.Learner, "update", spoilt)
    training = train(snapshots(tmp_path), quiet)
    assert training.status == "finished" and training.steps < training.env_steps <= 4096


def test_each_phase_begins_with_an_empty_archive(tmp_path: Path) -> None:
    two = [
        phase(spec, steps=1024).model_copy(update={"methods": uses})
        for spec, uses in ((CARTPOLE, (USE,)), (CARTPOLE, ()))
    ]
    whole = job(tmp_path, *two)
    assert train(whole, quiet).status == "finished"
    state = load_newest(Path(whole.folder))
    assert state is not None and state.starts is None


def test_checkpoints_without_an_archive_are_what_they_were(tmp_path: Path) -> None:
    plain = job(tmp_path, phase(CARTPOLE, steps=512))
    train(plain, quiet)
    state = load_newest(Path(plain.folder))
    assert state is not None and state.starts is None and b'"starts"' not in pack(state)
    state.starts = {"seen": [[0, 3]], "best": []}
    again = unpack(pack(state))
    assert again is not None and again.starts == state.starts


def test_success_is_heard_by_the_judges_own_measure(tmp_path: Path) -> None:
    lasts = JudgeSpec(kind="length_at_least", threshold=30)
    whole = snapshots(tmp_path, judge=lasts)
    train(whole, quiet)
    state = load_newest(Path(whole.folder))
    assert state is not None and state.starts is not None
    best = state.starts["best"]
    assert all(one["succeeded"] == (len(one["actions"]) >= 30) for one in best)
    assert [one["succeeded"] for one in best] == sorted((one["succeeded"] for one in best), reverse=True)


def test_shaping_learns_what_random_steps_never_meet(tmp_path: Path) -> None:
    """Thirty steps in one direction: without a potential never once, with one at every validation seed."""
    place = number("place", 0, (0.0, 1.0), (0.0, 0.3))
    corridor = card(CORRIDOR.id, [place], rollouts(0.0, low=0.0, high=0.0, length=100.0), limit=100)
    shaping = apply_reward_method(
        "potential-shaping", [], corridor, {"potential": "high(place)", "scale": 30.0}
    )
    scores = []
    for name, reward in (("with", shaping), ("without", None)):
        whole = phase(CORRIDOR, steps=8192, reward=reward)
        learning = job(
            tmp_path / name, whole, environment=CORRIDOR, features=corridor.features, chunk_steps=2048
        )
        scores.append(train(learning, quiet).curve[-1].true_return)
    assert scores == [1.0, 0.0]
