"""The report's first page: what came of the run, in plain words, and the winner beside its controls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from experimenter.records import Comparison
from experimenter.report.gather import ReportData
from experimenter.report.html import Html, el, join, table
from experimenter.report.lines import interval_words, number, percent, signed, without_kind
from experimenter.report.plots import curves_picture, intervals_picture
from experimenter.results import Earlier

__all__ = ["curves_section", "verdict_section"]

_REPLACED: Final = (
    "A run that misses its target searches on with what is left and confirms its next champion, which replaces the "
    "earlier winner whether it is better or not. Only the last one is compared with the controls."
)


def verdict_section(data: ReportData) -> Html:
    """Wish, verdict, what is missing, and the comparison."""
    goal = data.record.goal
    where = f"{goal.environment.id} · run {data.record.id} · {_status(data)}"
    parts = [el("p", where, cls="over"), el("h1", goal.wish), _sentence(data), _trouble(data)]
    if data.arms:
        parts += [_tiles(data), _comparison(data)]
    return el("header", *parts)


def _status(data: ReportData) -> str:
    return data.result.status if data.result is not None else data.record.status


def _sentence(data: ReportData) -> Html:
    if data.result is None or not data.result.sentence:
        return el("p", _no_verdict(data), cls="verdict")
    first, mark, rest = data.result.sentence.partition(". ")
    parts = [el("p", first + mark.strip(), cls="verdict")]
    if rest:
        parts.append(el("p", rest, cls="lead"))
    if data.result.why_ended:
        parts.append(el("p", f"The run ended because: {data.result.why_ended}.", cls="note"))
    return join(parts)


def _no_verdict(data: ReportData) -> str:
    words = {
        "failed": "This run failed, so it makes no claim.",
        "stopped": "This run was stopped before its verdict.",
    }
    return words.get(data.record.status, "This run has no verdict yet.")


def _trouble(data: ReportData) -> Html:
    """Error with its hint, and what a finished run would have besides."""
    error = data.record.error or (data.result.error if data.result else "")
    hint = data.record.hint or (data.result.hint if data.result else "")
    parts: list[Html] = []
    if error:
        parts.append(el("p", el("strong", "What went wrong: "), without_kind(error).rstrip("."), f". {hint}"))
    if data.missing:
        parts.append(el("p", el("strong", "Not there yet: "), ", ".join(data.missing), "."))
        if _status(data) not in ("finished", "created"):
            parts.append(el("p", "Go on with ", el("code", f"experimenter resume {data.record.id}"), "."))
    return el("div", *parts, cls="trouble") if parts else Html("")


def _tiles(data: ReportData) -> Html:
    tiles = []
    winner = data.winner
    if winner is not None:
        score = winner.arm.interval
        detail = f"95 % interval {number(score.low)} to {number(score.high)}, {score.seeds} fresh seeds"
        tiles.append(_tile("true score of the winner", number(score.iqm), detail))
        if winner.arm.success_rate is not None:
            tiles.append(_tile("success", percent(winner.arm.success_rate), "of held-out episodes"))
    for one in data.comparisons:
        detail = (
            f"difference {signed(one.difference)} ({signed(one.low)} to {signed(one.high)}), p = {one.p:.3f}"
        )
        tiles.append(_tile(f"against {one.control}", one.label, detail, mark=one.label))
    return el("div", *tiles, cls="tiles")


def _tile(name: str, figure: str, detail: str, mark: str = "") -> Html:
    return el(
        "div", el("p", name, cls="name"), el("p", figure, cls=f"big {mark}"), el("p", detail), cls="tile"
    )


def _comparison(data: ReportData) -> Html:
    picture = intervals_picture(data.arms)
    parts = [el("h2", "Winner and controls")]
    if picture is not None:
        note = "Dots are training seeds, bars 95 % bootstrap intervals, large marks interquartile means."
        parts.append(el("figure", picture, el("figcaption", note)))
    head = ("arm", "true score (IQM, 95 % interval)", "success", "seeds", "learning steps", "against it")
    versus = {one.control: one for one in data.comparisons}
    rows = [_arm_row(story.arm.name, data, versus.get(story.arm.name)) for story in data.arms]
    rows += [_earlier_row(one) for one in data.earlier]
    parts.append(table(head, rows, figures=(1, 2, 3, 4)))
    parts += _reasons(data.comparisons)
    if data.earlier:
        parts.append(el("p", _REPLACED, cls="note"))
    return el("section", *parts)


def _arm_row(name: str, data: ReportData, versus: Comparison | None) -> Sequence[object]:
    arm = next(story.arm for story in data.arms if story.arm.name == name)
    words = "" if versus is None else f"{versus.label}, p = {versus.p:.3f}"
    score = interval_words(arm.interval)
    return (name, score, percent(arm.success_rate), str(arm.interval.seeds), number(arm.env_steps), words)


def _earlier_row(one: Earlier) -> Sequence[object]:
    name = f"earlier winner, confirmation {one.number} (trial {one.trial.rpartition('/')[2]})"
    score = interval_words(one.true_score)
    return (
        name,
        score,
        percent(one.success_rate),
        str(one.true_score.seeds),
        number(one.env_steps),
        "replaced",
    )


def _reasons(comparisons: Sequence[Comparison]) -> list[Html]:
    return [el("p", f"Against {one.control}: {one.why}.", cls="note") for one in comparisons if one.why]


def curves_section(data: ReportData) -> Html:
    """Learning curves per arm, with what the bands mean."""
    picture = curves_picture(data.arms)
    if picture is None:
        return Html("")
    note = (
        "Interquartile mean over training seeds with its 95 % bootstrap interval; thin lines are single seeds. "
        "Validation episodes choose checkpoints, so the scores above, on other episodes, may differ. "
        "A training that ended early keeps its last value."
    )
    return el("section", el("h2", "Learning curves"), el("figure", picture, el("figcaption", note)))
