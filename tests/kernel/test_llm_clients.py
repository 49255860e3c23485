"""The clients of language models: real client libraries against a server on loopback that checks what they send."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from experimenter.errors import ConfigError
from experimenter.planners.llm.clients import open_model, open_models
from experimenter.planners.llm.endpoints import endpoint_for
from experimenter.planners.llm.faults import ModelFault
from experimenter.planners.llm.model import (
    Message,
    ModelClient,
    ModelName,
    ModelReply,
    ModelRequest,
    PassedOver,
    Usage,
)
from experimenter.planners.llm.names import parse_model, parse_models, resolve_role
from experimenter.planners.llm.prices import dollars, price_of
from experimenter.planners.llm.schemas import closed
from experimenter.planners.llm.scripted import ScriptedAnswer, ScriptedClient
from experimenter.planners.llm.wire import Limits
from experimenter.questions import LeverChoice
from experimenter.testing.models import KEY, FakeModels, Fault, Said, Tokens

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
PROVIDERS = ["openai:gpt-x", "anthropic:claude-x", "openai-compat:local", "ollama:llama3.1:8b"]
SCHEMA = {
    "type": "object",
    "title": "Choice",
    "properties": {
        "v": {"const": 1, "default": 1, "type": "integer", "title": "V"},
        "lever": {"enum": ["reward", "environment"], "type": "string", "title": "Lever"},
        "order": {"type": "array", "items": {"$ref": "#/$defs/One"}, "minItems": 1, "default": []},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None, "title": "Note"},
    },
    "required": ["lever"],
    "$defs": {"One": {"type": "object", "properties": {"title": {"type": "string", "pattern": "^a"}}}},
}
CLOSED = {
    "type": "object",
    "properties": {
        "lever": {"enum": ["reward", "environment"], "type": "string"},
        "order": {
            "type": "array",
            "items": {"$ref": "#/$defs/One"},
            "description": "(at least 1 items)",
        },
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    },
    "required": ["lever", "order", "note"],
    "additionalProperties": False,
    "$defs": {
        "One": {
            "type": "object",
            "properties": {"title": {"type": "string", "description": "(matching ^a)"}},
            "required": ["title"],
            "additionalProperties": False,
        }
    },
}
ANSWER = '{"lever":"reward","order":[],"note":null}'
OPEN_SCHEMA = {"type": "object", "properties": {"kwargs": {"type": "object", "additionalProperties": True}}}


def _request(**changes: object) -> ModelRequest:
    turns = (
        Message(role="user", text="Which lever?", images=(PNG,)),
        Message(role="assistant", text="{"),
        Message(role="user", text="That was cut off. Täglich grüßt 🦫."),
    )
    return ModelRequest.model_validate(
        {"system": "You plan.", "messages": turns, "max_tokens": 500, "kind": "choose_lever"} | changes
    )


def _client(name: str, server: FakeModels) -> ModelClient:
    return open_model(parse_model(name), server.environ(), Limits(seconds=30.0))


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize("rung", ["native", "tool", "text"])
def test_a_request_arrives_as_it_was_meant_and_the_reply_is_counted(name: str, rung: str) -> None:
    billed = Tokens(input=1234, output=56, cached=1000, written=100)
    with FakeModels([Said(ANSWER, tokens=billed)]) as server:
        reply = _client(name, server).complete(_request(answer_schema=SCHEMA, rung=rung))
        [asked] = server.asked
    assert asked.system == "You plan."
    assert asked.turns == (
        ("user", "Which lever?"),
        ("assistant", "{"),
        ("user", "That was cut off. Täglich grüßt 🦫."),
    )
    assert asked.images == (PNG,)
    assert (asked.model, asked.rung, asked.max_tokens) == (parse_model(name).model, rung, 500)
    assert asked.key == ("" if name.startswith("ollama") else KEY)
    assert json.loads(reply.text) == json.loads(ANSWER)
    assert reply.finish == ("tool" if rung == "tool" else "stop")
    assert reply.usage == Usage(
        input_tokens=1234, cached_input_tokens=1000, cache_write_tokens=100, output_tokens=56
    )
    assert reply.usage.total == 1290
    assert (reply.model, reply.answered_by, reply.refusal) == (f"{asked.model}-2026", parse_model(name), "")
    assert reply.attempts == 1 and reply.seconds > 0


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_schema_is_sent_closed_and_without_what_is_ours(name: str) -> None:
    with FakeModels([ANSWER]) as server:
        client = _client(name, server)
        client.complete(_request(answer_schema=SCHEMA, rung="native"))
        client.complete(_request(answer_schema=SCHEMA, rung="tool"))
        client.complete(_request(answer_schema=SCHEMA, rung="text"))
        native, tool, text = server.asked
    assert (native.schema, native.strict) == (CLOSED, True)
    assert tool.schema is not None and "v" not in tool.schema["properties"] and tool.tool == "answer"
    assert text.schema is None
    assert LeverChoice.model_json_schema()["properties"].keys() >= {"v"}


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_schema_that_cannot_be_closed_is_sent_loosely_or_not_at_all(name: str) -> None:
    assert closed(OPEN_SCHEMA) is None
    with FakeModels([ANSWER]) as server:
        client = _client(name, server)
        if name.startswith("anthropic"):
            with pytest.raises(ModelFault) as caught:
                client.complete(_request(answer_schema=OPEN_SCHEMA, rung="native"))
            assert caught.value.kind == "bad_request" and server.attempts == 0
            client.complete(_request(answer_schema=OPEN_SCHEMA, rung="tool"))
        else:
            client.complete(_request(answer_schema=OPEN_SCHEMA, rung="native"))
        assert (server.asked[0].schema, server.asked[0].strict) == (OPEN_SCHEMA, False)


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_cut_reply_and_a_refusal_say_so_and_cost_what_they_cost(name: str) -> None:
    tokens = Tokens(input=10, output=3)
    turns = [
        Said('{"lever": "rew', finish="length", tokens=tokens),
        Said(refusal="I would rather not.", tokens=tokens),
    ]
    with FakeModels(turns) as server:
        client = _client(name, server)
        cut, refused = client.complete(_request()), client.complete(_request())
    assert (cut.finish, cut.text, cut.refusal) == ("length", '{"lever": "rew', "")
    assert (refused.finish, refused.refusal) == ("refusal", "I would rather not.")
    assert cut.usage.total == refused.usage.total == 13


@pytest.mark.parametrize("name", PROVIDERS)
def test_temperature_goes_where_it_is_known_and_nothing_is_kept_or_told_to_strangers(
    name: str, monkeypatch
) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-private")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "x-private: yes\nAuthorization: Bearer private")
    with FakeModels([ANSWER]) as server:
        _client(name, server).complete(_request(temperature=0.5))
        [asked] = server.asked
    assert asked.key == ("" if name.startswith("ollama") else KEY)
    assert asked.body.get("temperature") == (None if name.startswith("anthropic") else 0.5)
    if name.startswith("openai:"):
        assert asked.body["store"] is False and asked.headers["openai-organization"] == "org-private"
    elif name.startswith("anthropic"):
        assert asked.body["system"][0]["cache_control"] == {"type": "ephemeral"}
    else:
        assert not any(
            "private" in value or header.startswith("x-") for header, value in asked.headers.items()
        )


def test_a_proxy_is_used_for_others_but_never_for_this_machine(monkeypatch) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with FakeModels([ANSWER]) as server:
        for name in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, server.anthropic_url)
        away = server.environ() | {"EXPERIMENTER_COMPAT_BASE_URL": "http://models.invalid/v1"}
        open_model(parse_model("openai-compat:x"), away).complete(_request())
        assert server.asked[0].headers["host"] == "models.invalid"
        for name in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        open_model(parse_model("ollama:x"), server.environ()).complete(_request())
        assert len(server.asked) == 2


def test_names_keep_their_colons_and_wrong_ones_are_met_with_the_right_ones() -> None:
    assert parse_model(" ollama:llama3.1:8b ") == ModelName(provider="ollama", model="llama3.1:8b")
    assert str(parse_model("openai-compat:org/model")) == "openai-compat:org/model"
    with pytest.raises(ConfigError, match="Did you mean anthropic"):
        parse_model("antropic:claude-x")
    for wrong in ("gpt-5", "openai:", ":x", "openai: x", "openai:a\nb", "openai:" + "x" * 400):
        with pytest.raises(ConfigError, match="provider:model"):
            parse_model(wrong)


def test_fallbacks_are_listed_once_and_aliases_stand_for_lists() -> None:
    aliases = {"strong": ["anthropic:a", "openai:b"], "cheap": "ollama:c", "all": "strong, cheap", "me": "me"}
    assert [str(one) for one in parse_models("all, openai:b", aliases)] == [
        "anthropic:a",
        "openai:b",
        "ollama:c",
    ]
    with pytest.raises(ConfigError, match="leads back to itself"):
        parse_models("me", aliases)
    with pytest.raises(ConfigError, match="Did you mean strong"):
        parse_models("strnog", aliases)
    with pytest.raises(ConfigError, match="No model"):
        parse_models(" , ")


def test_a_role_without_a_model_is_played_by_the_planners() -> None:
    roles = {"planner": "ollama:p", "coder": ["openai:c", "ollama:p"]}
    assert [str(one) for one in resolve_role("coder", roles)] == ["openai:c", "ollama:p"]
    assert [str(one) for one in resolve_role("judge", roles)] == ["ollama:p"]
    with pytest.raises(ConfigError, match="Did you mean summary"):
        resolve_role("sumary", roles)
    with pytest.raises(ConfigError, match="coder"):
        resolve_role("coder", {})


def test_keys_and_addresses_come_from_the_environment_and_are_checked_before_any_call() -> None:
    assert endpoint_for("openai", {"OPENAI_API_KEY": "k"}).base_url == "https://api.openai.com/v1"
    assert endpoint_for("anthropic", {"ANTHROPIC_API_KEY": "k"}).base_url == "https://api.anthropic.com"
    assert endpoint_for("ollama", {}).base_url == "http://127.0.0.1:11434/v1"
    assert endpoint_for("ollama", {"OLLAMA_HOST": "0.0.0.0:99"}).base_url == "http://127.0.0.1:99/v1"
    assert endpoint_for("ollama", {"OLLAMA_HOST": "https://[::1]"}).base_url == "https://[::1]:443/v1"
    compat = endpoint_for("openai-compat", {"EXPERIMENTER_COMPAT_BASE_URL": "http://h:1/v1/"})
    assert (compat.base_url, compat.key) == ("http://h:1/v1", None)
    for provider, name in (("openai", "OPENAI_API_KEY"), ("anthropic", "ANTHROPIC_API_KEY")):
        with pytest.raises(ModelFault, match=f"{name} is not set") as caught:
            endpoint_for(provider, {name: " "})
        assert caught.value.kind == "no_key" and "--planner search" in caught.value.hint
        with pytest.raises(ModelFault) as caught:
            endpoint_for(provider, {name: "sk-secret\nline"})
        assert caught.value.kind == "bad_key" and "secret" not in str(caught.value)
    with pytest.raises(ConfigError, match="EXPERIMENTER_COMPAT_BASE_URL is not set"):
        endpoint_for("openai-compat", {})
    for url in ("ftp://h", "h:1/v1", "http://", "http://h:99999", "http://[::1", "http://h/ v1"):
        with pytest.raises(ConfigError, match="no address"):
            endpoint_for("openai-compat", {"EXPERIMENTER_COMPAT_BASE_URL": url})
    for url in ("http://me:secret@h/v1", "me:secret@h", "http://h/v1?key=secret", "http://h/#secret"):
        with pytest.raises(ConfigError, match="more than an address") as refused:
            endpoint_for("openai-compat", {"EXPERIMENTER_COMPAT_BASE_URL": url})
        assert "secret" not in str(refused.value)


def _turns(by_model: dict[str, object]):
    return lambda asked: by_model[asked.model]


def test_the_next_model_answers_where_one_is_gone_declines_or_has_no_credit() -> None:
    by_model = {
        "no-credit": Fault("quota"),
        "prude": Said(refusal="No.", tokens=Tokens(input=7, output=2)),
        "good": Said(ANSWER),
    }
    names = parse_models("anthropic:gone, openai:no-credit, openai-compat:prude, ollama:good, ollama:never")
    with FakeModels(_turns(by_model), models=list(by_model)) as server:
        client = open_models(names, server.environ(), Limits(seconds=30.0, pause=0.001))
        first, second = client.complete(_request()), client.complete(_request())
        assert server.attempts == 7, "a model that there is not is not asked twice"
    assert first.answered_by == names[3] and first.text == ANSWER
    assert [(str(one.model), one.kind) for one in first.passed_over] == [
        ("anthropic:gone", "unknown_model"),
        ("openai:no-credit", "over_quota"),
        ("openai-compat:prude", "refused"),
    ]
    paid = first.passed_over[2]
    assert (paid.why, paid.usage and paid.usage.total) == ("No.", 9)
    assert second.passed_over == first.passed_over


def test_where_all_fail_the_fault_names_them_all_and_our_own_mistakes_are_not_passed_on() -> None:
    names = parse_models("openai:a, anthropic:b")
    with FakeModels([Fault("quota")]) as server:
        environ = {key: value for key, value in server.environ().items() if key != "OPENAI_API_KEY"}
        with pytest.raises(ModelFault) as caught:
            open_models(names, environ, Limits(seconds=30.0)).complete(_request())
        assert caught.value.kind == "over_quota"
        assert [one.kind for one in caught.value.passed_over] == ["no_key"]
        assert "openai:a: OPENAI_API_KEY is not set" in str(caught.value)
        able = open_models(parse_models("anthropic:b, openai:c"), server.environ())
        with pytest.raises(ModelFault) as caught:
            able.complete(_request(answer_schema=OPEN_SCHEMA, rung="native"))
        assert caught.value.kind == "bad_request"
        assert able.abilities.rungs() == ("native", "tool", "text")


def test_prices_come_from_a_table_and_what_it_does_not_know_is_unknown() -> None:
    fresh = Usage(input_tokens=1_000_000, output_tokens=0)
    cached = Usage(input_tokens=1_000_000, cached_input_tokens=1_000_000, output_tokens=0)
    gpt, claude = parse_model("openai:gpt-4o"), parse_model("anthropic:claude-sonnet-4-5")
    assert (dollars(gpt, fresh), dollars(gpt, cached)) == (2.5, 1.25)
    price = price_of(claude)
    assert price is not None and (price.input, price.output) == (3.0, 15.0)
    for unknown in ("openai:gpt-99-nonsense", "anthropic:nobody", "ollama:gpt-4o", "openai-compat:gpt-4o"):
        assert dollars(parse_model(unknown), fresh) is None and price_of(parse_model(unknown)) is None
    assert dollars(gpt, Usage(input_tokens=5)) is None and dollars(gpt, Usage()) is None
    assert dollars(parse_model("scripted:x.toml"), Usage()) == 0.0


SCRIPT = """
[[answers]]
kind = "choose_lever"
replies = ['{"lever": "rew', { lever = "reward", reason = "stuck" }]

