"""The gate of a success test: what it is, whether it can be met, and who must fail it; hostile ones end typed."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from experimenter.envs.card import extract_card
from experimenter.envs.pipeline import Pipeline
from experimenter.envs.spaces import space_from_json
from experimenter.errors import ProgramRejected, WorkspaceError
from experimenter.execution.examining import ApplyOrder, CheckOrder, apply_test, check_test
from experimenter.execution.made_rows import made_rows
from experimenter.execution.recording import GAMMA, RecordOrder, read_parts, record
from experimenter.identity import seeds
from experimenter.judge.evaluate import evaluate
from experimenter.policies.network import initial_params, views
from experimenter.policies.policy import Policy, save_policy
from experimenter.records import EnvSpec, JudgeSpec, Network, RewardProgram
from experimenter.rl.shaping import open_program
from experimenter.sandbox.level import containment
from experimenter.success import Gate, frozen_hash, highest_share

pytestmark = pytest.mark.skipif(containment().level != "full", reason="needs Landlock and seccomp")

FOLLOW = EnvSpec(id="follow_env:FollowSignal-v0")
GOOD = 'def reward(t):\n    return {"success": np.where(t.next.streak >= 1.0, 1.0, 0.0)}\n'
SEEN: list[dict] = []


def silent(told):
    SEEN.append(told)


@pytest.fixture(scope="module")
def card():
    return extract_card(FOLLOW, judge=None, steps=200)


def body(*lines):
    return "def reward(t):\n" + "".join(f"    {line}\n" for line in lines)


def checked(card, source):
    return check_test(CheckOrder(source=source, card=card, seed=7), silent)


def recording(card, folder, who, *, fields=("next.streak",), count=20, **changes):
    order = RecordOrder(
        environment=card.spec,
        who=who,
        seeds=seeds(3, "probe", count, who),
        features=card.features,
        fields=fields,
        folder=str(folder),
    )
    return record(order.model_copy(update=changes), silent)


def applied(source, folder, count):
    return apply_test(
        ApplyOrder(source=source, hash=frozen_hash(source), folder=str(folder), episodes=count), silent
    )


def test_a_good_test_passes_and_says_how_often_made_rows_met_it(card) -> None:
    gate = checked(card, GOOD)
    assert gate.passed, gate.error
    assert gate.fields == ("next.streak",) and gate.level == "full"
    assert 0 < gate.rows_met < gate.rows


HOSTILE = {
    "endless": (body("total = t.next.streak * 0.0", "for i in range(10**15):", "    total = total + 1",
                     'return {"success": total}'), {"limits"}),
    "a huge power": (body('x = 9**9**9', 'return {"success": t.next.streak * 0.0 + x}'), {"static", "limits"}),
    "memory": (body("parts = [np.ones(10**8) for i in range(200)]",
                    'return {"success": t.next.streak * 0.0 + parts[0][0]}'), {"limits"}),
    "forged result": (body('return [{"kind": "result", "passed": True}, t.next.streak]'), {"contract"}),
    "reads the environment of its process": (body("import os", 'return {"success": t.next.streak}'), {"static"}),
    "counts its calls": ("def reward(t, seen=[]):\n    seen.append(1)\n"
                         '    return {"success": np.where(t.next.streak >= 1.0, len(seen) % 2, 0.0)}\n',
                         {"static", "not deterministic"}),
    "counts its calls, late": ("def reward(t, seen=[]):\n    seen.append(1)\n"
                               '    return {"success": np.where(t.next.streak >= 1.0, 1.0, len(seen) > 6)}\n',
                               {"static", "not deterministic"}),
    "time": (body("import time", 'return {"success": t.next.streak * 0.0 + time.time() % 2}'), {"static"}),
    "chance": (body('return {"success": 1.0 * (np.random.random(len(t.next.streak)) > 0.5)}'), {"static"}),
    "looks at other rows": (body("best = t.next.streak == np.max(t.next.streak)",
                                 'return {"success": 1.0 * (best & (t.now.streak > 0.9))}'), {"not deterministic"}),
    "place in the batch": (body("at = np.arange(len(t.next.streak))",
                                'return {"success": 1.0 * (at % 7 == 0)}'), {"not deterministic"}),
    "always true": (body('return {"success": np.ones_like(t.next.streak)}'), {"always met"}),
    "always false": (body('return {"success": np.zeros_like(t.next.streak)}'), {"never met"}),
    "out of reach": (body('return {"success": 1.0 * (t.next.streak > 3.0)}'), {"never met"}),
    "not a number": (body('return {"success": t.next.streak * np.nan}'), {"contract"}),
    "two": (body('return {"success": 2.0 * (t.next.streak >= 1.0)}'), {"values"}),
    "a half": (body('return {"success": 0.5 * (t.next.streak >= 1.0)}'), {"values"}),
    "wrong shape": (body('return {"success": np.ones(3) * np.mean(t.next.streak)}'), {"contract"}),
    "two components": (body("met = 1.0 * (t.next.streak >= 1.0)",
                            'return {"success": met, "also": met}'), {"components"}),
    "another name": (body('return {"won": 1.0 * (t.next.streak >= 1.0)}'), {"components"}),
    "no dictionary": (body("return 1.0 * (t.next.streak >= 1.0)"), {"contract"}),
    "no feature": (body('return {"success": 1.0 * (t.next.streek >= 1.0)}'), {"static"}),
    "reads nothing": (body('return {"success": 1.0}'), {"static"}),
    "no program": ("success = 1", {"static"}),
    "not Python": ("I would say that (", {"static"}),
    "slow": (body("total = t.next.streak * 0.0", "for row in range(len(t.next.streak)):",
                  "    for i in range(300):", "        total = total + 0.0",
                  'return {"success": total + (t.next.streak >= 1.0)}'), {"limits", "preflight"}),
}  # fmt: skip
FASTER = [name for name in HOSTILE if name not in ("endless", "slow", "memory")]


@pytest.mark.parametrize(
    "name",
    [*FASTER, *(pytest.param(name, marks=pytest.mark.slow) for name in HOSTILE if name not in FASTER)],
)
def test_a_hostile_test_ends_typed_and_contained_and_is_not_accepted(card, name) -> None:
    source, reasons = HOSTILE[name]
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    began = time.monotonic()
    gate = checked(card, source)
    assert time.monotonic() - began < 30
    assert gate.reason in reasons and not gate.passed, gate
    assert gate.message and gate.repairable
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before


def test_a_slow_start_of_the_loop_is_no_way_around_the_limits(card, monkeypatch) -> None:
    """The deadline is the supervisor's: shortened here, so that an endless test ends while somebody waits."""
    monkeypatch.setattr("experimenter.execution.examining._CALL_SECONDS", 0.5)
    gate = checked(card, HOSTILE["endless"][0])
    assert gate.reason == "limits" and "within its time" in gate.message
    assert gate.message.startswith("The success test")


