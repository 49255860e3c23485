"""The event log and its projection, which may be torn, cut or deleted at any time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from workspace_samples import opened

from experimenter.events import KINDS, Event, event_line, parse_event, read_events


def test_events_count_from_one_within_each_run(workspace: Path) -> None:
    with opened(workspace, "one", "two") as store:
        store.emit("one", "run.created", {"wish": "w"})
        store.emit("two", "run.created", {})
        store.emit("one", "note", {"words": "x"}, "step")
        assert [(event.seq, event.step) for event in store.events("one")] == [(1, ""), (2, "step")]
        assert [event.seq for event in store.events("two")] == [1]
        assert [event.kind for event in store.events("one", after=1)] == ["note"]
        assert store.events("one", after=2) == ()


def test_the_projection_follows_the_log(workspace: Path) -> None:
    with opened(workspace, "one") as store:
        path = store.run_folder("one") / "events.jsonl"
        assert store.project_events("one") == 0
        for number in range(3):
            store.emit("one", "note", {"words": f"é{number}"})
        assert store.project_events("one") == 3
        store.emit("one", "run.finished", {})
        assert store.project_events("one") == 1
        assert read_events(path) == store.events("one")
        assert set(json.loads(path.read_text().splitlines()[0])) == {
            "v",
            "seq",
            "at",
            "run",
            "step",
            "kind",
            "data",
        }


@pytest.mark.parametrize("harm", ["deleted", "torn", "half", "garbage", "emptied", "ahead", "no line end"])
def test_a_harmed_projection_is_made_whole(workspace: Path, harm: str) -> None:
    with opened(workspace, "one") as store:
        path = store.run_folder("one") / "events.jsonl"
        for number in range(50):
            store.emit("one", "note", {"words": "x" * 4000, "number": number})
        store.project_events("one")
        raw = path.read_bytes()
        other = event_line(Event(seq=900, at="", run="one", kind="note")).encode()
        harmed = {
            "torn": raw + b'{"v":1,"seq":51,"at"',
            "half": raw[: len(raw) // 2],
            "garbage": raw + b"\xff\xfe no json\n",
            "emptied": b"",
            "ahead": raw + other,
            "no line end": raw[:-1],
        }
        path.unlink() if harm == "deleted" else path.write_bytes(harmed[harm])
        store.emit("one", "note", {"words": "last"})
        store.project_events("one")
        assert path.read_bytes().startswith(raw)
        assert read_events(path) == store.events("one")


def test_a_line_longer_than_what_is_read_at_once(workspace: Path) -> None:
    with opened(workspace, "one") as store:
        for size in (300_000, 10, 700_000):
            store.emit("one", "note", {"words": "x" * size})
            assert store.project_events("one") == 1
        assert read_events(store.run_folder("one") / "events.jsonl") == store.events("one")


def test_readers_skip_a_torn_last_line_and_keep_unknown_kinds(tmp_path: Path) -> None:
    known = Event(seq=1, at="t", run="one", kind="a.kind.of.tomorrow", data={"x": 1})
    path = tmp_path / "events.jsonl"
    path.write_text(event_line(known) + event_line(known)[:20])
    assert read_events(path) == (known,)
    assert read_events(tmp_path / "none.jsonl") == ()
    assert known.kind not in KINDS


@given(st.binary(max_size=200))
def test_any_bytes_parse_to_an_event_or_to_nothing(raw: bytes) -> None:
    assert parse_event(raw) is None


@given(
    st.dictionaries(
        st.text(alphabet=st.characters(exclude_categories=["Cs"])), st.integers() | st.booleans()
    ),
    st.text(alphabet=st.characters(exclude_categories=["Cs"])),
)
def test_an_event_is_one_line_and_comes_back(data: dict[str, object], step: str) -> None:
    event = Event(seq=1, at="t", run="one", kind="note", data=data, step=step)
    line = event_line(event).encode()
    assert line.count(b"\n") == 1
    assert parse_event(line) == event
