"""The test of success that was written from the wish, for a person to read: its source, its gate, what it said.

It stands apart from the verdict on purpose: generated code makes no figure of the judge.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from experimenter.records import Json
from experimenter.report.gather import ReportData
from experimenter.report.highlight import highlighted
from experimenter.report.html import Html, el, table
from experimenter.report.lines import number, percent
from experimenter.report.markdown import fenced, heading, md_table, plain
from experimenter.success import (
    SHARES,
    TEST,
    ArmShares,
    Gate,
    SuccessShares,
    Tried,
    WordedTest,
    highest_share,
    read_shares,
    read_test,
)

__all__ = ["success_document", "success_line", "success_section"]

_TITLE: Final = "Success by a test written from the wish"
_APART: Final = (
    "This is no figure of the judge. No success measure was declared, so the planner wrote a test, and nothing in "
    "this run was chosen, promoted or compared by it. Read it, and judge whether it tests what you wished for."
)
_GATE_HEAD: Final = ("who had to fail", "episodes", "met the test", "steps")
_ARM_HEAD: Final = ("arm", "share of episodes (IQM, 95 % interval)", "training seeds", "share of each")


def success_line(documents: Mapping[str, Json]) -> str:
    """One line about a run's test, from its documents; nothing where no test was proposed."""
    test, shares = read_test(documents.get(TEST)), read_shares(documents.get(SHARES))
    if test is None:
        return ""
    if test.state == "refused":
        return f"test of success written from the wish: refused, {test.gate.reason}"
    if not test.is_frozen:
        return "test of success written from the wish: it was changed after it was frozen, and is not used"
    said = _measured_words(shares) if shares is not None else "the winner has not been tried on it yet"
    return f"test of success written from the wish (not the judge), frozen as {test.hash[:12]}: {said}"


def success_section(data: ReportData) -> Html:
    """The section of the page; nothing where no test was proposed."""
    test, shares = data.success_test, data.success_shares
    if test is None:
        return Html("")
    parts = [el("h2", _TITLE), el("p", _APART, cls="note"), el("p", _state_words(test))]
    if test.state == "accepted":
        parts.append(el("p", _shares_words(shares)))
        if shares is not None and shares.arms:
            parts.append(table(_ARM_HEAD, [_arm_row(one) for one in shares.arms], figures=(1, 2)))
    parts.append(highlighted(test.source))
    parts.append(el("p", _gate_words(test.gate), cls="note"))
    rows = _gate_rows(test.gate)
    if rows:
        parts.append(table(_GATE_HEAD, rows, figures=(1, 2, 3)))
    return el("section", *parts)


def success_document(data: ReportData) -> Iterator[str]:
    """The same in Markdown."""
    test, shares = data.success_test, data.success_shares
    if test is None:
        return
    yield heading(2, _TITLE)
    yield _APART
    yield plain(_state_words(test))
    if test.state == "accepted":
        yield plain(_shares_words(shares))
        if shares is not None and shares.arms:
            yield md_table(_ARM_HEAD, [_plain_row(_arm_row(one)) for one in shares.arms], figures=(1, 2))
    yield fenced(test.source, "python")
    yield plain(_gate_words(test.gate))
    rows = _gate_rows(test.gate)
    if rows:
        yield md_table(_GATE_HEAD, [_plain_row(row) for row in rows], figures=(1, 2, 3))


def _plain_row(row: Sequence[str]) -> tuple[str, ...]:
    return tuple(plain(cell) for cell in row)


def _state_words(test: WordedTest) -> str:
    if not test.is_frozen:
        return f"This is not the test that was frozen, whose hash is {test.hash}: somebody changed it. It is not used."
    after = "" if test.attempts == 1 else f" after {test.attempts} attempts"
    if test.state == "accepted":
        return f"Accepted{after}, and frozen by its hash {test.hash}."
    return f"Refused{after} ({test.gate.reason}): {test.reason} The run went on without it."


def _gate_words(gate: Gate) -> str:
    """How far it came, and what its failures leave possible."""
    words = []
    if gate.rows:
        words.append(
            f"It says one thing of the same transitions always, and {number(gate.rows_met)} of {number(gate.rows)} "
            "transitions made from the environment card meet it, so it can be met."
        )
    if gate.random is not None and not gate.random.met and gate.random.episodes:
        count = gate.random.episodes
        words.append(
            f"{count} failures of {count} random episodes leave a true share of at most "
            f"{percent(highest_share(count))} (95 %)."
        )
    if gate.level:
        words.append(f"Containment: {gate.level}.")
    return " ".join(words)


def _gate_rows(gate: Gate) -> list[tuple[str, ...]]:
    found: list[Tried] = [*((gate.random,) if gate.random else ()), *gate.idle]
    return [(one.name, str(one.episodes), str(one.met), number(one.steps)) for one in found]


def _shares_words(shares: SuccessShares | None) -> str:
    if shares is None:
        return "No confirmed winner has been tried on it."
    words = _measured_words(shares)
    return f"{words[:1].upper()}{words[1:]}."


def _measured_words(shares: SuccessShares) -> str:
    winner = shares.arm("winner")
    if shares.state != "measured" or winner is None:
        return f"not measured: {shares.words}".rstrip(".")
    return (
        f"the winner meets it in {_interval(winner)} of {shares.episodes} held-out episodes per training seed, "
        f"random actions in {percent(shares.random)}"
    )


def _interval(arm: ArmShares) -> str:
    found = arm.interval
    return f"{percent(found.iqm)} ({percent(found.low)} to {percent(found.high)})"


def _arm_row(arm: ArmShares) -> tuple[str, ...]:
    failed = f", {arm.failed} failed" if arm.failed else ""
    each = ", ".join(percent(share) for share in arm.shares)
    return (arm.name, _interval(arm), f"{len(arm.shares)}{failed}", each)