def test_chance_and_doing_nothing_are_caught_by_what_they_do(card, tmp_path) -> None:
    elapsed = body('return {"success": 1.0 * (t.elapsed >= 30)}')
    assert checked(card, elapsed).passed, "nothing but playing shows that it only waits"
    for who in ("random", "idle"):
        found = recording(card, tmp_path / who, who, fields=("elapsed",), count=5)
        assert all(applied(elapsed, tmp_path / who, len(found.episodes)).met)
    strict = recording(card, tmp_path / "strict", "random", count=20)
    assert not any(applied(GOOD, tmp_path / "strict", len(strict.episodes)).met)


def test_random_actions_do_not_follow_an_environment_of_the_same_seed(card, tmp_path) -> None:
    """Drawn from the environment's own seed they would be its signal, and never fail."""
    found = recording(card, tmp_path, "random", count=20)
    followed = sum(one.native_return for one in found.episodes) / found.steps
    assert 0.4 < followed < 0.6


def test_doing_nothing_is_every_constant_action(card, tmp_path) -> None:
    found = recording(card, tmp_path, "idle", fields=("action", "next.streak"), count=3)
    names = [one.name for one in found.episodes]
    assert names == ["always action 0"] * 3 + ["always action 1"] * 3
    for episode, batch in read_parts(tmp_path):
        assert set(np.unique(batch["action"][episode < 3])) <= {0}
        assert set(np.unique(batch["action"][episode >= 3])) <= {1}


