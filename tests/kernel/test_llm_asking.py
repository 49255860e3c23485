"""The ladder, the repairs and the record of one exchange, with scripted models and with real clients on loopback."""

from __future__ import annotations

import json

import pytest

from experimenter.errors import BudgetError, Stopped
from experimenter.planners.llm.asking import Asked, Limits, Talk, Unanswered
from experimenter.planners.llm.calls import Consultation, Kept
from experimenter.planners.llm.clients import open_model
from experimenter.planners.llm.faults import ModelFault
from experimenter.planners.llm.forms import lever
from experimenter.planners.llm.model import Abilities, Message, ModelReply, Usage
from experimenter.planners.llm.names import parse_model
from experimenter.planners.llm.parsing import ReplyRejected
from experimenter.planners.llm.prompting import Prompt
from experimenter.planners.llm.scripted import ScriptedClient
from experimenter.planners.llm.wire import Limits as WireLimits
from experimenter.questions import ChooseLever, LeverChoice
from experimenter.testing import example_card
from experimenter.testing.models import FakeModels, Fault, Said, Tokens

FORM = lever(ChooseLever(card=example_card(), available=("reward", "hyperparameters")))
PROMPT = Prompt("You plan.", (Message(role="user", text="Which lever?"),))
RIGHT = '{"lever": "reward", "reason": "nothing learns"}'
CHOICE = LeverChoice(lever="reward", reason="nothing learns")
WRONG = '{"lever": "luck", "reason": "why not"}'
CODE = "```python\ndef reward(t):\n    return {}\n```"


class Recorder:
    """A model that says one reply after the other, or raises what stands in its place, and keeps what it was asked."""

    def __init__(self, *said, abilities=Abilities(native=True, tools=True)):  # noqa: B008
        self.said, self.requests, self.seconds = list(said), [], []
        self.inner = ScriptedClient(lambda request: self.next(), "recorder", abilities)
        self.name, self.abilities = self.inner.name, abilities

    def next(self):
        one = self.said.pop(0)
        if isinstance(one, Exception):
            raise one
        return one

    def complete(self, request, seconds=None):
        self.requests.append(request)
        self.seconds.append(seconds)
        return self.inner.complete(request)


def talk(client, **changes):
    return Talk(client, Asked("choose_lever", "q1", "planner"), **changes)


def choose(talking):
    return talking.typed(PROMPT, FORM.schema, FORM.read)


def bad(words="no such thing here"):
    return ModelFault(words, kind="bad_request")


@pytest.mark.parametrize("rung", ["native", "tool", "text"])
def test_the_first_rung_that_the_client_has_is_asked(rung) -> None:
    abilities = Abilities(native=rung == "native", tools=rung != "text")
    client = Recorder(RIGHT, abilities=abilities)
    assert choose(talk(client)) == CHOICE
    assert [request.rung for request in client.requests] == [rung]


def test_a_bad_request_leads_to_the_next_rung_and_is_remembered() -> None:
    client = Recorder(bad(), bad(), RIGHT, RIGHT)
    rungs: dict = {}
    first = talk(client, rungs=rungs)
    assert choose(first) == CHOICE
    assert [request.rung for request in client.requests] == ["native", "tool", "text"]
    assert len(first.notes) == 2 and "rung native" in first.notes[0]
    assert choose(talk(client, rungs=rungs)) == CHOICE
    assert client.requests[-1].rung == "text" and len(client.requests) == 4


def test_a_bad_request_on_the_last_rung_is_the_fault_itself() -> None:
    client = Recorder(bad(), bad(), bad("the model takes nothing"))
    talking = talk(client)
    with pytest.raises(ModelFault, match="the model takes nothing"):
        choose(talking)
    assert len(talking.faults) == 3 and not talking.calls


