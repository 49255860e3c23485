"""A model's part in what a terminal shows: the question that waits, what was spent, and who answered in the end."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from exchange_samples import exchange, put, usage
from run_samples import HOSTILE, begin, finish

from experimenter.budget import Ledger
from experimenter.cli.app import main
from experimenter.cli.live import LiveView, PlainLines, Snapshot
from experimenter.cli.progress import Progress, event_words
from experimenter.cli.tables import ledger_words, spent_words, verdict_panel
from experimenter.cli.waiting import Waiting
from experimenter.events import Event
from experimenter.records import Budget
from experimenter.results import Planning, RunResult
from experimenter.workspace.store import Workspace

AT = "2026-11-21T10:00:00+00:00"
LATER = datetime(2026, 11, 21, 10, 0, 12, tzinfo=UTC)
ASKED = {"kind": "write_rewards", "model": "openai:gpt-5", "role": "coder"}
ANSWERED = {
    "kind": "write_rewards",
    "models": ["openai:gpt-5"],
    "tokens": 90,
    "words": "openai:gpt-5 answered",
}


def waiting(data: dict[str, Any]) -> str:
    progress = Progress()
    progress.fold("model.asked", "", data, AT)
    assert progress.waiting is not None
    return progress.waiting.words(LATER)


def test_the_question_that_waits_is_named_with_its_time() -> None:
    assert waiting(ASKED) == "waiting for the model (openai:gpt-5, write_rewards) 12 s"
    assert waiting({"kind": "reflect", "planner": "llm"}) == "waiting for the model (reflect) 12 s"
    assert waiting({"kind": "reflect", "planner": "manual"}) == "waiting for an answer (manual, reflect) 12 s"
    assert waiting({}) == "waiting for the model 12 s"
    assert (
        Waiting("openai:x", "reflect", "yesterday").words(LATER)
        == "waiting for the model (openai:x, reflect)"
    )
    assert "\x1b" not in waiting({"model": f"a:{HOSTILE}", "kind": HOSTILE * 50})
    assert len(waiting({"model": "a:" + "b" * 500, "kind": "c" * 500})) < 140


@pytest.mark.parametrize(
    "over", ["model.answered", "run.stopped", "run.finished", "run.failed", "run.resumed", "run.started"]
)
def test_it_waits_no_more_when_answered_or_ended(over: str) -> None:
    progress = Progress()
    progress.fold("model.asked", "", ASKED, AT)
    for kind in ("training.progress", "note", "rung.finished", "someone.elses"):
        progress.fold(kind, "s", {"words": "hello"}, AT)
        assert progress.waiting == Waiting("openai:gpt-5", "write_rewards", AT)
    progress.fold(over, "", {}, AT)
    assert progress.waiting is None


def test_trainings_go_on_while_a_model_is_asked() -> None:
    progress = Progress()
    progress.fold("training.progress", "s1", {"trial": "t1", "steps": 500, "until": 1000})
    progress.fold("model.asked", "", ASKED, AT)
    progress.fold("training.progress", "s1", {"steps": 750})
    assert progress.trainings["s1"].steps == 750 and progress.stop == "train"


def test_plain_lines_tell_the_answer_and_not_the_question(capsys: pytest.CaptureFixture[str]) -> None:
    with PlainLines() as lines:
        for kind, data in (
            ("model.asked", ASKED),
            ("model.answered", ANSWERED),
            ("note", {"words": "look there"}),
        ):
            lines.event(Event(seq=1, at=AT, run="r", kind=kind, data=data))
    assert capsys.readouterr().err.splitlines() == ["openai:gpt-5 answered", "look there"]
    assert event_words("model.answered", {"words": HOSTILE}) == '<script>alert("x")</script>[bold]&{{}}'
    assert event_words("model.answered", {"kind": "reflect", "tokens": 90, "dollars": None}) == (
        "model answered: kind reflect, tokens 90"
    )


def test_the_live_view_shows_who_is_waited_for_and_what_was_paid() -> None:
    from rich.console import Console

    ledger = Ledger(env_steps=1234, tokens=12_345, dollars=0.5)
    view = LiveView(lambda: Snapshot((), ledger, Budget(env_steps=9000)))
    view._refresh()

    def screen() -> str:
        console = Console(width=150, markup=False)
        with console.capture() as shown:
            console.print(view.picture())
        return shown.get()

    where = "Answer with: experimenter answer one (or save it beside " + "/a" * 80 + "/001-reflect.md)"
    for kind, data in (("model.asked", ASKED), ("note", {"words": where})):
        view.event(Event(seq=1, at=datetime.now(UTC).isoformat(), run="r", kind=kind, data=data))
    assert "1,234 of 9,000 steps, 12,345 tokens, $0.50" in screen()
    assert (
        "waiting for the model (openai:gpt-5, write_rewards) " in screen() and "/001-reflect.md" in screen()
    )
    ledger = Ledger(env_steps=1234, tokens=13_000, dollars=0.6)
    view.event(Event(seq=2, at=AT, run="r", kind="model.answered", data=ANSWERED))
    assert "waiting" not in screen() and "13,000 tokens, $0.60" in screen()


def test_an_unknown_price_is_never_shown_as_nothing() -> None:
    none, some = (
        Ledger(tokens=700, unpriced_tokens=700),
        Ledger(tokens=900, dollars=0.25, unpriced_tokens=700),
    )
    assert ledger_words(none) == "0 learning steps, 0 s, 700 tokens, price unknown"
    assert ledger_words(some) == "0 learning steps, 0 s, 900 tokens, at least $0.25"
    assert ledger_words(Ledger(tokens=900, dollars=0.25)) == "0 learning steps, 0 s, 900 tokens, $0.25"
    assert ledger_words(Ledger(env_steps=5)) == "5 learning steps, 0 s"
    limits = Budget(env_steps=1000, tokens=5000, dollars=2.0)
    assert spent_words(some, limits) == "0 of 1,000 steps, 900 of 5,000 tokens, at least $0.25 of $2.00"
    assert spent_words(none, Budget(dollars=2.0)) == "price unknown of $2.00, 700 tokens"
    assert spent_words(Ledger(env_steps=5), Budget(env_steps=1000)) == "5 of 1,000 steps"


def test_show_says_who_planned(workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("EXPERIMENTER_WORKSPACE", str(workspace))
    with Workspace.open(workspace) as store:
        begin(store)
        put(store, "reach_the_flag", exchange("reflect", usage()), exchange("reflect", usage(HOSTILE)))
    assert main(["show", "latest"]) == 0
    text = capsys.readouterr().out
    assert "Of 2 questions, language models answered 2. Models: openai:gpt-5, <script>" in text
    assert "Used 2,100 tokens (800 of them cached), $0.04, 4 s of waiting." in text and "\x1b" not in text
    assert "Of 1 reward program by the search planner, 1 passed every check at the first try" in text
    assert main(["show", "latest", "--json"]) == 0
    told = Planning.model_validate(json.loads(capsys.readouterr().out)["planning"])
    assert told.spent.input_tokens == 2000 and told.questions[0].asked == 2


def test_the_end_of_a_run_says_it_once(workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    from rich.console import Console

    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("EXPERIMENTER_WORKSPACE", str(workspace))
    from experimenter.report.planning import planning

    with Workspace.open(workspace) as store:
        begin(store)
        found = planning([exchange("reflect", usage())], store.trials("reach_the_flag"))
        put(store, "reach_the_flag", exchange("reflect", usage()))
        result = finish(store).model_copy(update={"planning": found})
        store.put_document("reach_the_flag", "result", result.model_dump(mode="json"))
    console = Console(width=120)
    with console.capture() as shown:
        console.print(verdict_panel(RunResult.model_validate(result), workspace))
    assert "Of 1 question, language models answered 1." in shown.get()
    assert main(["show", "latest"]) == 0
    assert capsys.readouterr().out.count("Of 1 question, language models answered 1.") == 1
