"""A planner that refuses costs a cycle, not the search: another lever is tried, until there is none."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import pytest

from experimenter.api import Experimenter
from experimenter.errors import Stopped
from experimenter.loop.assemble import open_context
from experimenter.loop.graph import drive
from experimenter.loop.nodes.design import LEVERS
from experimenter.loop.preparation import prepare
from experimenter.planners.search.planner import SearchPlanner
from experimenter.questions import QUESTIONS, ChooseLever, LeverChoice, WriteRewards
from experimenter.records import Task
from experimenter.testing import ScriptedPlanner
from experimenter.workspace.store import Workspace

SEARCH = SearchPlanner()
ANSWERED = ("choose_hyperparameters", "design_environments", "reflect")


class Stubborn:
    """A curriculum that looks at nothing: rewards, whatever was refused."""

    contract: ClassVar[int] = 1
    name: ClassVar[str] = "stubborn"

    def propose(self, view, ask):
        name = f"again_{view.cycle}_after_{len(view.refused)}"
        return Task(name=name, sentence="once more", environment=view.goal.environment, lever="reward")

    def design(self, task, view, ask):
        ask(WriteRewards(goal=view.goal, card=view.card, count=1, seed=view.seed))
        raise AssertionError("the planner refuses this")

    def repair(self, design, error, task, view, ask):
        return None


def first_available(question: ChooseLever) -> LeverChoice:
    return LeverChoice(lever=question.available[0], reason="scripted")


def never(question):
    raise AssertionError(f"{question.kind} was asked again")


WITHOUT_REWARDS = ScriptedPlanner(
    {"choose_lever": first_available, **{kind: SEARCH.answer for kind in ANSWERED}}
)
SILENT = ScriptedPlanner({question.kind: never for question in QUESTIONS})


@pytest.fixture
def root(fast):
    """A workspace with one run that is prepared and has not started."""
    agent = Experimenter("CartPole-v1", budget_steps=16_000, **fast | {"designs": 1})
    prepare("keep it up", agent.env, {}, agent.settings, run_id="refused")
    return agent.workspace


def told_so_far(store):
    return [(event.kind, event.data) for event in store.events("refused")]


def driven(root, planner, stop=lambda told: False, **changes):
    """Drives the run until it ends, or until ``stop`` of what was told is true; gives its events and trials."""
    with Workspace.open(root, create=False) as store:
        ctx = open_context(store, "refused", lambda: stop(told_so_far(store)))
        try:
            drive(replace(ctx, planner=planner, **changes))
        except Stopped:
            pass
        finally:
            ctx.executor.close()
        return told_so_far(store), store.trials("refused")


def told(events, kind, field):
    return [data[field] for found, data in events if found == kind]


def forget_checkpoints(root):
    for file in (root / "runs" / "refused").glob("graph.sqlite*"):
        file.unlink()


def test_after_a_refusal_another_lever_is_trained_and_a_replay_asks_nothing(root) -> None:
    events, trials = driven(root, WITHOUT_REWARDS)
    assert told(events, "propose.finished", "lever")[:3] == ["native", "reward", "hyperparameters"]
    assert told(events, "design.finished", "designs")[:3] == [["native"], [], ["hyperparameters_2_0"]]
    assert "refused write_rewards" in told(events, "design.finished", "words")[1]
    assert [(trial.id, trial.lever) for trial in trials[:2]] == [("t0", "native"), ("t2", "hyperparameters")]
    assert all(trial.candidates[0].training for trial in trials)
    forget_checkpoints(root)
    again, same = driven(root, SILENT)
    assert same == trials
    assert {kind for kind, _ in again[len(events) :]} <= {"verdict.finished"}


def assert_asked_once_for_each_lever(events) -> None:
    wanted = [f"again_{cycle}_after_{cycle}" for cycle in range(len(LEVERS))]
    assert told(events, "propose.finished", "task") == wanted
    assert told(events, "verdict.finished", "why_ended") == ["out of ideas"]


def test_a_curriculum_that_looks_at_no_refusal_is_asked_once_for_each_lever(root) -> None:
    events, trials = driven(root, ScriptedPlanner({}), curriculum=Stubborn())
    assert_asked_once_for_each_lever(events)
    assert trials == ()


@pytest.mark.parametrize("lost", [False, True], ids=["with checkpoints", "without"])
def test_stopped_between_refusals_it_goes_on_counting_where_it_was(root, lost) -> None:
    def two_refusals(events) -> bool:
        return len(told(events, "design.finished", "cycle")) == 2

    events, _ = driven(root, ScriptedPlanner({}), two_refusals, curriculum=Stubborn())
    assert told(events, "design.finished", "designs") == [[], []]
    assert not told(events, "verdict.finished", "why_ended")
    if lost:
        forget_checkpoints(root)
    assert_asked_once_for_each_lever(driven(root, ScriptedPlanner({}), curriculum=Stubborn())[0])
