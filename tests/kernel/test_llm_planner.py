"""The planner that asks models: every question answered, its rules kept, programs in their own calls, and routing."""

from __future__ import annotations

import json

import pytest
from llm_planners import answered, planner, rejected, told
from llm_samples import BAD, BETTER, GOAL, GOOD, HISTORY, REPLIES, ROOM, TEST, curve, fenced, questions

from experimenter.errors import BudgetError
from experimenter.planners.asked import question_id
from experimenter.planners.llm.calls import Kept
from experimenter.planners.llm.faults import ModelFault
from experimenter.planners.llm.names import ROLES
from experimenter.planners.llm.planner import ROLES_OF, LLMPlanner
from experimenter.planners.llm.route import Routed
from experimenter.planners.llm.scripted import ScriptedAnswer, ScriptedClient
from experimenter.planners.search.planner import SearchPlanner
from experimenter.questions import (
    CurveReading,
    Decompose,
    Decomposition,
    DesignEnvironments,
    RankRollouts,
    ReadCurve,
    Reflect,
    Reflection,
    Refusal,
    RewardPrograms,
    SuccessTest,
)
from experimenter.testing import check_planner, example_card

SAMPLES = questions()


@pytest.mark.parametrize("name", SAMPLES)
def test_every_kind_of_question_is_answered_and_recorded(name) -> None:
    found = told(name)
    question = SAMPLES[name]
    assert isinstance(found.answer, question.answer_type)
    assert type(found.answer).model_validate_json(found.answer.model_dump_json()) == found.answer
    usage = found.usage()
    assert len(usage["calls"]) == len(REPLIES[name]) and usage["repairs"] == 0 and usage["dollars"] == 0.0
    assert usage["prompt"] == found.prompt and usage["input_tokens"] > 500
    assert {call.role for call in found.calls} == {ROLES_OF[question.kind]}
    assert {call.request.question for call in found.calls} == {question_id(question)}
    assert json.loads(json.dumps(usage)) == usage


@pytest.mark.parametrize("card", [example_card(), ROOM], ids=["car", "room"])
def test_a_scripted_planner_keeps_the_contract(card) -> None:
    source = "def reward(t):\n    return {'success': 1.0 * t.terminated}\n"
    programs = [fenced(source.replace("1.0", f"{i}.5")) for i in (1, 2, 3)]
    replies = {
        "propose_tasks": [{"tasks": [{"name": "x", "sentence": "Do it.", "reason": ""}]}],
        "decompose": [{"skills": ["open_door"], "gap": None}],
        "design_environments": [
            {
                "mixtures": [
                    {"reason": "", "target_weight": 1, "variants": [{"weight": 1, "changes": {"size": 5}}]}
                ]
            }
        ],
        "write_rewards": [{"ideas": [{"name": n, "idea": n} for n in ("a", "b", "c")]}, *programs],
        "choose_hyperparameters": [{"choices": [{"gamma": 0.9}]}],
        "read_curve": [{"seen": "", "state": "improving", "keep_training": True}],
        "write_success_test": [fenced(source)],
        "choose_lever": [{"reason": "why", "lever": "reward"}],
    }
    if card is ROOM:
        replies["propose_tasks"][0]["tasks"][0]["changes"] = {"size": 6}
    asked = planner(replies)
    check_planner(asked, card)
    kinds = {call.request.kind for call in asked.log.calls.values()}
    assert kinds == set(replies) - ({"design_environments"} if card is not ROOM else set())


def test_tasks_are_configurations_of_the_goal_with_names_of_their_own() -> None:
    (task,) = answered("propose_tasks").tasks
    assert (task.name, task.lever, task.environment.kwargs) == ("small_room", "environment", {"size": 5})
    same = {
        "tasks": [{"name": "As it is", "sentence": "s", "reason": "", "changes": {"size": 8, "layout": None}}]
    }
    (task,) = answered("propose_tasks", [same]).tasks
    assert task.lever == "native" and task.environment == GOAL.environment
    known = {"tasks": [{"name": "Open door", "sentence": "s", "reason": "", "changes": {}}]}
    assert "is learned already" in rejected("propose_tasks", known)
    far = {"tasks": [{"name": "far", "sentence": "s", "reason": "", "changes": {"size": 99}}]}
    assert "less than or equal to 16" in rejected("propose_tasks", far)
    path = {"tasks": [{"name": "far", "sentence": "s", "reason": "", "environment": "os:Evil-v0"}]}
    assert "environment" in rejected("propose_tasks", path)


def test_mixtures_hold_the_target_and_only_what_its_parameters_allow() -> None:
    (mixture,) = answered("design_environments").mixtures
    assert [(one.environment.kwargs, one.weight) for one in mixture] == [
        ({}, 0.5),
        ({"size": 6, "layout": "one room"}, 0.5),
    ]
    tried = {
        "mixtures": [{"reason": "", "target_weight": 1, "variants": [{"weight": 1, "changes": {"size": 5}}]}]
    }
    assert "was tried before" in rejected("design_environments", tried)
    odd = {
        "mixtures": [{"reason": "", "target_weight": 1, "variants": [{"weight": 1, "changes": {"walls": 3}}]}]
    }
    assert "walls" in rejected("design_environments", odd)
    bare = DesignEnvironments(card=example_card(), target=example_card().spec, count=1)
    assert isinstance(planner({}).answer(bare), Refusal)


