"""Worker processes: what they may do, and what becomes of those that hang, die or talk nonsense."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experimenter.contracts import Job
from experimenter.execution.local import LocalExecutor
from experimenter.execution.messages import Inbox, WireError, pack

JSON = st.dictionaries(
    st.text(max_size=8), st.one_of(st.integers(), st.text(max_size=20), st.booleans()), max_size=5
)


@given(st.lists(JSON, max_size=5), st.integers(min_value=1, max_value=7))
def test_messages_survive_any_cutting_of_the_stream(messages, size):
    stream = b"".join(pack(message) for message in messages)
    inbox, found = Inbox(), []
    for start in range(0, len(stream), size):
        found += inbox.feed(stream[start : start + size])
    assert found == messages


@pytest.mark.parametrize("data", [b"\xff\xff\xff\xff", b"\x00\x00\x00\x02[]", b"\x00\x00\x00\x03nop"])
def test_nonsense_on_the_wire_is_refused(data):
    with pytest.raises(WireError):
        Inbox().feed(data)


@pytest.fixture
def executor():
    found = LocalExecutor(2)
    yield found
    found.close()


def run(executor, jobs, role, interrupt=lambda: False):
    return {r.id: r for r in executor.run(jobs, role=role, progress=lambda *_: None, interrupt=interrupt)}


def card_job(name, env, silence=60.0, **kwargs):
    payload = {"id": env, "kwargs": kwargs, "judge": None, "steps": 200, "seed": 0}
    return Job(id=name, kind="card", payload=payload, silence=silence)


def test_two_jobs_give_two_results(executor):
    found = run(executor, [card_job("a", "CartPole-v1"), card_job("b", "MountainCar-v0")], "card")
    assert found["a"].value["card"]["spec"]["id"] == "CartPole-v1"
    assert found["b"].value["card"]["spec"]["id"] == "MountainCar-v0"


def test_a_judge_worker_does_nothing_but_judge(executor):
    found = run(executor, [Job(id="x", kind="train", payload={})], "judge")
    assert not found["x"].ok
    assert "does not do 'train'" in found["x"].message


def test_an_unknown_environment_is_a_typed_failure_with_a_suggestion(executor):
    found = run(executor, [card_job("x", "CartPole-v7x")], "card")
    assert found["x"].error == "NotFound"


def test_a_hanging_environment_ends_alone(executor):
    jobs = [
        card_job("hang", "faulty_envs:FaultyHang-v0", silence=3.0),
        card_job("ok", "CartPole-v1", silence=60.0),
    ]
    found = run(executor, jobs, "card")
    assert found["ok"].ok
    assert found["hang"].error == "EnvironmentFault"
    assert "no sign of life" in found["hang"].message


def test_an_interrupt_ends_running_jobs_within_two_seconds(executor):
    began = time.monotonic()
    found = run(
        executor,
        [card_job("hang", "faulty_envs:FaultyHang-v0", silence=60.0)],
        "card",
        interrupt=lambda: time.monotonic() - began > 1.0,
    )
    assert found == {}
    assert time.monotonic() - began < 3.0
