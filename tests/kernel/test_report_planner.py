"""What the report shows of a planner: few figures, every foreign word as text, and no run too large for it."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from exchange_samples import exchange, put, source, usage
from markdown_it import MarkdownIt
from run_samples import HOSTILE, SOURCE, begin, finish

from experimenter.budget import Ledger
from experimenter.identity import digest
from experimenter.records import Budget
from experimenter.report import CARD, MARKDOWN, PAGE, write_reports
from experimenter.report.costs import currencies
from experimenter.report.gather import gather
from experimenter.report.model_card import model_card
from experimenter.report.more import look_further
from experimenter.report.planner import planner_document, planner_section
from experimenter.workspace.store import Workspace

RUN = "reach_the_flag"
PROGRAM = {"v": 1, "name": "climb", "source": SOURCE, "origin": "llm", "parents": []}


class _Words(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def section(page: str) -> str:
    """The planner's part of the page, as HTML; empty where there is none."""
    found = re.search(r"<section><h2>The planner</h2>.*?</section>", page, re.S)
    return found[0] if found else ""


def words(markup: str) -> str:
    return " ".join(" ".join(_Words(markup).words).replace("\u00a0", " ").split())


def reports(store: Workspace, *exchanges: Any, spent: Ledger | None = None) -> dict[str, str]:
    """All files of a finished run."""
    begin(store)
    put(store, RUN, *exchanges)
    store.spend(RUN, spent or Ledger())
    finish(store)
    return {name: path.read_text() for name, path in write_reports(store, RUN).items()}


def shown(root: Path, *exchanges: Any) -> str:
    """The section of a run that goes on, as HTML."""
    with Workspace.open(root) as store:
        begin(store)
        put(store, RUN, *exchanges)
        return str(planner_section(gather(store, RUN)))


def test_a_run_that_asked_models_says_who_answered_at_what_price(workspace: Path) -> None:
    note = "The planner llm refused reflect, so search answered it: openai:gpt-5 declined: I would rather not"
    dear = usage(tokens=(9000, 0, 1200), dollars=0.31, repairs=1, rejected=["l 3"], mended=[digest(SOURCE)])
    with Workspace.open(workspace) as store:
        found = reports(
            store,
            exchange("write_rewards", dear, {"programs": [PROGRAM]}),
            exchange("reflect", usage("ollama:qwen", (800, 0, 40), None)),
            exchange("reflect", usage(dollars=0.02, notes=[note], planner="search")),
            exchange("choose_hyperparameters", {"v": 1, "planner": "search"}),
            spent=Ledger(tokens=12_090, dollars=0.33, unpriced_tokens=840),
        )
    text = words(section(found[PAGE]))
    for said in (
        "Of 4 questions, language models answered 2 and the search planner answered 2.",
        "Models: openai:gpt-5 in 2 questions, ollama:qwen in 1 question. Their services call them gpt-5-2025-08-07.",
        "They used 12,090 tokens (400 of them cached), at least $0.33, 6 s of waiting.",
        "write rewards 1 llm 1 1 1 9,000 1,200 $0.31 2 s",
        "reflect 2 llm 1, search 1 0 0 1,800 90 at least $0.02 4 s",
        "choose hyperparameters 1 search 1 0 0 – – – –",
        "Of 1 reward program by the search planner, 0 passed every check at the first try",
        "the search planner answered for language models: openai:gpt-5 declined: I would rather not",
        "experimenter run … --planner replay:reach_the_flag",
        "What was asked and answered: 4",
        "def reward(t):",
    ):
        assert said in text, said
    assert "written by hand" not in text
    assert "dollars at least $0.33 no limit" in words(found[PAGE])
    markdown = found[MARKDOWN]
    assert "| write rewards | 1 | llm 1 | 1 | 1 | 9,000 | 1,200 | \\$0.31 | 2 s |" in markdown
    assert "- reflect, once: the search planner answered for language models" in markdown
    assert "| dollars | at least \\$0.33 | no limit | – |" in markdown
    assert "openai:gpt-5 in 2 questions" in found[CARD] and "written by hand" not in found[CARD]


