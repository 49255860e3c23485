"""Report and model card as Markdown: the page's figures, in a form that no foreign text can break; and the commands."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from run_samples import HOSTILE, begin, finish, trial, whole_run

from experimenter.cli import main
from experimenter.records import EnvSpec
from experimenter.report import CARD, MARKDOWN, write_reports
from experimenter.report.document import document
from experimenter.report.gather import gather
from experimenter.report.markdown import bullet, code, fenced, heading, md_table, plain
from experimenter.report.model_card import model_card
from experimenter.report.more import look_further
from experimenter.workspace.store import Workspace

RUN = "reach_the_flag"
BAD = HOSTILE + " [x](http://evil.example) ![i](y) | `a` **b** </td> www.evil.example\n# h\n---\n- l\n```"
MARKDOWN_PARSER = MarkdownIt("gfm-like")


def kinds(text: str) -> set[str]:
    """Every kind of token in a document, inline ones too."""
    tokens = MARKDOWN_PARSER.parse(text)
    return {one.type for one in tokens} | {child.type for one in tokens for child in one.children or ()}


def front(card: str) -> dict[str, Any]:
    begin_, body, _ = card.split("---\n", 2)
    assert begin_ == ""
    found: dict[str, Any] = yaml.safe_load(body)
    return found


def texts(store: Workspace, run: str = RUN) -> dict[str, str]:
    """Both documents, without the page and its pictures."""
    data = gather(store, run)
    more = look_further(store, data)
    return {MARKDOWN: document(data, more), CARD: model_card(data, more) or ""}


@pytest.fixture
def written(workspace: Path) -> dict[str, str]:
    with Workspace.open(whole_run(workspace)) as store:
        return texts(store)


def test_the_markdown_has_the_pages_figures(written: dict[str, str]) -> None:
    text = written[MARKDOWN]
    assert text.startswith("# reach the flag\n")
    for words in (
        "−103 (−106.3 to −99)",
        "helped, p = 0.016",
        "| learning steps | 950,000 | 1,000,000 | 95 % |",
        "| controls | 950,000 |",
        "experimenter run 'reach the flag' --env MountainCar-v0 --seed 7",
        "lower half of rung 1",
        "Potential differences of height",
        "def reward(t):",
        "training seeds, winner",
        "gymnasium 1.2.0",
    ):
        assert words in text, words


def test_the_model_card_is_one_the_hub_reads(written: dict[str, str]) -> None:
    card = written[CARD]
    found = front(card)
    assert found["library_name"] == "rl-experimenter"
    assert {"reinforcement-learning", "MountainCar-v0", "ppo"} <= set(found["tags"])
    (model,) = found["model-index"]
    (result,) = model["results"]
    assert result["dataset"] == {"name": "MountainCar-v0", "type": "MountainCar-v0"}
    metrics = {one["type"]: one["value"] for one in result["metrics"]}
    assert metrics["mean_reward"] == "-102.80 +/- 3.12" and metrics["iqm_true_score"] == -103.0
    assert metrics["success_rate"] == 0.9 and not any(one["verified"] for one in result["metrics"])
    for title in ("Intended use", "Training", "Evaluation", "Limitations", "How to load it"):
        assert f"## {title}" in card
    source = re.findall(r"```python\n(.*?)```", card.partition("## How to load it")[2], re.S)[0]
    ast.parse(source)
    assert "0" * 32 in source


def test_before_a_confirmation_the_card_says_so_and_without_a_policy_there_is_none(workspace: Path) -> None:
    with Workspace.open(workspace) as store:
        one = begin(store)
        store.set_status(RUN, "stopped")
        written = texts(store)
        card, text = written[CARD], written[MARKDOWN]
        assert "Not confirmed" in card and "model-index" not in front(card)
        assert "no verdict yet" in text and "Not there yet: a confirmation of the winner" in text
        store.create_run(one.model_copy(update={"id": "later"}))
        (store.run_folder("later") / CARD).write_text("of an older release")
        assert CARD not in write_reports(store, "later")
        assert not (store.run_folder("later") / CARD).exists()


def test_hostile_text_breaks_neither_document(workspace: Path) -> None:
    with Workspace.open(workspace) as store:
        one = begin(store, wish=BAD)
        finish(store)
        goal = one.goal.model_copy(update={"environment": EnvSpec(id=BAD, kwargs={BAD: BAD})})
        bad = one.model_copy(update={"id": "bad", "goal": goal, "command": ("experimenter", "run", BAD)})
        store.create_run(bad)
        for name, value in store.documents(RUN).items():
            store.put_document("bad", name, value)
        step = "f" * 32
        tried = trial(1, "reward", -101.0, sentence=BAD)
        lost = [item.model_copy(update={"discarded": BAD}) for item in tried.candidates[1:]]
        tried = tried.model_copy(update={"candidates": (tried.candidates[0], *lost), "verdict": BAD})
        store.finish_step("bad", step, "remember", {}, trial=tried)
        written = texts(store, "bad")
        card, whole = written[CARD], written[MARKDOWN]
    assert front(card)["tags"][2].startswith('<script>alert("x")</script>')
    for text in (card.split("---\n", 2)[2], whole):
        assert "\x1b" not in text and "\u202e" not in text
        assert not {"html_block", "html_inline", "link_open", "image", "hr", "lheading_open"} & kinds(text)
        lines = [line for line in text.splitlines() if line.startswith("|")]
        assert lines and all(line.endswith("|") for line in lines)


@given(st.text(max_size=80))
def test_any_words_stay_words(words: str) -> None:
    lone = MARKDOWN_PARSER.parse(plain(words))
    assert {one.type for one in lone} <= {"paragraph_open", "inline", "paragraph_close"}
    inner = {child.type for one in lone for child in one.children or ()}
    assert inner <= {"text", "text_special", "softbreak"}
    titled = [one for one in MARKDOWN_PARSER.parse(heading(2, words)) if one.type == "heading_open"]
    assert len(titled) == 1
    rows = MARKDOWN_PARSER.parse(md_table(("a", "b"), [(plain(words), code(words))]))
    assert sum(one.type == "td_open" for one in rows) == 2
    listed = MARKDOWN_PARSER.parse(bullet([plain(words), "second"]))
    assert sum(one.type == "list_item_open" for one in listed) == 2


@given(st.text(alphabet="`~a\n ", max_size=60))
def test_no_source_ends_its_block(source: str) -> None:
    tokens = MARKDOWN_PARSER.parse(fenced(source, "python") + "\n\nafter")
    assert [one.type for one in tokens] == ["fence", "paragraph_open", "inline", "paragraph_close"]


def test_the_report_command_and_its_formats(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EXPERIMENTER_WORKSPACE", str(whole_run(workspace)))
    folder = workspace / "runs" / RUN
    assert main(["report", "--format", "all"]) == 0
    assert capsys.readouterr().out.split() == [
        str(folder / name) for name in ("report.html", "report.md", "MODEL_CARD.md")
    ]
    copy = tmp_path / "card.md"
    assert main(["report", "--format", "card", "--output", str(copy)]) == 0
    assert copy.read_bytes() == (folder / CARD).read_bytes()
    capsys.readouterr()
    assert main(["report", "--format", "all", "--output", str(copy)]) == 2
    assert main(["report", "--format", "htm"]) == 2
    assert "html" in capsys.readouterr().err
    with Workspace.open(workspace) as store:
        store.create_run(store.run(RUN).model_copy(update={"id": "later"}))
    assert main(["report", "later", "--format", "card"]) == 2
    assert "no policy yet" in capsys.readouterr().err


def test_reward_explain(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("EXPERIMENTER_WORKSPACE", str(whole_run(workspace)))
    assert main(["reward", "explain", "latest", "t1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    first = found["candidates"][0]
    assert (found["run"], found["trial"], first["design"], first["best"]) == (RUN, "t1", "climb_1", True)
    shown = {one["name"]: one for one in first["components"]}
    assert shown["higher"]["share"] == 0.52 and shown["higher"]["mean"] == [0.01, 0.05]
    assert shown["arrived"]["correlation"] == 0.99 and first["program"]["name"] == "climb_and_speed"
    assert main(["reward", "explain", "latest", "t1"]) == 0
    text = capsys.readouterr().out
    for words in (
        "★ climb_1",
        "52 %",
        "0.99",
        "goes with the true score",
        "def reward(t):",
        "lower half of rung 1",
    ):
        assert words in text, words
    assert main(["reward", "explain", "latest", "t9"]) == 2


def test_reward_explain_prints_hostile_words_as_text(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EXPERIMENTER_WORKSPACE", str(workspace))
    with Workspace.open(workspace) as store:
        begin(store)
        one = trial(5, "reward", -101.0, sentence=HOSTILE)
        lost = one.candidates[1].model_copy(update={"discarded": HOSTILE})
        store.finish_step(
            RUN,
            "f" * 32,
            "remember",
            {},
            trial=one.model_copy(update={"candidates": (*one.candidates, lost)}),
        )
    assert main(["reward", "explain", RUN, "t5"]) == 0
    text = capsys.readouterr().out
    assert "\x1b" not in text and "\u202e" not in text and '<script>alert("x")</script>[bold]' in text