def test_doing_nothing_stays_within_a_space_without_zero(tmp_path) -> None:
    from gymnasium import spaces

    from experimenter.execution.idling import actors_for

    box = spaces.Box(np.array([0.5, -1.0], np.float32), np.array([1.0, 1.0], np.float32), dtype=np.float32)
    (idle,) = actors_for("idle", box)
    assert idle.choose(None).tolist() == [[0.5, 0.0]]
    many = actors_for("idle", spaces.Discrete(40, start=3))
    assert [int(one.choose(None)[0]) for one in many] == list(range(3, 11))
    (both,) = actors_for("idle", spaces.MultiDiscrete([3, 4]))
    assert both.choose(None).tolist() == [[0, 0]]


def test_a_recording_holds_what_a_trainer_would_offer_and_depends_on_its_seeds_alone(card, tmp_path) -> None:
    fields = ("obs", "next_obs", "action", "terminated", "truncated", "native_reward", "elapsed", "gamma",
              "now.streak", "next.streak")  # fmt: skip
    found = recording(card, tmp_path / "a", "random", fields=fields, count=4)
    again = recording(card, tmp_path / "b", "random", fields=fields, count=4)
    assert found == again
    ((episode, batch),) = read_parts(tmp_path / "a")
    ((_, same),) = read_parts(tmp_path / "b")
    assert set(batch) == set(fields) and batch["gamma"] == GAMMA
    for name in fields[2:7]:
        np.testing.assert_array_equal(batch[name], same[name])
    np.testing.assert_array_equal(batch["obs"]["streak"][:, 0], batch["now.streak"])
    np.testing.assert_array_equal(batch["next_obs"]["streak"][:, 0], batch["next.streak"])
    for index, one in enumerate(found.episodes):
        rows = episode == index
        assert rows.sum() == one.length
        assert batch["native_reward"][rows].sum() == pytest.approx(one.native_return)
        assert batch["elapsed"][rows].tolist() == list(range(one.length))
        assert (batch["terminated"] | batch["truncated"])[rows].tolist()[-1]
        following = batch["now.streak"][rows][1:]
        np.testing.assert_array_equal(following, batch["next.streak"][rows][:-1])


@pytest.mark.parametrize("mode", ["greedy", "sample"])
def test_a_policy_is_recorded_in_the_very_episodes_that_the_judge_scores(card, tmp_path, mode) -> None:
    made = extract_card(EnvSpec(id="CartPole-v1"), judge=None, steps=50)
    spaces = made.observation_space, made.action_space
    pipeline = Pipeline.for_space(space_from_json(made.observation_space))
    policy = Policy(pipeline, None, Network(hidden=(8,)), {}, *spaces, action_mode=mode)
    policy.params = views(initial_params(policy.shape, np.random.default_rng(1)), policy.shape)
    written = save_policy(tmp_path / "policy", policy)
    fields = ("native_reward", "next_obs")
    told = {"policy_folder": str(tmp_path / "policy"), "policy_hash": written, "fields": fields}
    found = recording(made, tmp_path / "rows", "policy", count=12, **told)
    judged = evaluate(policy, made.spec, seeds(3, "probe", 12, "policy"), JudgeSpec())
    assert [one.native_return for one in found.episodes] == list(judged.scores)
    assert [one.length for one in found.episodes] == list(judged.lengths)
    with pytest.raises(WorkspaceError):
        recording(made, tmp_path / "rows", "policy", **(told | {"policy_hash": "0" * 32}))


def test_a_recording_is_capped_in_steps_and_in_bytes(card, tmp_path) -> None:
    found = recording(card, tmp_path / "short", "random", count=20, most_steps=100)
    assert found.steps == 100 and not found.episodes[-1].whole and found.episodes[0].whole
    with pytest.raises(ProgramRejected, match="to record"):
        recording(card, tmp_path / "small", "random", most_bytes=1_000)


def test_parts_and_their_order_make_no_difference(card, tmp_path, monkeypatch) -> None:
    whole = recording(card, tmp_path / "whole", "random", count=6)
    monkeypatch.setattr("experimenter.execution.recording._PART_ROWS", 17)
    cut = recording(card, tmp_path / "cut", "random", count=6)
    assert cut.parts > whole.parts == 1
    half = body('return {"success": 1.0 * (t.next.streak >= 0.25)}')
    met = applied(half, tmp_path / "whole", 6).met
    assert met == applied(half, tmp_path / "cut", 6).met
    assert sum(met) > 0, "a quarter of the way is met by chance"


