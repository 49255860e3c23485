"""Every provider behind the planner; routes, the search planner in its place, and proposals enqueued."""

from __future__ import annotations

import json

import pytest
from llm_planners import answered, planner
from llm_samples import REPLIES, questions

from experimenter.errors import ConfigError
from experimenter.planners.llm.asking import Limits
from experimenter.planners.llm.clients import open_model
from experimenter.planners.llm.enqueue import Enqueued
from experimenter.planners.llm.names import parse_model
from experimenter.planners.llm.planner import LLMPlanner
from experimenter.planners.llm.route import DEFAULT_ROUTES, Routed, check_routes
from experimenter.planners.search.planner import SearchPlanner
from experimenter.questions import (
    Refusal,
    WriteRewards,
)
from experimenter.testing import check_planner
from experimenter.testing.models import FakeModels, Fault

SAMPLES = questions()


PROVIDERS = ["openai:gpt-x", "anthropic:claude-x", "openai-compat:local", "ollama:llama3.1"]


def service(asked):
    """A service that answers whichever prompt it is shown; programs where a fenced block is wanted."""
    wanted = asked.turns[-1][1]
    name = next(name for name, q in SAMPLES.items() if _heading(q) in asked.turns[0][1])
    replies = REPLIES[name]
    if "Write program 1" in wanted or "Write program 2" in wanted:
        return replies[1 if "program 1" in wanted else 2]
    return replies[0] if isinstance(replies[0], str) else json.dumps(replies[0])


def _heading(question):
    if isinstance(question, WriteRewards) and question.failed:
        return "# Repair a reward program"
    return {
        "propose_tasks": "# Propose tasks",
        "decompose": "# Decompose",
        "design_environments": "# Design training",
        "write_rewards": "# Write rewards",
        "choose_hyperparameters": "# Choose hyperparameters",
        "read_curve": "# Read a learning",
        "rank_rollouts": "# Rank rollouts",
        "reflect": "# Reflect",
        "write_success_test": "# Write a success",
        "choose_lever": "# Choose a lever",
    }[question.kind]


@pytest.mark.parametrize("name", PROVIDERS)
def test_every_question_goes_through_every_provider(name) -> None:
    with FakeModels(service) as server:
        client = open_model(parse_model(name), server.environ())
        asked = LLMPlanner(lambda role: client)
        spent = []
        for key, question in SAMPLES.items():
            if key == "choose_hyperparameters_dqn":
                continue
            found = asked.consult(question)
            assert isinstance(found.answer, question.answer_type), (key, found.answer)
            spent.append(found.usage())
        assert sum(one["input_tokens"] for one in spent) == sum(tokens.input for tokens in server.billed)
        assert sum(one["output_tokens"] for one in spent) == sum(tokens.output for tokens in server.billed)
        strict = [asked.strict for asked in server.asked if asked.schema is not None]
        assert {asked.rung for asked in server.asked} == {"native", "text"}
        assert strict and (all(strict) or name.startswith("anthropic"))


def test_a_service_in_trouble_leads_to_the_search_planner_which_says_so() -> None:
    with FakeModels([Fault("quota")]) as server:
        client = open_model(parse_model("openai:gpt-x"), server.environ())
        main = LLMPlanner(lambda role: client, limits=Limits(call_seconds=5))
        found = Routed(main, SearchPlanner()).consult(SAMPLES["choose_lever"])
    assert found.answer == SearchPlanner().answer(SAMPLES["choose_lever"])
    assert found.planner == "search"
    assert found.notes[-1].startswith("The planner llm refused choose_lever, so search answered it:")
    assert "over_quota" in found.usage()["faults"][0] and found.usage()["planner"] == "search"


def test_hyperparameters_go_to_search_unless_they_are_routed_elsewhere() -> None:
    question = SAMPLES["choose_hyperparameters"]
    main = planner({question.kind: REPLIES[question.kind]})
    searched = Routed(main, SearchPlanner(), routes={"choose_hyperparameters": "search"})
    assert searched.answer(question) == SearchPlanner().answer(question) and not main.log.calls
    enqueued = {"enqueued": Enqueued(main, SearchPlanner())}
    usual = Routed(main, SearchPlanner(), enqueued, DEFAULT_ROUTES)
    assert usual.planner_for(question.kind).name == "enqueued"
    chosen = Routed(main, SearchPlanner(), routes={"choose_hyperparameters": "llm"})
    assert chosen.answer(question) == answered("choose_hyperparameters")
    assert usual.planner_for("choose_lever") is main and chosen.planner_for("write_rewards") is main


def test_proposals_of_a_model_are_enqueued_before_what_search_chooses() -> None:
    question = SAMPLES["choose_hyperparameters"].model_copy(update={"count": 4})
    main = planner({question.kind: REPLIES[question.kind]})
    both = Enqueued(main, SearchPlanner())
    routed = Routed(main, SearchPlanner(), {"enqueued": both}, {"choose_hyperparameters": "enqueued"})
    found = routed.consult(question)
    assert found.answer.choices[:2] == answered("choose_hyperparameters").choices
    assert found.answer.choices[2:] == SearchPlanner().answer(question).choices[:2]
    assert found.planner == "enqueued" and found.usage()["input_tokens"] > 0
    silent = Enqueued(planner({}), SearchPlanner())
    assert silent.answer(question) == SearchPlanner().answer(question)
    assert "No settings were proposed" in silent.consult(question).notes[-1]
    check_planner(both)


def test_a_refusal_by_both_gives_both_reasons() -> None:
    refused = planner({"write_success_test": ["no"] * 3})
    found = Routed(refused, SearchPlanner()).consult(SAMPLES["write_success_test"])
    assert isinstance(found.answer, Refusal)
    assert (
        "no valid answer" in found.answer.reason
        and "The planner search does not answer it either." in found.answer.reason
    )
    assert found.usage()["repairs"] == 2, "what was paid is told all the same"


def test_routes_are_checked_by_name() -> None:
    with pytest.raises(ConfigError, match="choose_lever"):
        check_routes({"choose_leaver": "search"})
    with pytest.raises(ConfigError, match="no planner 'serch'"):
        Routed(planner({}), SearchPlanner(), routes={"choose_lever": "serch"})
    check_planner(Routed(planner({}), SearchPlanner()))
