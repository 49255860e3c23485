"""The report's section on the planner: who answered the run's questions, at what cost, and what of it ran.

Whatever a model, a service or an archive said is foreign: it is clipped and escaped, and stays text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Final

from experimenter.report.gather import ReportData
from experimenter.report.html import Html, el, table
from experimenter.report.lines import duration, number
from experimenter.report.markdown import bullet, code, heading, md_table, plain
from experimenter.report.money import money, token_words
from experimenter.report.planned import (
    SCRIPTED,
    answered_words,
    is_scripted,
    models_words,
    planner_name,
    programs_words,
    replayed_words,
    spent_words,
    times,
)
from experimenter.report.planning import Told, read_told
from experimenter.report.text import clip, safe_text
from experimenter.results import Asked, Instead, Planning, Spent
from experimenter.workspace.exchanges import Exchange

__all__ = ["planner_document", "planner_section"]

_HEAD: Final = (
    "question",
    "asked",
    "answered by",
    "bad replies",
    "repairs",
    "tokens in",
    "tokens out",
    "dollars",
    "waited",
)
_FIGURES: Final = (1, 3, 4, 5, 6, 7, 8)
_LINES: Final = 14
_WIDTH: Final = 160
_MOST_PROGRAMS: Final = 6


def planner_section(data: ReportData) -> Html:
    """Nothing where a built-in planner wrote no program; without models little more than the executable share."""
    found = data.planning
    if found is None:
        return Html("")
    parts = [el("h2", "The planner"), *(el("p", words) for words in _lead(found))]
    if found.questions:
        parts.append(table(_HEAD, [_row(one) for one in found.questions], figures=_FIGURES))
    parts += [el("p", words) for words in _programs(found)]
    if found.instead:
        rows = [(_kind(one.kind), number(one.count), _instead_words(one)) for one in found.instead]
        parts += [el("h3", "Answered by another planner, after a refusal")]
        parts.append(table(("question", "times", "why"), rows, figures=(1,), wide=(2,)))
    parts += [el("p", words, cls="note") for words in _notes(found)]
    if replay := _replay(data, found):
        parts.append(el("p", replay, " ", el("code", _replay_flag(data)), cls="note"))
    if data.said:
        parts.append(_exchanges(data, found))
    return el("section", *parts)


def planner_document(data: ReportData) -> Iterator[str]:
    """The same in Markdown, without the exchanges themselves."""
    found = data.planning
    if found is None:
        return
    yield heading(2, "The planner")
    yield from (plain(words) for words in _lead(found))
    if found.questions:
        rows = [tuple(plain(cell) for cell in _row(one)) for one in found.questions]
        yield md_table(_HEAD, rows, figures=_FIGURES)
    yield from (plain(words) for words in _programs(found))
    if found.instead:
        yield heading(3, "Answered by another planner, after a refusal")
        yield bullet(
            f"{plain(_kind(one.kind))}, {times(one.count)}: {plain(_instead_words(one))}"
            for one in found.instead
        )
    yield from (plain(words) for words in _notes(found))
    if replay := _replay(data, found):
        yield f"{replay} {code(_replay_flag(data))}"


def _lead(found: Planning) -> Iterator[str]:
    if found.questions:
        yield answered_words(found)
        if words := models_words(found):
            yield words
        if found.models and found.spent != Spent():
            yield f"They used {spent_words(found.spent)}."
    yield from map(replayed_words, found.replayed)


def _programs(found: Planning) -> Iterator[str]:
    yield from map(programs_words, found.programs[:_MOST_PROGRAMS])


def _notes(found: Planning) -> Iterator[str]:
    if is_scripted(found):
        yield SCRIPTED
    if found.spent.dollars is None:
        yield "Where a price is unknown, nobody told it: it is not zero, and dollars are a lower bound."
    if any(one.repaired for one in found.programs):
        yield (
            "A program counts as repaired if any check sent it back: while the planner was asked, or before its "
            "training."
        )


def _replay(data: ReportData, found: Planning) -> str:
    if not found.questions or data.record.planner.startswith("replay:"):
        return ""
    return "Every exchange is archived, so that the same decisions can be taken again without asking anybody:"


def _replay_flag(data: ReportData) -> str:
    return f"experimenter run … --planner replay:{data.record.id}"


def _row(one: Asked) -> tuple[str, ...]:
    paid = one.spent
    own = one.replayed < one.asked
    return (
        _kind(one.kind),
        number(one.asked),
        _who(one),
        number(one.rejected),
        number(one.repairs),
        _tokens(paid.input_tokens, own),
        _tokens(paid.output_tokens, own),
        money(paid) if own and paid != Spent() else "–",
        duration(paid.seconds) if paid.seconds else "–",
    )


def _who(one: Asked) -> str:
    parts = [f"{clip(name, 40)} {number(count)}" for name, count in one.answered_by.items()]
    parts += [f"nobody {number(one.refused)}"] if one.refused else []
    return ", ".join(parts) + (f" ({number(one.replayed)} replayed)" if one.replayed else "")


def _tokens(count: int | None, own: bool) -> str:
    if count is None:
        return "unknown"
    return number(count) if own and count else "–"


def _instead_words(one: Instead) -> str:
    return f"{planner_name(one.by)} answered for {planner_name(one.planner)}: {one.reason}"


def _kind(kind: str) -> str:
    return clip(kind.replace("_", " "), 60) or "several"


def _exchanges(data: ReportData, found: Planning) -> Html:
    """The first of them, folded, and each one folded again."""
    every = sum(one.asked for one in found.questions)
    parts = [_exchange(number_, one) for number_, one in enumerate(data.said, start=1)]
    left = every - len(parts)
    if left > 0:
        command = el("code", f"experimenter exchanges {data.record.id}")
        parts.append(el("p", f"and {left:,} more in the workspace: ", command, cls="note"))
    title = f"What was asked and answered: {'the first ' if left > 0 else ''}{len(data.said)}"
    return el("details", el("summary", title), *parts)


def _exchange(place: int, one: Exchange) -> Html:
    told = read_told(one)
    summary = el("summary", f"{place}. {_kind(one.kind)}: {_by(told)}")
    return el(
        "details",
        summary,
        el("p", _figures(told), cls="note"),
        el("pre", el("code", _said(one)), cls="code wrap"),
    )


def _by(told: Told) -> str:
    models = ", ".join(clip(name, 60) for name in told.models[:3])
    if told.refused:
        return f"no answer{f' from {models}' if models else ''}"
    return (
        f"{models} did not, {planner_name(told.by)} did" if told.reason else models or planner_name(told.by)
    )


def _figures(told: Told) -> str:
    parts = [f"{number(told.repairs)} repairs"] if told.repairs or told.rejected else []
    if told.models:
        parts += [token_words(told.spent), money(told.spent)]
    if told.source:
        parts.append(f"replayed from {clip(told.source, 60)}")
    if told.reason:
        parts.append(clip(told.reason, 240))
    return ", ".join(parts) or "no language model was asked"


def _said(one: Exchange) -> str:
    """The first lines of an answer: a program's source as it is, everything else as JSON."""
    held = one.answer if isinstance(one.answer, dict) else {}
    answer = held.get("answer", one.answer)
    return _first_lines(_sources(answer) or json.dumps(_bare(answer), indent=1, ensure_ascii=False))


def _sources(answer: object) -> str:
    programs = answer.get("programs") if isinstance(answer, dict) else None
    items = [item for item in programs if isinstance(item, dict)] if isinstance(programs, list) else []
    return "\n\n".join(f"# {item.get('name', '')}\n{item.get('source', '')}" for item in items)


def _bare(value: object) -> object:
    """Without the versions of records, which tell a reader nothing."""
    if isinstance(value, dict):
        return {key: _bare(item) for key, item in value.items() if key != "v"}
    return (
        [_bare(item) for item in value]
        if isinstance(value, Sequence) and not isinstance(value, str)
        else value
    )


def _first_lines(text: str) -> str:
    lines = safe_text(text[: 4 * _LINES * _WIDTH], lines=True).split("\n")
    shown = [line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…" for line in lines[:_LINES]]
    return "\n".join([*shown, "…"] if len(lines) > _LINES else shown)