def test_settings_change_what_they_name_and_fit_the_training() -> None:
    first, second = answered("choose_hyperparameters").choices
    assert (first.learning_rate, first.num_envs, first.gamma) == (5e-4, 16, 0.99) and second.gamma == 0.995
    (dqn,) = answered("choose_hyperparameters_dqn").off_policy
    assert dqn.learning_rate == 5e-4 and dqn.buffer_size == 100_000
    assert "was tried before" in rejected("choose_hyperparameters", {"choices": [{"learning_rate": 3e-3}]})
    assert "was tried before" in rejected("choose_hyperparameters", {"choices": [{}]})
    assert "collects 65,536" in rejected(
        "choose_hyperparameters", {"choices": [{"num_steps": 4096, "num_envs": 16}]}
    )
    assert "is more than" in rejected("choose_hyperparameters", {"choices": [{"minibatch_size": 4096}]})
    assert "sde" in rejected("choose_hyperparameters", {"choices": [{"sde": True}]}), (
        "actions are discrete here"
    )
    assert "ent_coef" in rejected("choose_hyperparameters_dqn", {"choices": [{"ent_coef": 0.1}]})


def test_plans_over_skills_are_followed_step_by_step() -> None:
    assert answered("decompose") == Decomposition(skills=("fetch-key", "open-door"), gap="at_goal")
    assert "requires has_key" in rejected("decompose", {"skills": ["open-door"], "gap": "at_goal"})
    assert "at_goal is still not true" in rejected("decompose", {"skills": ["fetch-key"], "gap": None})
    assert "is no gap" in rejected("decompose", {"skills": ["fetch-key"], "gap": "has_key"})
    nothing = planner({})
    assert nothing.answer(Decompose(wanted=("a", "b"), have=("a",))) == Decomposition(gap="b")
    assert not nothing.log.calls, "what is missing where there are no skills is known without a model"


def test_programs_are_thought_of_first_and_written_in_calls_of_their_own() -> None:
    found = told("write_rewards")
    first, second = found.answer.programs
    assert (first.name, first.source, first.origin) == ("key_then_door", BETTER, "llm")
    assert second.name == "key_only"
    ideas, one, two = (call.request for call in found.calls)
    assert ideas.answer_schema is not None and one.answer_schema is None and two.answer_schema is None
    assert [len(request.messages) for request in (ideas, one, two)] == [1, 3, 3]
    assert ideas.messages == one.messages[:1] and "program 2 of 2, `key_only`" in two.messages[-1].text


def test_a_program_with_a_fault_is_repaired_before_it_is_an_answer() -> None:
    ideas, *codes = REPLIES["write_rewards"]
    unknown = fenced("def reward(t):\n    return {'key': 1.0 * t.next.ever_carrying_keys}\n")
    found = told("write_rewards", [ideas, unknown, *codes])
    assert "no feature ever_carrying_keys" in found.rejected[0] and "ever_carrying_key" in found.rejected[0]
    assert len(found.answer.programs) == 2
    loop = fenced("def reward(t):\n    while True:\n        pass\n")
    assert "Line 2: While is not part" in told("write_rewards", [ideas, loop, *codes]).rejected[0]
    assert "tried before" in told("write_rewards", [ideas, fenced(GOOD), *codes]).rejected[0]
    twice = told("write_rewards", [ideas, codes[0], codes[0], codes[1]])
    assert "tried before" in twice.rejected[0]


def test_a_program_that_stays_wrong_is_given_up_alone_and_the_rest_are_used() -> None:
    ideas, *codes = REPLIES["write_rewards"]
    found = told("write_rewards", [ideas, "no", "no", "no", codes[1]])
    assert [program.name for program in found.answer.programs] == ["key_only"]
    assert "key_then_door was given up" in found.notes[0] and len(found.rejected) == 3
    none = told("write_rewards", [ideas, *["no"] * 6])
    assert isinstance(none.answer, Refusal) and "None of 2 programs" in none.answer.reason


def test_a_model_that_fails_midway_leaves_what_it_wrote() -> None:
    replies = iter(REPLIES["write_rewards"][:2])

    def say(request):
        if (said := next(replies, None)) is None:
            raise ModelFault("It went away.", kind="timeout")
        return said if isinstance(said, str) else json.dumps(said)

    client = ScriptedClient(say)
    found = LLMPlanner(lambda role: client).consult(SAMPLES["write_rewards"])
    assert [program.name for program in found.answer.programs] == ["key_then_door"]
    assert "key_only was given up: It went away." in found.notes[0] and found.faults == (
        "timeout: It went away.",
    )


def test_a_repair_keeps_the_name_and_names_its_parent() -> None:
    (program,) = answered("write_rewards_repair").programs
    failed = SAMPLES["write_rewards_repair"].failed
    assert (program.name, program.source, program.parents) == ("by_distance", BETTER, (failed.hash,))
    assert "tried before" in rejected("write_rewards_repair", fenced(BAD))


