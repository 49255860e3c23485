"""Whatever a model's server does, a call ends within its deadline, typed, bounded in memory, and without the key."""

from __future__ import annotations

import contextlib
import gc
import io
import json
import logging
import re
import socket
import ssl
import subprocess
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from experimenter.errors import Stopped
from experimenter.planners.llm import transport
from experimenter.planners.llm.breaker import Breaker
from experimenter.planners.llm.clients import open_model
from experimenter.planners.llm.endpoints import endpoint_for
from experimenter.planners.llm.faults import ModelFault
from experimenter.planners.llm.model import Message, ModelClient, ModelReply, ModelRequest, Usage
from experimenter.planners.llm.names import parse_model
from experimenter.planners.llm.openai import OpenAIClient
from experimenter.planners.llm.parsing import ReplyRejected, parse_answer
from experimenter.planners.llm.secret import Secret
from experimenter.planners.llm.statuses import seconds_to_wait
from experimenter.planners.llm.wire import Limits, Surroundings, Wire
from experimenter.questions import LeverChoice
from experimenter.testing.models import FAULTS, KEY, FakeModels, Fault, Said

PROVIDERS = ["openai:m", "anthropic:m", "openai-compat:m"]
REQUEST = ModelRequest(messages=(Message(role="user", text="Which lever?"),))
CANARY = "canary-7f3a-never-shown"
SHORT = 0.5
"""Seconds of a deadline that a fault is to run into."""
LONG = 60.0
"""Seconds that no fault may take, however busy the machine: the server would hang for longer."""
QUICK = Limits(seconds=30.0, pause=0.001, longest_pause=0.002)


@pytest.fixture(scope="module", autouse=True)
def _libraries_are_loaded() -> None:
    """Seconds, the first time: they are no part of any deadline."""
    with FakeModels() as server:
        for name in PROVIDERS:
            open_model(parse_model(name), server.environ()).complete(REQUEST)


def _client(
    name: str, server: FakeModels, limits: Limits = QUICK, around: Surroundings | None = None
) -> ModelClient:
    return open_model(parse_model(name), server.environ(), limits, around)


def _outcome(client: ModelClient, seconds: float | None = None) -> ModelReply | ModelFault:
    try:
        return client.complete(REQUEST, seconds)
    except ModelFault as fault:
        return fault