[[answers]]
question = "0123"
reply = "for this question only"

[[answers]]
kind = "choose_lever"
reply = "the second question is answered by its id"

[[answers]]
kind = "choose_lever"
refusal = "Enough."
usage = { input_tokens = 5, output_tokens = 1 }

[[answers]]
kind = "reflect"
fault = "over_quota"
repeat = true
"""


def test_a_script_answers_by_kind_and_order_or_by_the_questions_id(tmp_path: Path) -> None:
    path = tmp_path / "script.toml"
    path.write_text(SCRIPT)
    asked = [
        _request(question="a"),
        _request(question="a", call=1),
        _request(question="0123"),
        _request(question="b"),
    ]
    client = open_model(parse_model(f"scripted:{path}"))
    said = [client.complete(one) for one in asked]
    assert [one.text for one in said[:3]] == [
        '{"lever": "rew',
        '{"lever":"reward","reason":"stuck"}',
        "for this question only",
    ]
    assert (said[3].refusal, said[3].finish, said[3].usage.total) == ("Enough.", "refusal", 6)
    assert said[0].usage.input_tokens and said[0].usage.output_tokens == 4
    again = open_model(parse_model(f"scripted:{path}"))
    assert [again.complete(one) for one in asked] == said
    later = ScriptedClient.from_file(path).complete(_request(question="b", ordinal=2))
    assert later.refusal == "Enough.", "after a kill the order is the run's, not this process's"
    for request in (_request(question="c"), _request(question="a", call=2), _request(kind="decompose")):
        with pytest.raises(ModelFault, match="has no answer") as caught:
            client.complete(request)
        assert caught.value.kind == "refused"
    for _ in range(2):
        with pytest.raises(ModelFault) as caught:
            client.complete(_request(kind="reflect"))
        assert caught.value.kind == "over_quota"


@pytest.mark.parametrize(
    "text",
    [
        "answers = 7",
        "[[answers]]\nkind = 'reflect'",
        "[[answers]]\nkind = 'reflect'\nfault = 'sad'",
        "[[answers]]\nreply = 'x'",
        "nonsense",
        "",
        "answers = []",
    ],
)
def test_a_file_that_is_no_script_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "script.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match="is no script"):
        ScriptedClient.from_file(path)
    with pytest.raises(ConfigError, match="is no script"):
        ScriptedClient.from_file(tmp_path / "none.json")


def test_a_script_may_be_a_function_of_the_request() -> None:
    client = ScriptedClient(lambda request: request.messages[-1].text.upper())
    assert client.complete(_request()).text.startswith("THAT WAS CUT OFF")
    assert isinstance(client, ModelClient)
    with pytest.raises(ValueError, match="one of"):
        ScriptedAnswer(kind="reflect", reply="x", refusal="y")


def test_requests_and_replies_are_records_and_faults_travel() -> None:
    request = _request()
    assert ModelRequest.model_validate_json(request.model_dump_json()) == request
    reply = ModelReply(text="x", answered_by=parse_model("openai:a"))
    assert ModelReply.model_validate_json(reply.model_dump_json()) == reply
    passed = PassedOver(model=parse_model("openai:a"), kind="refused", why="No.")
    fault = ModelFault("It failed.", "Do this.", "rate_limited", 3.0, [passed])
    copy = pickle.loads(pickle.dumps(fault))
    assert (str(copy), copy.kind, copy.retry_after, copy.passed_over) == (
        "It failed. Do this.",
        "rate_limited",
        3.0,
        (passed,),
    )


def test_importing_loads_no_client_library() -> None:
    code = (
        "import sys, pkgutil, importlib, experimenter.planners.llm as p\n"
        "for m in pkgutil.iter_modules(p.__path__): importlib.import_module(f'{p.__name__}.{m.name}')\n"
        "heavy = {'openai', 'anthropic', 'httpx2', 'httpcore2', 'genai_prices'}\n"
        "print(sorted({n.split('.')[0] for n in sys.modules} & heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