def test_a_success_test_is_a_program_with_one_component() -> None:
    assert answered("write_success_test") == SuccessTest(source=TEST)
    assert 'named "success"' in rejected("write_success_test", fenced(GOOD))
    hidden = SAMPLES["write_success_test"].model_copy(
        update={"goal": GOAL.model_copy(update={"judge_visibility": "hidden"})}
    )
    open_eyed = planner({"write_success_test": [fenced(TEST)] * 3}).consult(hidden)
    assert isinstance(open_eyed.answer, Refusal) and "native_reward is hidden" in open_eyed.rejected[0]


def test_curves_are_read_by_the_model_and_measured_here() -> None:
    reading = answered("read_curve")
    assert (
        isinstance(reading, CurveReading)
        and reading.slope > 0
        and reading.low <= reading.slope <= reading.high
    )
    assert "keep_training" in rejected("read_curve", {"seen": "", "state": "improving"})
    silent = planner({})
    assert silent.answer(ReadCurve(points=curve(0.0, 1.0))).state == "too short" and not silent.log.calls


def test_rankings_and_reflections_keep_their_rules() -> None:
    assert answered("rank_rollouts").order == ("b", "a")
    assert "exactly once" in rejected("rank_rollouts", {"reason": "", "order": ["a", "a"]})
    rollouts = SAMPLES["rank_rollouts"].rollouts
    wordless = RankRollouts(rollouts=tuple(one.model_copy(update={"words": ""}) for one in rollouts))
    assert "nothing to judge" in planner({}).answer(wordless).reason
    assert answered("reflect") == Reflection(
        sentence="First times help.", keep_skill=True, skill_description="Fetches the key."
    )
    keep = {"sentence": None, "keep_skill": True, "skill_description": " "}
    assert "needs a skill_description" in rejected("reflect", keep)
    nothing = Reflect(goal=GOAL, card=ROOM, lever="reward", attempts=())
    assert planner({}).answer(nothing) == Reflection()
    failed = nothing.model_copy(update={"attempts": tuple(a for a in HISTORY if a.error)})
    found = planner({"reflect": [keep | {"skill_description": "x"}] * 3}).consult(failed)
    assert "no skill to keep" in found.rejected[0]


def test_a_model_that_fails_or_declines_is_a_typed_refusal() -> None:
    for changes in ({"fault": "over_quota"}, {"refusal": "No."}, {"replies": ("no", "no", "no")}):
        client = ScriptedClient([ScriptedAnswer(kind="choose_lever", **changes)])
        found = LLMPlanner(lambda role, client=client: client).consult(SAMPLES["choose_lever"])
        assert isinstance(found.answer, Refusal) and found.answer.reason

    def keyless(role):
        raise ModelFault("There is no key.", kind="no_key")

    with pytest.raises(ModelFault, match=r"There is no key\. Set it"):
        LLMPlanner(keyless).consult(SAMPLES["choose_lever"])


@pytest.mark.parametrize("kind", ["bad_key", "no_key", "unknown_model"])
@pytest.mark.parametrize("name", ["choose_lever", "write_rewards"])
def test_what_only_a_person_can_put_right_ends_the_run_instead_of_being_answered_by_somebody_else(
    kind: str, name: str
) -> None:
    client = ScriptedClient([ScriptedAnswer(kind=name, fault=kind)])
    main = LLMPlanner(lambda role: client)
    with pytest.raises(ModelFault) as caught:
        Routed(main, SearchPlanner()).consult(SAMPLES[name])
    assert caught.value.kind == kind


def test_each_role_is_played_by_its_own_model_opened_once() -> None:
    opened = []

    def clients(role):
        opened.append(role)
        replies = [
            ScriptedAnswer(kind=q.kind, replies=tuple(REPLIES[n]), repeat=True) for n, q in SAMPLES.items()
        ]
        return ScriptedClient(replies, role)

    asked = LLMPlanner(clients)
    for question in (*SAMPLES.values(), *SAMPLES.values()):
        asked.answer(question)
    assert sorted(opened) == sorted(ROLES)
    assert {str(call.model) for call in asked.log.calls.values() if call.role == "judge"} == {
        "scripted:judge"
    }


def test_what_was_paid_before_a_kill_is_not_paid_again() -> None:
    log, question = Kept(), SAMPLES["write_rewards"]
    stops = iter([None, None, BudgetError("stop")])

    def gate(model, request):
        if (error := next(stops)) is not None:
            raise error

    with pytest.raises(BudgetError):
        planner({"write_rewards": REPLIES["write_rewards"]}, log=log, gate=gate).answer(question)
    assert len(log.calls) == 2
    asked = []
    resumed = planner(
        {"write_rewards": REPLIES["write_rewards"]}, log=log, gate=lambda m, r: asked.append(r.call)
    )
    assert resumed.answer(question) == answered("write_rewards") and asked == [2]


def test_programs_of_an_answer_are_its_type() -> None:
    assert isinstance(answered("write_rewards"), RewardPrograms)
