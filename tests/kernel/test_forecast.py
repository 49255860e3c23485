"""The forecast before a run: its steps add up, its ranges hold what a real run takes, and nothing is decided by it."""

from __future__ import annotations

from typing import Any

import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st

from experimenter.api import Experimenter
from experimenter.budget import Forecast
from experimenter.config import Settings
from experimenter.envs.records import EnvCard, RandomRollouts
from experimenter.envs.spaces import space_to_json
from experimenter.errors import BudgetError
from experimenter.loop.assemble import open_context
from experimenter.loop.forecast import batches, cases, forecast, judged_steps
from experimenter.loop.nodes.conclude import finish
from experimenter.loop.nodes.confirm import confirmation_documents
from experimenter.loop.pace import pace_of, update_seconds
from experimenter.loop.plan import Plan, make_plan
from experimenter.records import Arm, Budget, EnvSpec, Hyperparameters
from experimenter.results import RunResult
from experimenter.rl.validation import CHALLENGE_SHARE, SHARE, Validator
from experimenter.workspace.store import Workspace

TINY = {
    "budget_steps": 12_000,
    "confirm_seeds": 2,
    "designs": 2,
    "eval_episodes": 4,
    "card_steps": 400,
    "chunk_steps": 1024,
    "workers": 2,
    "memory": "off",
    "controls": "native",
}


def card(rate: float = 10_000.0, **changes: Any) -> EnvCard:
    rollouts = RandomRollouts(
        episodes=10,
        steps=500,
        reward_min=0,
        reward_mean=1,
        reward_max=1,
        reward_distinct=2,
        nonzero_share=1,
        return_mean=20,
        return_std=1,
        length_mean=20,
        length_max=60,
        terminated_share=1,
        steps_per_second=rate,
    )
    plain: dict[str, Any] = {
        "spec": EnvSpec(id="Any-v0"),
        "observation_space": space_to_json(spaces.Box(-1.0, 1.0, (4,))),
        "action_space": space_to_json(spaces.Discrete(2)),
        "action_kind": "discrete",
        "features": (),
        "random": rollouts,
        "max_episode_steps": 100,
        "card_steps": 500,
    }
    return EnvCard(**plain | changes)


def plan(steps: int = 100_000, chunk_steps: int = 16_384) -> Plan:
    return make_plan(steps, 5, 8, chunk_steps)


def foreseen(
    steps: int = 100_000, rate: float = 10_000.0, controls: tuple[str, ...] = (), **other: Any
) -> Forecast:
    settings = Settings(workers=other.pop("workers", 2))
    changes = {key: other.pop(key) for key in ("target", "dollars") if key in other}
    budget = other.pop("budget", Budget(env_steps=steps))
    return forecast(plan(steps), budget, settings, card(rate, **other), controls, **changes)


def test_it_adds_up() -> None:
    found = foreseen(controls=("native", "random"))
    assert (found.search_env_steps, found.confirm_env_steps) == (50_000, 50_000)
    assert found.controls == {"native": 100_000, "random": 100_000}
    assert (found.control_env_steps, found.card_steps) == (200_000, 500)
    assert found.eval_steps_low < found.eval_steps < found.eval_steps_high  # type: ignore[operator]
    assert found.seconds_low < found.seconds < found.seconds_high  # type: ignore[operator]
    assert found.dollars == 0.0 and "2 workers" in found.words


@given(st.integers(30_000, 3_000_000), st.sampled_from([(), ("native",), ("random",), ("native", "random")]))
def test_its_trainings_stay_within_the_plan(steps: int, controls: tuple[str, ...]) -> None:
    laid = plan(steps)
    search = batches(laid, (), aimed=False)[:-1]
    assert sum(one.trainings * one.steps for one in search) <= laid.search_limit
    assert sum(one.trainings * one.steps for one in batches(laid, controls, aimed=True)) <= steps * (
        1 + len(controls)
    )


