"""What is known of a run's planner: who answered, what it used, and how many of its reward programs ran."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from exchange_samples import exchange, put, trial_of, tried, usage
from hypothesis import given
from hypothesis import strategies as st
from llm_samples import BETTER, GOOD, REPLIES, fenced, questions
from run_samples import trial

from experimenter.api import Experimenter
from experimenter.loop.assemble import open_context
from experimenter.loop.nodes.conclude import finish
from experimenter.loop.preparation import prepare
from experimenter.planners.llm.enqueue import Enqueued
from experimenter.planners.llm.faults import ModelFault
from experimenter.planners.llm.planner import LLMPlanner
from experimenter.planners.llm.route import Routed
from experimenter.planners.llm.scripted import ScriptedAnswer, ScriptedClient
from experimenter.planners.search.planner import SearchPlanner
from experimenter.questions import Refusal
from experimenter.report.money import dollars, money, token_words
from experimenter.report.planned import answered_words, programs_words, short_words
from experimenter.report.planning import planning
from experimenter.results import Planning, RunResult, Spent
from experimenter.workspace.store import Workspace

SAMPLES = questions()
SETTINGS = {
    "budget_steps": 12_000,
    "confirm_seeds": 2,
    "eval_episodes": 2,
    "card_steps": 200,
    "workers": 1,
    "memory": "off",
    "controls": "none",
}


def known(exchanges: Any, trials: Any = ()) -> Planning:
    found = planning(exchanges, trials)
    assert found is not None
    return found


def archived(planner: Any, name: str) -> Any:
    """A question of the samples, really asked, as the loop archives it."""
    found = planner.consult(SAMPLES[name])
    used = json.loads(json.dumps(found.usage()))
    refused = isinstance(found.answer, Refusal)
    return exchange(SAMPLES[name].kind, used, found.answer.model_dump(mode="json"), refused=refused)


def scripted(kind: str, *replies: Any) -> LLMPlanner:
    client = ScriptedClient([ScriptedAnswer(kind=kind, replies=replies, repeat=True)])
    return LLMPlanner(lambda role: client)


def test_who_answered_what_and_what_it_used() -> None:
    found = known(
        [
            exchange("choose_lever", usage(tokens=(1000, 400, 50), dollars=0.02, seconds=2.0)),
            exchange(
                "choose_lever",
                usage("anthropic:claude", (3000, 0, 150), 0.08, 5.5, repairs=1, rejected=["x"]),
            ),
            exchange("choose_hyperparameters", {"v": 1, "planner": "search"}),
            exchange("reflect", usage(repairs=2, rejected=["a", "b", "c"]), {"reason": "no"}, refused=True),
        ]
    )
    lever, settings, reflect = found.questions
    assert (lever.kind, lever.asked, lever.answered_by) == ("choose_lever", 2, {"llm": 2})
    assert (lever.repairs, lever.rejected, lever.refused) == (1, 1, 0)
    assert (settings.answered_by, settings.spent) == ({"search": 1}, Spent())
    assert (reflect.asked, reflect.answered_by, reflect.refused, reflect.rejected) == (1, {}, 1, 3)
    assert found.models == {"openai:gpt-5": 2, "anthropic:claude": 1}
    assert found.served_as == ("gpt-5-2025-08-07",)
    spent = found.spent
    assert (spent.input_tokens, spent.cached_input_tokens, spent.output_tokens) == (5000, 800, 250)
    assert (spent.dollars, spent.seconds, spent.at_least_tokens) == (pytest.approx(0.12), 9.5, 5250)
    assert answered_words(found) == (
        "Of 4 questions, language models answered 2, the search planner answered 1 and 1 got no answer."
    )
    assert list(short_words(found)) == [
        "Of 4 questions, language models answered 2, the search planner answered 1 and 1 got no answer."
        " Models: openai:gpt-5, anthropic:claude.",
        "Used 5,250 tokens (800 of them cached), $0.12, 10 s of waiting.",
    ]


def test_an_unknown_price_or_count_is_never_zero() -> None:
    local = usage("ollama:qwen", (500, 0, 20), None)
    partly = known([exchange("reflect", usage(dollars=0.05)), exchange("reflect", local)])
    assert (partly.spent.dollars, partly.spent.at_least_dollars) == (None, 0.05)
    assert partly.questions[0].spent.dollars is None and partly.spent.input_tokens == 1500
    assert money(partly.spent) == "at least $0.05" and token_words(partly.spent) == "1,570 tokens"
    nothing = known([exchange("reflect", usage("ollama:qwen", (None, None, None), None))]).spent
    assert (nothing.input_tokens, nothing.output_tokens, nothing.dollars) == (None, None, None)
    assert money(nothing) == "price unknown" and token_words(nothing) == "an unknown number of tokens"
    free = known([exchange("reflect", usage("scripted:demo", dollars=0.0))]).spent
    assert money(free) == "$0"
    assert [dollars(x) for x in (0.0, 0.0004, 0.005, 1234.5)] == ["$0", "under $0.01", "$0.01", "$1,234.50"]


def test_the_executable_share_counts_each_program_once() -> None:
    trials = (
        trial_of(0, tried("old", origin="memory:lesson:x"), tried("first"), tried("mended", repairs=1)),
        trial_of(1, tried("lost", repairs=2, discarded="failed its check: line 3"), tried("second")),
        # Later trials change something else about designs whose programs were counted before.
        trial_of(2, tried("mended", origin="hyperparameters"), tried("old"), tried("first", repairs=1)),
        trial_of(3, tried("second", discarded="lower half of rung 1")),
    )
    (one,) = known([], trials).programs
    assert (one.author, one.written, one.first_try, one.repaired, one.given_up) == ("llm", 4, 2, 1, 1)
    first, end = one.at_first_try, one.executable
    assert (first.count, first.of, first.share) == (2, 4, 0.5)
    assert (first.low, first.high) == (pytest.approx(0.1500, abs=1e-4), pytest.approx(0.8500, abs=1e-4))
    assert (end.count, end.of, end.share) == (3, 4, 0.75)
    assert (end.low, end.high) == (pytest.approx(0.3006, abs=1e-4), pytest.approx(0.9544, abs=1e-4))
    assert programs_words(one).replace("\u00a0", " ") == (
        "Of 4 reward programs by language models, 2 passed every check at the first try (50 %, 95 % interval 15 % to "
        "85 %), 1 after a repair and 1 never did. Executable share in the end: 75 %, 95 % interval 30 % to 95 %."
    )


def test_a_program_that_failed_beside_another_change_and_ran_later_is_executable() -> None:
    trials = (
        trial_of(0, tried("a", discarded="failed its check: the environment raised")),
        trial_of(1, tried("a")),
    )
    (one,) = known([], trials).programs
    assert (one.written, one.first_try, one.given_up) == (1, 1, 0)


def test_repairs_during_the_conversation_count_and_those_of_the_ideas_do_not() -> None:
    ideas, better, other = REPLIES["write_rewards"]
    no_ideas, wrong = {"ideas": []}, fenced("def reward(t):\n    import os\n")
    smooth = archived(scripted("write_rewards", no_ideas, ideas, better, other), "write_rewards")
    mended = archived(scripted("write_rewards", ideas, wrong, better, other), "write_rewards")
    lost = archived(scripted("write_rewards", ideas, better, "no", "no", "no"), "write_rewards")
    written = [
        [tried("x").model_copy(update={"design": _paid(text)}) for text in texts]
        for texts in ((BETTER, GOOD.replace("0.2", "0.3")), (BETTER,))
    ]
    both, single = (trial_of(0, *candidates) for candidates in written)
    counts = [
        (one.first_try, one.repaired, one.given_up)
        for told, found in ((smooth, both), (mended, both), (lost, single))
        for one in known([told], [found]).programs
    ]
    assert counts == [(2, 0, 0), (1, 1, 0), (1, 0, 1)]


def _paid(text: str) -> Any:
    one = tried("x").design
    program = one.phases[-1].reward.model_copy(update={"source": text})  # type: ignore[union-attr]
    return one.model_copy(update={"phases": (one.phases[-1].model_copy(update={"reward": program}),)})


def test_a_model_that_went_away_has_written_no_bad_program() -> None:
    def away(request: Any) -> str:
        if request.answer_schema is None:
            raise ModelFault("It went away.", kind="timeout")
        return json.dumps(REPLIES["write_rewards"][0])

    client = ScriptedClient(away)
    told = archived(Routed(LLMPlanner(lambda role: client), SearchPlanner()), "write_rewards")
    found = known([told])
    assert found.programs == () and found.questions[0].instead == 1


def test_what_another_planner_answered_is_told_with_its_reason_once() -> None:
    routed = Routed(scripted("choose_lever", "no", "no", "no"), SearchPlanner())
    told = archived(routed, "choose_lever")
    quota = exchange("choose_lever", {"v": 1, "planner": "search", "faults": ["over_quota: nothing is left"]})
    silent = archived(Enqueued(scripted("reflect", "x"), SearchPlanner()), "choose_hyperparameters")
    found = known([told, told, quota, silent])
    assert [(one.kind, one.planner, one.by, one.count) for one in found.instead] == [
        ("choose_lever", "llm", "search", 2),
        ("choose_hyperparameters", "llm", "search", 1),
        ("choose_lever", "llm", "search", 1),
    ]
    assert "gave no valid answer, not even after 2 repairs" in found.instead[0].reason
    assert found.instead[2].reason == "over_quota: nothing is left"
    lever = found.questions[0]
    assert (lever.asked, lever.instead, lever.answered_by, lever.repairs) == (3, 3, {"search": 3}, 4)


def test_many_reasons_are_few_in_the_record() -> None:
    note = "The planner llm refused reflect, so search answered it: reason {} " + "z" * 5000
    found = known(
        exchange("reflect", usage(served_as=[f"m{i}"], planner="search", notes=[note.format(i)]))
        for i in range(5000)
    )
    assert len(found.instead) == 21 and sum(one.count for one in found.instead) == 5000
    assert found.instead[-1].reason == "4980 other reasons"
    assert found.questions[0].asked == 5000 and len(found.model_dump_json()) < 12_000


def test_replayed_answers_stand_apart_from_what_was_paid() -> None:
    def again(used: Any) -> dict[str, Any]:
        return {"v": 1, "planner": "replay:first_run", "replayed": used}

    found = known(
        [
            exchange("choose_lever", again(usage(dollars=0.02))),
            exchange("reflect", again(usage("ollama:qwen", (10, 0, 5), None))),
            exchange("choose_hyperparameters", again({})),
        ]
    )
    (source_run,) = found.replayed
    assert (source_run.run, source_run.answers) == ("first_run", 3)
    assert (source_run.spent.input_tokens, source_run.spent.dollars) == (1010, None)
    assert money(source_run.spent) == "at least $0.02" and found.spent == Spent()
    assert [one.replayed for one in found.questions] == [1, 1, 1]
    assert found.models == {"ollama:qwen": 1, "openai:gpt-5": 1}


def test_a_person_is_no_model_and_costs_nothing() -> None:
    by_hand = usage("manual:person", (0, 0, 0), 0.0, 90.0) | {"planner": "manual", "served_as": ["person"]}
    found = known([exchange("choose_lever", by_hand)])
    assert found.models == {} and found.served_as == () and found.questions[0].answered_by == {"manual": 1}
    assert (found.spent.seconds, money(found.spent)) == (90.0, "$0")


def test_a_search_run_tells_of_its_programs_only() -> None:
    one = trial(1, "reward", -104.5)
    found = known(
        [exchange("choose_lever", {}), exchange("write_rewards", {"v": 1, "planner": "search"})], [one]
    )
    assert found.questions == () and [p.author for p in found.programs] == ["search"]
    assert set(found.model_dump(mode="json")) == {"v", "programs"}
    assert Planning.model_validate(found.model_dump(mode="json")) == found
    assert planning([exchange("choose_lever", {})], [trial(0, "native", -198.0)]) is None


def test_a_result_without_planning_is_written_as_it_always_was() -> None:
    plain = RunResult(run="r", status="finished", planner="search", judge="j")
    assert "planning" not in plain.model_dump(mode="json")
    told = plain.model_copy(update={"planning": known([exchange("reflect", usage())])})
    assert RunResult.model_validate(json.loads(told.model_dump_json())) == told


DAMAGED: list[Any] = [
    {},
    [],
    None,
    "usage",
    7,
    {"planner": 3, "models": "openai:gpt-5", "input_tokens": "many"},
    usage(tokens=(-1, 0, 10)),
    usage(tokens=(True, 0, 10)),
    usage(tokens=(10**400, 0, 10), dollars=10**400),
    usage(tokens=("10", None, 10), rejected="x", notes={"a": 1}, repairs="two", seconds="slow"),
]


@pytest.mark.parametrize("used", DAMAGED)
def test_a_damaged_record_is_unknown_and_not_zero(used: Any) -> None:
    found = known([exchange("reflect", used), exchange("reflect", usage(dollars=0.02))])
    assert found.spent.input_tokens is None and found.questions[0].asked == 2
    assert token_words(found.spent).startswith("at least 1,0")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = (
    "planner",
    "models",
    "served_as",
    "calls",
    "input_tokens",
    "dollars",
    "seconds",
    "notes",
    "rejected",
    "replayed",
)


@given(st.dictionaries(st.sampled_from(NAMES), JSON), JSON, JSON)
def test_nothing_in_an_archive_can_break_it(used: Any, answer: Any, programs: Any) -> None:
    whole = exchange("write_rewards", used, {"programs": programs})
    odd = exchange("write_rewards", {"replayed": used, "rejected": ["a"]}, answer)
    found = planning([whole, odd], [trial_of(0, tried("a"))])
    assert found is not None and found.programs[0].written == 1
    assert Planning.model_validate_json(found.model_dump_json()) == found


def test_the_result_of_a_run_carries_it(workspace: Path) -> None:
    agent = Experimenter("CartPole-v1", workspace=str(workspace), **SETTINGS)
    prepare("keep it up", agent.env, {}, agent.settings, run_id="one")
    with Workspace.open(workspace, create=False) as store:
        ctx = open_context(store, "one", lambda: False)
        before = finish(ctx, "nothing was asked", "stopped")
        put(
            store,
            "one",
            exchange("choose_lever", usage()),
            exchange("reflect", usage("ollama:qwen", dollars=None)),
        )
        after = finish(ctx, "it was asked to stop", "stopped")
        ctx.executor.close()
        stored = RunResult.model_validate(store.document("one", "result"))
    assert before.planning is None and stored == after and after.planning is not None
    assert (
        after.planning.models == {"ollama:qwen": 1, "openai:gpt-5": 1}
        and after.planning.spent.dollars is None
    )