def _descriptors() -> list[str]:
    """What this process holds open; the server's own are closed by then."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(str(descriptor.readlink()))
    return sorted(one for one in found if one.startswith("socket"))


@contextlib.contextmanager
def _nothing_is_left() -> Iterator[None]:
    """No thread and no socket more than before."""
    threads, sockets = set(threading.enumerate()), _descriptors()
    yield
    for thread in set(threading.enumerate()) - threads:
        thread.join(LONG)
    assert set(threading.enumerate()) <= threads
    if _descriptors() != sockets:
        gc.collect()
    assert _descriptors() == sockets


def _assert_bare(error: BaseException) -> None:
    """No cause, no context and no frame of the transport, whose variables may hold what was sent."""
    assert error.__cause__ is None and error.__context__ is None
    assert "transport.py" not in "".join(traceback.format_exception(error))


# Fault, its kind (or the reply's text), how often it is tried, and words that its message must hold.
ENDINGS: list[tuple[Fault, str, int, str]] = [
    (Fault("rate_limited"), "rate_limited", 4, "tried 4 times.* fallback"),
    (Fault("rate_limited", retry_after="0"), "rate_limited", 4, "tried 4 times"),
    (Fault("rate_limited", retry_after="3600"), "rate_limited", 1, "asks to wait 3600 seconds"),
    (Fault("server_error"), "unavailable", 4, r"status 500.*Internal server error.*Try again later"),
    (Fault("overloaded"), "unavailable", 4, "Overloaded"),
    (Fault("quota"), "over_quota", 1, "Top up"),
    (Fault("html"), "malformed", 1, "web page.*base URL"),
    (Fault("cut"), "malformed", 1, "no whole JSON object"),
    (Fault("deep"), "malformed", 1, "no whole JSON object"),
    (Fault("compressed"), "malformed", 1, "compresses"),
    (Fault("flood", bytes=50_000_000), "too_large", 1, "more than 8 MiB"),
    (Fault("reset"), "connection", 4, "broke off.*Check the network"),
    (Fault("reset_midway"), "connection", 4, "broke off"),
    (Fault("hang_up"), "connection", 4, "no whole HTTP reply"),
    (Fault("no_http"), "connection", 4, "no whole HTTP reply"),
    (Fault("redirect"), "bad_request", 1, "another address.*base URL"),
    (Fault("echo"), "bad_request", 1, r"You sent \[key\]"),
    (Fault("error_in_success"), "unavailable", 4, "had an error"),
    (Fault("empty"), "", 1, ""),
    (Fault("null"), "", 1, ""),
    (Fault("odd_types"), "", 1, ""),
    (Fault("surrogates"), '{"answer": "?"} ?', 1, ""),
]
HANGING = [Fault("drip"), Fault("drip_headers"), Fault("slow", seconds=600.0)]


def test_every_fault_of_the_server_is_tried_here() -> None:
    assert {fault.name for fault, *_ in ENDINGS} | {fault.name for fault in HANGING} == set(FAULTS)


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize(("fault", "kind", "tries", "words"), ENDINGS, ids=lambda x: getattr(x, "name", None))
def test_a_fault_ends_typed_and_says_what_to_do(
    name: str, fault: Fault, kind: str, tries: int, words: str
) -> None:
    with _nothing_is_left(), FakeModels([fault]) as server:
        outcome = _outcome(_client(name, server))
        assert server.attempts == tries
    if isinstance(outcome, ModelFault):
        assert outcome.kind == kind and outcome.hint
        assert re.search(words, str(outcome)), str(outcome)
        _assert_bare(outcome)
    else:
        assert (outcome.text, outcome.refusal) == (kind, "")
        with pytest.raises(ReplyRejected):
            parse_answer(outcome.text, LeverChoice)


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize("fault", HANGING, ids=lambda fault: fault.name)
def test_a_server_that_hangs_or_drips_is_left_at_the_deadline(name: str, fault: Fault) -> None:
    with _nothing_is_left(), FakeModels([fault]) as server:
        client = _client(name, server)
        begin = time.monotonic()
        outcome = _outcome(client, SHORT)
        took = time.monotonic() - begin
    assert isinstance(outcome, ModelFault) and outcome.kind == "timeout"
    assert f"{name} sent no whole reply within {SHORT:g} seconds" in str(outcome)
    assert SHORT <= took < LONG


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_reply_of_another_schema_and_a_cut_one_are_refused_by_the_parser(name: str) -> None:
    with FakeModels(['{"lever": "rew', '{"colour": "red"}', Said(refusal="No.")]) as server:
        client = _client(name, server)
        for words in ("cut off", "lever: Field required.*colour: Extra inputs"):
            reply = client.complete(REQUEST)
            with pytest.raises(ReplyRejected, match=words):
                parse_answer(reply.text, LeverChoice)
        assert client.complete(REQUEST).refusal == "No."


@pytest.mark.parametrize("name", [*PROVIDERS, "ollama:m"])
def test_an_unknown_model_a_bad_key_and_a_wrong_address_are_told_apart(name: str) -> None:
    prefix = {"openai": "OPENAI", "anthropic": "ANTHROPIC"}.get(name.split(":")[0], "EXPERIMENTER_COMPAT")
    with FakeModels(models=["other"]) as server:
        gone = _outcome(_client(name, server))
        wrong_key = server.environ() | {f"{prefix}_API_KEY": CANARY}
        bad = _outcome(open_model(parse_model(name), wrong_key, QUICK))
        elsewhere = server.environ() | {
            f"{prefix}_BASE_URL": f"{server.anthropic_url}/elsewhere",
            "OLLAMA_HOST": server.anthropic_url,
        }
        lost = _outcome(open_model(parse_model(name), elsewhere, QUICK))
        assert isinstance(gone, ModelFault) and isinstance(bad, ModelFault) and isinstance(lost, ModelFault)
    assert gone.kind == "unknown_model" and "no model m at" in str(gone)
    if name.startswith("ollama"):
        assert "ollama pull m" in gone.hint
    else:
        assert (bad.kind, lost.kind) == ("bad_key", "bad_request")
        assert f"Check {prefix}_API_KEY" in bad.hint and "[key]" in str(bad)
        assert "Check the base URL" in lost.hint


def test_a_request_that_is_too_long_for_the_model_says_so() -> None:
    from experimenter.planners.llm.statuses import fault_of_status

    endpoint = endpoint_for("openai", {"OPENAI_API_KEY": KEY})
    said = {
        "error": {"code": "context_length_exceeded", "message": "This model's maximum is \x1b[2J 8k tokens."}
    }
    fault = fault_of_status(400, {}, json.dumps(said).encode(), parse_model("openai:m"), endpoint)
    assert fault.kind == "too_large" and "longer context" in fault.hint and "\x1b" not in str(fault)


def _highest_memory() -> float:
    """MiB at the highest since the mark was last reset."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def test_a_flood_of_200_megabytes_is_cut_off_in_little_memory() -> None:
    with FakeModels([Fault("flood")]) as server:
        for name in PROVIDERS:
            Path("/proc/self/clear_refs").write_text("5")
            before = _highest_memory()
            outcome = _outcome(_client(name, server))
            assert isinstance(outcome, ModelFault) and outcome.kind == "too_large"
            assert _highest_memory() - before < 60
        assert server.flooded < 3 * 60_000_000


