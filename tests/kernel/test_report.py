"""The report: one safe file that opens offline, with the same figures as the workspace, finished or not."""

from __future__ import annotations

import ast
import base64
import hashlib
import html
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from run_samples import HOSTILE, SOURCE, begin, card, confirm_before, design, finish, record, trial

from experimenter.errors import NotFound
from experimenter.records import EnvSpec
from experimenter.report import write_report
from experimenter.report.facts import space_words
from experimenter.report.highlight import highlighted
from experimenter.report.html import Html, el
from experimenter.report.lines import duration, number, percent, time_range, trial_line, without_kind
from experimenter.report.text import safe_text
from experimenter.workspace.store import Workspace

VOID = {"meta", "img", "source", "br"}


class _Page(HTMLParser):
    """Collects tags, attributes and visible text; fails on tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture
def finished(workspace: Path) -> str:
    with Workspace.open(workspace) as store:
        begin(store)
        finish(store)
        return write_report(store, "reach_the_flag").read_text()


def test_the_verdict_comes_first_with_its_figures(finished: str) -> None:
    text = _Page(finished).text
    assert (
        text.index("reached a true score of -103.0")
        < text.index("Winner and controls")
        < text.index("The search")
    )
    for figure in ("−103 (−106.3 to −99)", "−148 (−163 to −130)", "90 %", "helped, p = 0.016", "950,000"):
        assert figure in text
    assert "experimenter run 'reach the flag' --env MountainCar-v0 --seed 7" in text
    assert "plateau" in text and "lower half of rung 1" in text and "Potential differences of height" in text


def test_it_opens_offline_and_runs_nothing(finished: str) -> None:
    page = _Page(finished)
    assert not {"script", "iframe", "object", "link", "form", "base"} & set(page.tags)
    for name, value in page.attributes:
        assert not name.startswith("on") and name != "style"
        if name in ("src", "srcset", "href"):
            assert value is not None and value.startswith("data:image/svg+xml;base64,")
    policy = next(
        value for name, value in page.attributes if name == "content" and value and "default-src" in value
    )
    style = finished.partition("<style>")[2].partition("</style>")[0]
    mark = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'") and f"'sha256-{mark}'" in policy
    assert "url(" not in style and "@import" not in style


def test_its_pictures_are_valid_drawings_for_light_dark_wide_and_narrow(finished: str) -> None:
    found = re.findall(r"data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)", finished)
    assert len(found) == 12 and len(set(found)) == 12
    for one in found:
        root = ElementTree.fromstring(base64.b64decode(one))
        assert root.tag.endswith("svg")
        assert not [e for e in root.iter() if e.tag.endswith("script")]


def test_the_same_run_gives_the_same_file(workspace: Path, finished: str) -> None:
    with Workspace.open(workspace) as store:
        assert write_report(store, "latest").read_text() == finished


@pytest.mark.parametrize("status", ["running", "stopped", "failed"])
def test_an_unfinished_run_says_what_is_missing(workspace: Path, status: str) -> None:
    with Workspace.open(workspace) as store:
        begin(store)
        store.set_status(
            "reach_the_flag", status, "EnvironmentFault: it raised at step 12", "Look at its step()."
        )  # type: ignore[arg-type]
        text = _Page(write_report(store, "reach_the_flag").read_text()).text
    assert (
        "Not there yet: a confirmation of the winner on fresh seeds , the native control , the verdict"
        in (text.replace(",", " ,"))
    )
    assert "it raised at step 12. Look at its step()." in text and "EnvironmentFault" not in text
    assert "experimenter resume reach_the_flag" in text
    assert "The best design so far, not confirmed" in text
    assert "helped" not in text


def test_a_run_that_never_began(workspace: Path) -> None:
    with Workspace.open(workspace) as store:
        store.create_run(record())
        text = _Page(write_report(store, "reach_the_flag").read_text()).text
        assert "no verdict yet" in text and "the environment card" in text and "No trial has ended" in text
        with pytest.raises(NotFound):
            write_report(store, "reach_the_moon")


def test_a_damaged_document_counts_as_missing(workspace: Path) -> None:
    with Workspace.open(workspace) as store:
        begin(store)
        finish(store)
        store.put_document("reach_the_flag", "result", {"nonsense": True})
        store.put_document("reach_the_flag", "arm:native", {"v": 1, "name": "native"})
        text = _Page(write_report(store, "reach_the_flag").read_text()).text
    assert "the native control" in text and "the verdict" in text and "Winner and controls" in text


def test_earlier_confirmations_stand_beside_the_winner(workspace: Path) -> None:
    with Workspace.open(workspace) as store:
        begin(store)
        finish(store)
        assert "earlier winner" not in write_report(store, "reach_the_flag").read_text()
        confirm_before(store)
        text = _Page(write_report(store, "reach_the_flag").read_text()).text
        assert "earlier winner, confirmation 1 (trial t2) −131 (−136 to −125) 15 % 5 400,000 replaced" in text
        assert "replaces the earlier winner whether it is better or not" in text
        store.put_document("reach_the_flag", "winner:0", {"v": 1, "number": 0, "trial": "t2", "arm": "none"})
        store.put_document("reach_the_flag", "winner", {"trial": "t1", "steps": 100_000, "number": 10**12})
        assert "earlier winner" not in write_report(store, "reach_the_flag").read_text()


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (12.6, 48.4, "13–48 s"),
        (45.0, 121.0, "45 s to 2 minutes"),
        (108.0, 236.0, "2–4 minutes"),
        (110.0, 125.0, "2 minutes"),
        (1200.0, 9000.0, "20 minutes to 2.5 hours"),
        (9000.0, 90_000.0, "2.5–25 hours"),
    ],
)
def test_times_are_told_as_rough_as_they_are(low: float, high: float, words: str) -> None:
    assert time_range(low, high) == words


def test_hostile_text_stays_text(workspace: Path) -> None:
    with Workspace.open(workspace) as store:
        begin(store, wish=HOSTILE)
        bad = card().model_copy(
            update={"summary": HOSTILE, "info_keys": (HOSTILE,), "spec": EnvSpec(id=HOSTILE)}
        )
        store.put_document("reach_the_flag", "card", bad.model_dump(mode="json"))
        step, one = "f" * 32, trial(5, "reward", -101.0, sentence=HOSTILE)
        store.finish_step("reach_the_flag", step, "remember", {}, trial=one)
        text = write_report(store, "reach_the_flag").read_text()
    assert "<script" not in text and "\x1b" not in text and "\u202e" not in text
    assert _Page(text).text.count('<script>alert("x")</script>[bold]&{{}}') >= 4


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_highlighting_loses_nothing_and_builds_only_spans(source: str) -> None:
    page = _Page(highlighted(source))
    assert set(page.tags) <= {"pre", "code", "span"}
    assert "".join(page.words).split() == safe_text(source, lines=True).split()


@pytest.mark.parametrize(
    "source", [SOURCE, "x = (1,\n     2)\ny = f'{x}' \\\n    + '3'\nif x:\n\tpass\n", "def (:"]
)
def test_highlighted_code_keeps_every_character(source: str) -> None:
    shown = html.unescape(re.sub(r"<[^>]+>", "", highlighted(source)))
    assert shown == source.replace("\t", "    ").rstrip() + "\n"
    if "def reward" in source:
        assert '<span class="k">def</span> <span class="f">reward</span>' in highlighted(source)
        ast.parse(shown)


@given(st.text(), st.text())
def test_elements_escape_what_they_hold(words: str, attribute: str) -> None:
    page = _Page(el("p", words, title=attribute))
    assert page.tags == ["p"] and [name for name, _ in page.attributes] == ["title"]
    assert "<" not in str(el("p", words))[3:-4]
    assert str(el("p", Html("<b>x</b>"))) == "<p><b>x</b></p>"


@given(st.text())
def test_safe_text_leaves_no_control_and_is_stable(words: str) -> None:
    found = safe_text(words, lines=True)
    assert not any(
        (ord(c) < 32 and c != "\n") or 127 <= ord(c) < 160 or c in "\u202e\u2066\u2067" for c in found
    )
    assert safe_text(found, lines=True) == found


def test_safe_text_removes_whole_sequences() -> None:
    assert safe_text("a\x1b[31mred\x1b[0m\x1b]52;c;ZXZpbA==\x07b\x1b]0;title\x1b\\c\x9b2Jd") == "aredbcd"
    assert safe_text("tab\there\r\nnext\x00") == "tab    here next"
    assert safe_text("日本 é 🚗") == "日本 é 🚗"


def test_figures_in_words() -> None:
    assert [number(v) for v in (None, 0.0, -103.0, 12345.6, 0.12345, 1.5)] == [
        "–",
        "0",
        "−103",
        "12,346",
        "0.123",
        "1.5",
    ]
    assert (percent(None), percent(0.905)) == ("–", "90 %")
    assert [duration(v) for v in (None, 12.4, 234, 3720)] == ["–", "12 s", "3 min 54 s", "1 h 02 min"]
    assert without_kind("EnvironmentFault: it hangs") == "it hangs"
    assert without_kind("Odd: it hangs") == "Odd: it hangs"


def test_a_trials_line_is_its_winners() -> None:
    line = trial_line(trial(0, "reward", -104.5))
    assert (line.score, line.candidates, line.discarded, line.rung, line.faults) == (
        -104.5,
        3,
        2,
        3,
        ("plateau",),
    )
    judged = trial(0, "reward", -104.5).model_copy(update={"best": None})
    assert trial_line(judged).score == -104.5
    empty = judged.model_copy(update={"candidates": ()})
    assert trial_line(empty).score is None


def test_spaces_in_words() -> None:
    assert space_words({"type": "Discrete", "n": 3, "start": 0}) == "Discrete of 3"
    assert space_words({"type": "Box", "shape": [7, 7, 3]}) == "Box of shape 7 × 7 × 3"
    inner = {
        "type": "Dict",
        "spaces": {"image": {"type": "Box", "shape": [2]}, "at": {"type": "Discrete", "n": 4}},
    }
    assert space_words(inner) == "Dict of image (Box of shape 2), at (Discrete of 4)"


def test_native_design_has_no_program(workspace: Path) -> None:
    with Workspace.open(workspace) as store:
        begin(store)
        result = finish(store)
        assert result.best is not None
        best = result.best.model_copy(update={"design": design("native", 1000, reward=False), "trial": "t0"})
        changed = result.model_copy(update={"best": best})
        store.put_document("reach_the_flag", "result", changed.model_dump(mode="json"))
        text = _Page(write_report(store, "reach_the_flag").read_text()).text
    assert "(native) reward: no reward program" in text and "def reward" not in text