def test_validation_is_counted_by_the_rule_that_training_follows() -> None:
    """Where every episode lasts a hundred steps, and every checkpoint is looked at twice."""
    laid, much = plan(1_000_000), cases(card())[2]
    validator = Validator(EnvSpec(id="Any-v0"), range(58), card().judge)
    work = batches(laid, (), aimed=False)[0]
    assert (work.trainings, work.checked, work.judged) == (1, 1, 0)
    per_chunk = validator.episodes(laid.chunk_steps, 100.0) + validator.challenge(laid.chunk_steps, 100.0)
    chunks = -(-work.steps // laid.chunk_steps)
    checked = validator.episodes(laid.probe_steps, 100.0)
    assert judged_steps([work], much, laid, 20) == 100 * 2 * (chunks * per_chunk + checked)
    assert validator.episodes(laid.chunk_steps, 100.0) == int(SHARE * laid.chunk_steps / 200)
    assert validator.challenge(laid.chunk_steps, 100.0) == int(CHALLENGE_SHARE * laid.chunk_steps / 200)


def test_it_grows_with_what_makes_a_run_longer() -> None:
    assert foreseen(rate=1_000.0).seconds > foreseen().seconds  # type: ignore[operator]
    assert foreseen(controls=("native",)).seconds > foreseen().seconds  # type: ignore[operator]
    assert foreseen(workers=4).seconds < foreseen(workers=1).seconds  # type: ignore[operator]
    assert foreseen(target=90.0).eval_steps > foreseen().eval_steps
    assert foreseen(max_episode_steps=1000).eval_steps > foreseen().eval_steps


def test_a_target_or_a_threshold_ends_early_and_is_said() -> None:
    assert "less where the target is reached early" in foreseen(reward_threshold=90.0).words
    assert "target" not in foreseen().words


def test_small_minibatches_and_many_passes_are_slow() -> None:
    plain = Hyperparameters(minibatch_size=256, update_epochs=4)
    assert update_seconds(plain.model_copy(update={"update_epochs": 8}), 9_000) == 2 * update_seconds(
        plain, 9_000
    )
    assert update_seconds(plain.model_copy(update={"minibatch_size": 64}), 9_000) > update_seconds(
        plain, 9_000
    )
    wide = card(observation_space=space_to_json(spaces.Box(-1.0, 1.0, (900,))))
    assert pace_of(wide).learn > pace_of(card()).learn  # type: ignore[union-attr]


def test_without_a_measured_speed_or_price_it_says_so() -> None:
    found = foreseen(rate=0.0, dollars=None)
    assert (found.seconds, found.seconds_low, found.seconds_high, found.dollars) == (None, None, None, None)
    assert "not measured" in found.words and found.eval_steps > 0


def test_it_warns_when_time_is_shorter_than_steps() -> None:
    assert "will probably end the run" in foreseen(budget=Budget(env_steps=100_000, seconds=1.0)).words


def test_it_refuses_what_the_check_refuses() -> None:
    with pytest.raises(BudgetError, match="price of this model is unknown"):
        foreseen(budget=Budget(env_steps=100_000, dollars=1.0), dollars=None)


def test_a_forecast_of_an_older_release_is_read() -> None:
    stored = {"v": 1, "search_env_steps": 1, "confirm_env_steps": 1, "eval_steps": 7, "card_steps": 1}
    found = Forecast.model_validate(stored | {"control_env_steps": 0, "seconds": 3.0})
    assert (found.eval_steps_low, found.seconds_high) == (None, None)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A real run, finished."""
    root = tmp_path_factory.mktemp("tiny") / "experiments"
    Experimenter("MountainCar-v0", workspace=str(root), **TINY).run("reach the flag", name="tiny")
    return root


def test_a_real_run_takes_about_as_many_judged_steps_as_foreseen(tiny: Any) -> None:
    with Workspace.open(tiny, create=False) as store:
        said = Forecast.model_validate(store.document("tiny", "forecast"))
        spent = store.ledger("tiny")
    assert said.eval_steps / 2.5 < spent.eval_steps < 2.5 * said.eval_steps
    assert said.eval_steps_low is not None and said.eval_steps_high is not None
    assert said.eval_steps_low / 1.25 < spent.eval_steps < 1.25 * said.eval_steps_high
    assert spent.env_steps <= said.search_env_steps + said.confirm_env_steps
    assert spent.control_env_steps <= said.control_env_steps


def test_a_second_confirmation_keeps_the_figures_of_the_first(tiny: Any) -> None:
    """What a run stores for a confirmation, stored once more with the next number, as when it misses its target."""
    with Workspace.open(tiny, create=False) as store:
        winner, first = store.document("tiny", "winner"), store.document("tiny", "winner:0")
        arm = Arm.model_validate(first["arm"])
        assert (first["number"], first["trial"]) == (0, winner["trial"])
        assert arm == Arm.model_validate(store.document("tiny", "arm:winner"))
        before = RunResult.model_validate(store.document("tiny", "result"))
        assert before.earlier == () and "confirmation" not in before.sentence
        for name, value in confirmation_documents(winner["trial"], winner["steps"], 1, arm).items():
            store.put_document("tiny", name, value)
        ctx = open_context(store, "tiny", lambda: False)
        after = finish(ctx, "again")
        ctx.executor.close()
    (one,) = after.earlier
    assert (one.number, one.trial) == (1, f"tiny/{winner['trial']}")
    assert (one.true_score, one.env_steps) == (arm.interval, arm.env_steps)
    assert "This is confirmation 2 of the run" in after.sentence
    assert f"trial {winner['trial']} reached" in after.sentence and "2 seeds" in after.sentence