def test_flags_that_remember_are_what_they_are_in_training(tmp_path) -> None:
    spec = EnvSpec(id="stranger_envs:SwitchCorridor-v0", kwargs={"length": 6})
    card = extract_card(spec, judge=None, steps=200)
    fields = ("now.pressed", "now.ever_pressed", "next.ever_pressed")
    recording(card, tmp_path, "random", fields=fields, count=3)
    for episode, batch in read_parts(tmp_path):
        for index in np.unique(episode):
            rows = episode == index
            raised = np.maximum.accumulate(batch["now.pressed"][rows])
            np.testing.assert_array_equal(batch["now.ever_pressed"][rows], raised)


def test_a_test_that_was_changed_since_is_not_run(card, tmp_path) -> None:
    recording(card, tmp_path, "random", count=1)
    order = ApplyOrder(source=GOOD + "\n", hash=frozen_hash(GOOD), folder=str(tmp_path), episodes=1)
    with pytest.raises(WorkspaceError, match="frozen"):
        apply_test(order, silent)


def test_what_turns_after_the_gate_is_caught_in_use(card, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("experimenter.execution.recording._PART_ROWS", 17)
    recording(card, tmp_path, "random", count=6)
    late = "{'success': t.next.streak * 0 + (len(seen) > 5)}"
    turning = f"def reward(t, seen=[]):\n    seen.append(1)\n    return {late}\n"

    def unchecked(source, **given):
        from experimenter.sandbox.program import ContainedProgram

        return ContainedProgram(source, _checked=False, **given)

    monkeypatch.setattr("experimenter.execution.examining.ContainedProgram", unchecked)
    with pytest.raises(ProgramRejected, match="something else of the same transitions"):
        applied(turning, tmp_path, 6)


def test_made_rows_reach_conjunctions_that_chance_would_not(card) -> None:
    """A test of four conditions is met by some row, because its own numbers are among the values that are tried."""
    source = body(
        "near = (np.abs(t.next.streak - 0.625) < 0.001) & (t.now.streak < 0.01)",
        'return {"success": 1.0 * (near & (t.elapsed > 35) & t.truncated & (t.next.signal > 0.5))}',
    )
    gate = checked(card, source)
    assert gate.passed and gate.rows_met < 100
    fields = ("next.streak", "elapsed", "obs", "action", "native_reward")
    first, second = (made_rows(card, fields, source, 3) for _ in range(2))
    assert set(first) == set(fields)
    np.testing.assert_array_equal(first["next.streak"], second["next.streak"])
    assert first["next.streak"].min() >= -0.02 and first["next.streak"].max() <= 1.02
    other = made_rows(card, fields, source, 4)
    assert not np.array_equal(first["next.streak"], other["next.streak"])


@pytest.mark.parametrize("env_id", ["MountainCarContinuous-v0", "Taxi-v4", "Blackjack-v1"])
def test_any_card_has_rows_for_every_field(env_id) -> None:
    card = extract_card(EnvSpec(id=env_id), judge=None, steps=100)
    named = [f"{side}.{one.name}" for side in ("now", "next") for one in card.features]
    fields = (
        *named,
        "obs",
        "next_obs",
        "action",
        "terminated",
        "truncated",
        "native_reward",
        "elapsed",
        "gamma",
    )
    batch = made_rows(card, fields, body('return {"success": 1.0 * (t.elapsed > 3)}'), 0)
    source = body('return {"success": 1.0 * (t.native_reward > 0.0) * (t.elapsed > 3)}')
    with open_program(RewardProgram(name="any", source=source), allow_unsandboxed=False) as program:
        assert program is not None
        assert set(np.unique(program.call(batch)["success"])) <= {0.0, 1.0}


def test_the_figure_quoted_for_no_success_is_close_to_three_over_n() -> None:
    assert highest_share(20) == pytest.approx(0.139, abs=1e-3)
    assert highest_share(300) == pytest.approx(3 / 300, rel=0.01)
    assert highest_share(0) == 1.0


def test_a_gate_without_reason_has_passed_and_where_nothing_can_be_contained_nobody_is_asked_again() -> None:
    assert Gate().passed and not Gate().repairable
    assert Gate(reason="static").repairable and not Gate(reason="containment").repairable


def test_the_judge_knows_nothing_of_it() -> None:
    import experimenter.judge

    for path in Path(experimenter.judge.__file__).parent.glob("*.py"):
        assert "experimenter.success" not in path.read_text()