@pytest.mark.parametrize("kind", ["timeout", "over_quota", "unknown_model", "malformed"])
def test_other_faults_end_the_question_at_once(kind) -> None:
    client = Recorder(ModelFault("It failed.", kind=kind), RIGHT)
    with pytest.raises(ModelFault) as caught:
        choose(talk(client))
    assert caught.value.kind == kind and len(client.requests) == 1


def test_a_repair_turn_carries_the_exact_error_and_what_was_said() -> None:
    client = Recorder(WRONG, RIGHT)
    talking = talk(client)
    assert choose(talking) == CHOICE
    asked, echoed, repair = client.requests[1].messages
    assert asked.text == "Which lever?" and echoed == Message(role="assistant", text=WRONG)
    (error,) = talking.rejected
    assert "lever: Input should be 'reward' or 'hyperparameters'" in error and "'luck'" in error
    assert all(f"| {line}" in repair.text for line in error.splitlines())
    assert [call.request.call for call in talking.calls] == [0, 1]


def test_two_repairs_and_then_a_typed_end_with_the_last_error() -> None:
    client = Recorder("no", "{", WRONG, RIGHT)
    talking = talk(client)
    with pytest.raises(Unanswered, match=r"not even after 2 repairs.*'reward' or 'hyperparameters'"):
        choose(talking)
    assert (len(talking.rejected), talking.repairs, len(client.requests)) == (3, 2, 3)
    assert [len(request.messages) for request in client.requests] == [1, 3, 3]


def test_a_broken_rule_of_the_question_is_repaired_like_a_broken_type() -> None:
    def read(text):
        if "rule" not in text:
            raise ReplyRejected("The rule is broken.", "Keep it.")
        return text

    client = Recorder("{}", '{"rule": 1}')
    assert talk(client).typed(PROMPT, FORM.schema, read) == '{"rule": 1}'
    assert "| The rule is broken. Keep it." in client.requests[1].messages[-1].text


def test_an_empty_reply_can_be_repaired_although_no_service_takes_an_empty_turn() -> None:
    client = Recorder("", RIGHT)
    assert choose(talk(client)) == CHOICE
    assert client.requests[1].messages[1].text == "(nothing)"


def test_a_reply_that_was_cut_off_is_told_to_be_briefer() -> None:
    short = ModelReply(text='{"lever": "rew', finish="length", answered_by=Recorder().name)
    client = Recorder(short, RIGHT)
    talking = talk(client, limits=Limits(max_tokens=77))
    assert choose(talking) == CHOICE
    assert "cut off at its limit of 77 tokens" in talking.rejected[0]


def test_a_refusal_is_not_argued_with() -> None:
    declined = ModelReply(
        text="", refusal="I would rather not.", finish="refusal", answered_by=Recorder().name
    )
    client = Recorder(declined, RIGHT)
    with pytest.raises(Unanswered, match="declined: I would rather not"):
        choose(talk(client))
    assert len(client.requests) == 1


def test_code_is_one_fenced_block_asked_for_without_a_schema() -> None:
    client = Recorder("def reward(t): ...", CODE)
    source = talk(client).code(PROMPT, lambda text: text)
    assert source == "def reward(t):\n    return {}\n"
    assert {request.answer_schema for request in client.requests} == {None}
    assert {request.rung for request in client.requests} == {"text"}
    assert "fenced by ```python" in client.requests[1].messages[-1].text


def test_every_call_is_kept_before_its_reply_is_used() -> None:
    log = Kept()

    def read(text):
        assert [call.reply.text for call in log.calls.values()] == [RIGHT]
        return text

    talk(Recorder(RIGHT), log=log).typed(PROMPT, FORM.schema, read)


def test_a_reply_is_not_paid_for_twice() -> None:
    log = Kept()
    with pytest.raises(Stopped):
        choose(talk(Recorder(WRONG, Stopped("now")), log=log))
    again = Recorder(RIGHT)
    assert choose(talk(again, log=log)) == CHOICE
    assert [request.call for request in again.requests] == [1], "the first call is taken from the log"
    silent = Recorder()
    assert choose(talk(silent, log=log)) == CHOICE and not silent.requests