def test_an_unknown_price_is_said_to_be_unknown(workspace: Path) -> None:
    local = exchange("reflect", usage("ollama:qwen", (800, 0, 40), None))
    assert "They used 840 tokens, price unknown" in words(shown(workspace, local))
    with Workspace.open(workspace) as store:
        store.spend(RUN, Ledger(tokens=840, unpriced_tokens=840))
        data = gather(store, RUN)
    cost = currencies(data)[3]
    assert (cost.name, cost.spent, cost.limit, cost.share) == ("dollars", "price unknown", "no limit", None)
    goal = data.record.goal.model_copy(update={"budget": Budget(dollars=2.0)})
    record = data.record.model_copy(update={"goal": goal})
    partly, known = Ledger(dollars=0.5, unpriced_tokens=840), Ledger(dollars=0.5)
    for ledger, spent, share in ((partly, "at least $0.50", None), (known, "$0.50", 0.25)):
        cost = currencies(replace(data, record=record, ledger=ledger))[3]
        assert (cost.spent, cost.share, cost.limit) == (spent, share, "$2.00")


def test_scripted_answers_are_said_to_be_scripted(workspace: Path) -> None:
    sentence = "were written by hand: this run shows the machinery, not a model"
    assert sentence in shown(workspace, exchange("reflect", usage("scripted:demo.toml", dollars=0.0)))
    with Workspace.open(workspace) as store:
        data = gather(store, RUN)
        assert sentence in "".join(planner_document(data))
        assert sentence in (model_card(data, look_further(store, data)) or "")


def test_a_replay_says_what_it_replays(workspace: Path) -> None:
    used = {"v": 1, "planner": "replay:the_first", "replayed": usage(dollars=0.25)}
    text = words(shown(workspace, exchange("reflect", used)))
    assert (
        "1 answer came from the archive of run the_first. There they had used 1,050 tokens, $0.25; nothing was paid "
        "again." in text
    )
    assert "reflect 1 llm 1 (1 replayed) 0 0 – – – –" in text and "They used" not in text


def test_a_search_run_has_the_executable_share_and_no_empty_tables(workspace: Path) -> None:
    page = shown(workspace, exchange("choose_lever", {}))
    assert words(page) == (
        "The planner Of 1 reward program by the search planner, 1 passed every check at the first try "
        "(100 %, 95 % interval 21 % to 100 %)."
    )
    with Workspace.open(workspace) as store:
        data = gather(store, RUN)
        assert "## The planner" in "\n".join(planner_document(data))
        assert "Language models" not in (model_card(data, look_further(store, data)) or "")
        assert currencies(data)[3].spent == "$0"


def test_hostile_words_of_models_stay_text(workspace: Path) -> None:
    bad = HOSTILE + "](http://x) | `\n# owned"
    note = f"The planner llm refused reflect, so search answered it: {bad}"
    with Workspace.open(workspace) as store:
        found = reports(
            store,
            exchange(
                bad, usage(f"openai:{bad}", served_as=[bad], notes=[note], rejected=[bad]), {bad: [bad]}
            ),
            exchange(
                "write_rewards", usage("x" * 5000), {"programs": [{"name": bad, "source": bad * 200}, 3]}
            ),
            exchange("reflect", {"v": 1, "planner": f"replay:{bad}", "replayed": usage(planner=bad)}),
        )
    page = _Words(found[PAGE])
    assert (
        not {"script", "a", "iframe"} & page.tags
        and "\x1b" not in found[PAGE]
        and "\u202e" not in found[PAGE]
    )
    assert '<script>alert("x")</script>' in " ".join(page.words)
    assert "x" * 81 not in section(found[PAGE])
    for text in (found[MARKDOWN], found[CARD].split("---\n", 2)[2]):
        tokens = [child.type for one in MarkdownIt().parse(text) for child in (one, *(one.children or ()))]
        assert not {"html_block", "html_inline", "link_open"} & set(tokens) and "\x1b" not in text
        assert "\n# owned" not in text


def test_a_long_archive_makes_no_long_report(workspace: Path) -> None:
    few = len(shown(workspace / "few", *_many(50)))
    page = shown(workspace / "many", *_many(400))
    assert len(page) < few + 1000 and page.count("<details>") == 51
    assert "What was asked and answered: the first 50" in page and "and 350 more in the workspace" in page
    assert "Of 400 questions, language models answered 400." in page


def _many(count: int) -> list[Any]:
    long = {"programs": [PROGRAM | {"source": source("a") + "# x\n" * 500}]}
    return [exchange("write_rewards", usage(), long) for _ in range(count)]