def test_a_wait_that_a_service_asks_for_is_kept_where_there_is_time() -> None:
    slept: list[float] = []
    around = Surroundings(sleep=slept.append, clock=lambda: sum(slept))
    with FakeModels([Fault("rate_limited", retry_after="7"), "ok"]) as server:
        reply = _client("anthropic:m", server, Limits(seconds=60.0), around).complete(REQUEST)
        assert (reply.attempts, sum(slept), reply.seconds) == (2, 7.0, 7.0)
        assert max(slept) <= 0.25, "in slices, so that a run asked to stop does not sleep on"
        assert server.attempts == 2


def test_waits_grow_and_a_call_has_its_end() -> None:
    slept: list[float] = []
    around = Surroundings(sleep=slept.append, clock=lambda: sum(slept), chance=lambda: 0.0)
    with FakeModels([Fault("server_error")]) as server:
        client = _client("openai:m", server, Limits(seconds=100.0, attempts=6, longest_pause=4.0), around)
        with pytest.raises(ModelFault, match="tried 6 times"):
            client.complete(REQUEST)
        assert sum(slept) == 0.5 + 1 + 2 + 4 + 4
        with pytest.raises(ModelFault, match="tried 3 times"):
            client.complete(REQUEST, 2.0)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "12"}, 12.0),
        ({"retry-after": "12", "retry-after-ms": "250"}, 0.25),
        ({"retry-after": "-5"}, 0.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "1e999"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
        ({"retry-after": "Thu, 99 Jan 1970 00:00:00 GMT"}, None),
        ({}, None),
    ],
)
def test_every_way_to_ask_for_a_wait_is_understood_or_ignored(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert seconds_to_wait(headers) == seconds


def test_a_run_that_is_asked_to_stop_waits_no_longer() -> None:
    asked_to_stop = threading.Event()

    def answer(asked: object) -> Fault:
        asked_to_stop.set()
        return Fault("slow", seconds=600.0)

    for name in PROVIDERS:
        asked_to_stop.clear()
        with _nothing_is_left(), FakeModels(answer) as server:
            client = _client(name, server, around=Surroundings(stop=asked_to_stop.is_set))
            with pytest.raises(Stopped) as caught:
                client.complete(REQUEST, LONG * 5)
            _assert_bare(caught.value)


def test_the_breaker_opens_answers_at_once_and_half_opens_by_the_clock() -> None:
    now = [0.0]
    breaker = Breaker(threshold=3, rest=30.0, clock=lambda: now[0])
    turns: list[Fault | str] = [Fault("server_error")]
    with FakeModels(lambda asked: turns[0]) as server:
        wire = Wire(
            parse_model("openai:m"),
            endpoint_for("openai", server.environ()),
            Limits(seconds=30.0, attempts=1),
            breaker=breaker,
        )
        client = OpenAIClient(wire)
        for _ in range(3):
            assert _outcome(client).kind == "unavailable"  # type: ignore[union-attr]
        for _ in range(5):
            opened = _outcome(client)
            assert isinstance(opened, ModelFault) and "left alone for another 30 seconds" in str(opened)
            assert opened.retry_after == 30.0
        assert server.attempts == 3, "while it is open nobody is asked"
        now[0] = 31.0
        _outcome(client)
        assert server.attempts == 4, "half open: one call"
        assert "another 30 seconds" in str(_outcome(client))
        now[0], turns[0] = 62.0, "ok"
        assert isinstance(_outcome(client), ModelReply)
        assert isinstance(_outcome(client), ModelReply)
        assert server.attempts == 6


def test_half_open_lets_one_through_and_our_own_mistakes_do_not_count() -> None:
    now = [0.0]
    breaker = Breaker(threshold=2, rest=10.0, clock=lambda: now[0])
    fault = ModelFault("It is away.", kind="connection")
    for _ in range(50):
        breaker.enter("it")
        breaker.leave(ModelFault("No such model.", kind="unknown_model"))
    for _ in range(2):
        breaker.enter("it")
        breaker.leave(fault)
    now[0] = 11.0
    breaker.enter("it")
    with pytest.raises(ModelFault, match="call under way"):
        breaker.enter("it")
    breaker.abandon()
    breaker.enter("it")
    breaker.leave(ModelFault("Too often.", kind="rate_limited", retry_after=10**9))
    now[0] = 11.0 + 599
    with pytest.raises(ModelFault):
        breaker.enter("it")
    now[0] = 11.0 + 601
    breaker.enter("it")


def _hang_up() -> Iterator[str]:
    """A port that takes no more connections: its queue is full, so that connecting hangs."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        with contextlib.ExitStack() as waiting:
            for _ in range(4):
                one = waiting.enter_context(socket.socket())
                one.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    one.connect(full.getsockname())
            yield f"http://127.0.0.1:{full.getsockname()[1]}/v1"


def _silence(scheme: str) -> Iterator[str]:
    """A port where everything is taken and nothing is said: a handshake that never ends."""
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen(8)
        yield f"{scheme}://127.0.0.1:{mute.getsockname()[1]}/v1"


HANGING_PLACES: dict[str, Callable[[], Iterator[str]]] = {
    "connect": _hang_up,
    "tls": lambda: _silence("https"),
    "reply": lambda: _silence("http"),
}


@pytest.mark.parametrize("place", sorted(HANGING_PLACES))
def test_a_connection_that_never_comes_about_ends_at_the_deadline(place: str) -> None:
    with contextlib.contextmanager(HANGING_PLACES[place])() as url:
        client = open_model(parse_model("openai-compat:m"), {"EXPERIMENTER_COMPAT_BASE_URL": url}, QUICK)
        with _nothing_is_left():
            begin = time.monotonic()
            outcome = _outcome(client, SHORT)
            assert SHORT <= time.monotonic() - begin < LONG
    assert isinstance(outcome, ModelFault) and outcome.kind == "timeout"


def test_a_resolver_that_hangs_is_left_and_asked_by_one_thread_only() -> None:
    answered = threading.Event()
    calls: list[str] = []

    def resolve(host: str, port: int) -> list[object]:
        calls.append(host)
        answered.wait(LONG)
        return []

    around = Surroundings(resolve=resolve)
    url = {"EXPERIMENTER_COMPAT_BASE_URL": "http://models.invalid/v1"}
    with _nothing_is_left():
        client = open_model(parse_model("openai-compat:m"), url, QUICK, around)
        for _ in range(3):
            outcome = _outcome(client, 0.3)
            assert isinstance(outcome, ModelFault) and outcome.kind == "timeout"
        assert calls == ["models.invalid"]
        answered.set()


def test_names_that_do_not_resolve_ports_that_refuse_and_wrong_protocols_are_told_apart() -> None:
    def nowhere(host: str, port: int) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with FakeModels() as server:
            cases = [
                ("http://models.invalid/v1", "cannot be resolved"),
                (f"http://127.0.0.1:{port}/v1", "nothing answers at that port"),
                (f"https://127.0.0.1:{server.port}/v1", "does not speak TLS"),
            ]
            for url, words in cases:
                environ = {"EXPERIMENTER_COMPAT_BASE_URL": url}
                around = Surroundings(resolve=nowhere)
                outcome = _outcome(open_model(parse_model("openai-compat:m"), environ, QUICK, around))
                assert isinstance(outcome, ModelFault) and outcome.kind == "connection"
                assert words in str(outcome) and url in str(outcome)


def test_a_second_address_is_tried_where_the_first_does_not_answer() -> None:
    with FakeModels() as server:
        refused = (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 9))
        works = (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", server.port))
        around = Surroundings(resolve=lambda host, port: [refused, refused, works])
        environ = {"EXPERIMENTER_COMPAT_BASE_URL": f"http://models.invalid:{server.port}/v1"}
        client = open_model(parse_model("openai-compat:m"), environ | {"NO_PROXY": "*"}, QUICK, around)
        assert client.complete(REQUEST).text == "ok"


def test_a_certificate_is_checked_and_a_trusted_one_is_spoken_to(tmp_path: Path, monkeypatch) -> None:
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
    ]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("openssl is needed to make a certificate")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    long = ModelRequest(messages=(Message(role="user", text="x" * 3_000_000),))
    with FakeModels(tls=context) as server:
        client = open_model(parse_model("openai:m"), server.environ(), QUICK)
        try:
            transport.trust.cache_clear()
            with pytest.raises(ModelFault, match="its certificate is not trusted"):
                client.complete(long)
            monkeypatch.setenv("SSL_CERT_FILE", str(cert))
            transport.trust.cache_clear()
            assert client.complete(long).text == "ok"
        finally:
            transport.trust.cache_clear()


@pytest.mark.parametrize("name", PROVIDERS)
def test_the_key_is_shown_nowhere(name: str) -> None:
    """Not in words, tracebacks with all their variables, records or logs, whatever goes wrong and at any log level."""
    told = io.StringIO()
    handler = logging.StreamHandler(told)
    root = logging.getLogger()
    loggers = {
        one: one.level
        for one in [root, *map(logging.getLogger, ("openai", "anthropic", "httpx2", "httpcore2"))]
    }
    root.addHandler(handler)
    try:
        for logger in loggers:
            logger.setLevel(logging.DEBUG)
        for fault, *_ in [*ENDINGS, *((one, "") for one in HANGING)]:
            _show(name, fault, told)
        with FakeModels(keys=["another"]) as server:
            _show_one(name, server, told)
        with FakeModels(lambda asked: f"Your key is {asked.key}.", keys=[CANARY]) as server:
            _show_one(name, server, told)
    finally:
        root.removeHandler(handler)
        for logger, level in loggers.items():
            logger.setLevel(level)
    text = told.getvalue()
    assert "receive_response_headers" in text and "Traceback" in text, "the loggers did speak"
    assert "[key]" in text, "and what a server quoted was scrubbed"
    assert CANARY not in text


def _show(name: str, fault: Fault, told: io.StringIO) -> None:
    with FakeModels([fault], keys=[CANARY]) as server:
        _show_one(name, server, told)


def _with_the_canary(name: str, server: FakeModels) -> ModelClient:
    """Opened here, so that no variable of the test's own holds the key."""
    keys = {key: CANARY for key in server.environ() if key.endswith("_KEY")}
    return open_model(parse_model(name), server.environ() | keys, QUICK)


def _show_one(name: str, server: FakeModels, told: io.StringIO) -> None:
    client = _with_the_canary(name, server)
    told.write(repr(client) + str(vars(client)) + repr(vars(vars(client)["_wire"])))
    try:
        told.write(client.complete(REQUEST, 0.3).model_dump_json())
    except ModelFault as error:
        told.write(f"{error} {error!r} {error.args} {vars(error)}")
        told.write("".join(traceback.TracebackException.from_exception(error, capture_locals=True).format()))
    told.write(REQUEST.model_dump_json())


def test_a_secret_shows_itself_only_when_it_is_asked_to() -> None:
    secret = Secret(CANARY)
    assert CANARY not in f"{secret} {secret!r} {[secret]} {getattr(secret, '__dict__', '')}"
    assert secret.reveal() == CANARY and secret.scrub(f"<{CANARY}>") == "<[key]>"
    assert Secret("none").scrub("none of it") == "none of it", "a placeholder is no secret"
    with pytest.raises(TypeError, match="never stored"):
        json.dumps(secret, default=lambda one: one.__reduce__())


def test_a_usage_that_is_none_is_unknown() -> None:
    with FakeModels([Fault("odd_types")]) as server:
        for name in PROVIDERS:
            assert _client(name, server).complete(REQUEST).usage == Usage()