def test_a_gate_stops_a_call_before_it_is_paid_and_not_one_that_is_kept() -> None:
    def closed(model, request):
        raise BudgetError("No tokens are left.")

    log, client = Kept(), Recorder(RIGHT)
    with pytest.raises(BudgetError):
        choose(talk(client, log=log, gate=closed))
    assert not client.requests
    choose(talk(client, log=log))
    assert choose(talk(Recorder(), log=log, gate=closed)) == CHOICE


def test_a_question_has_one_deadline_for_all_its_calls() -> None:
    times = iter([0.0, 10.0, 95.0, 101.0])
    client = Recorder(WRONG, WRONG, RIGHT)
    talking = talk(client, limits=Limits(seconds=100, call_seconds=60), clock=lambda: next(times))
    with pytest.raises(Unanswered, match="longer than its 100 seconds"):
        choose(talking)
    assert client.seconds == [60, 5]


def test_the_record_adds_up_and_unknown_stays_unknown() -> None:
    used = [
        Usage(input_tokens=100, cached_input_tokens=40, output_tokens=7),
        Usage(input_tokens=10, output_tokens=1),
    ]
    replies = [
        ModelReply(text=text, usage=usage, model="m-1", answered_by=Recorder().name, seconds=1.5)
        for text, usage in zip((WRONG, RIGHT), used, strict=True)
    ]
    talking = talk(Recorder(*replies), pricing=lambda name, usage: (usage.input_tokens or 0) / 1000)
    answer = choose(talking)
    told = Consultation(
        answer, calls=tuple(talking.calls), rejected=tuple(talking.rejected), repairs=talking.repairs
    )
    usage = told.usage()
    assert (usage["input_tokens"], usage["cached_input_tokens"], usage["output_tokens"]) == (110, 40, 8)
    assert usage["dollars"] == pytest.approx(0.11) and usage["seconds"] == 3.0 and usage["repairs"] == 1
    assert usage["models"] == ["scripted:recorder"] and usage["served_as"] == ["m-1"]
    assert json.loads(json.dumps(usage)) == usage
    unpriced = talk(Recorder(RIGHT), pricing=lambda name, usage: None)
    assert Consultation(choose(unpriced), calls=tuple(unpriced.calls)).usage()["dollars"] is None


PROVIDERS = ["openai:gpt-x", "anthropic:claude-x", "openai-compat:local", "ollama:llama3.1"]


@pytest.mark.parametrize("name", PROVIDERS)
def test_real_clients_are_asked_repaired_and_billed_to_the_token(name) -> None:
    with FakeModels([WRONG, RIGHT]) as server:
        talking = talk(open_model(parse_model(name), server.environ()))
        assert choose(talking) == CHOICE
        assert [len(asked.turns) for asked in server.asked] == [1, 3]
        billed = Tokens(sum(t.input for t in server.billed), sum(t.output for t in server.billed))
        usage = Consultation(CHOICE, calls=tuple(talking.calls)).usage()
        assert (usage["input_tokens"], usage["output_tokens"]) == (billed.input, billed.output)
        assert {asked.rung for asked in server.asked} == {"native"}


@pytest.mark.parametrize(
    "fault", ["html", "empty", "null", "cut", "reset", "quota", "error_in_success", "deep"]
)
def test_faults_of_a_service_end_typed(fault) -> None:
    limits = WireLimits(seconds=5, attempts=1)
    with FakeModels([Fault(fault)]) as server:
        client = open_model(parse_model("openai-compat:local"), server.environ(), limits)
        with pytest.raises((ModelFault, Unanswered)):
            choose(talk(client, limits=Limits(call_seconds=5)))


def test_a_service_that_declines_is_a_typed_end() -> None:
    with (
        FakeModels([Said(refusal="I cannot help with that.")]) as server,
        pytest.raises(Unanswered, match="cannot help"),
    ):
        choose(talk(open_model(parse_model("openai:gpt-x"), server.environ())))
