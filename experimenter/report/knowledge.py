"""What the run knew and what it learned: lessons recalled and written, what later trials said of them, skills kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from experimenter.records import Lesson, Skill, Testimony
from experimenter.report.gather import ReportData
from experimenter.report.html import Html, el, facts, join
from experimenter.report.lines import interval_words, number, percent, signed
from experimenter.report.more import More

__all__ = ["evidence_words", "knowledge_section", "success_words", "testimony_words"]

_MOST: Final = 15
_MOST_OPEN: Final = 8


def knowledge_section(data: ReportData, more: More) -> Html:
    """Recalled, written, kept: only what there is."""
    parts = [
        _recalled(data, more),
        _written(data, more),
        _kept(more.kept),
    ]
    shown = [part for part in parts if part]
    return el("section", el("h2", "What it knew, and what it learned"), *shown) if shown else Html("")


def _recalled(data: ReportData, more: More) -> Html:
    found = more.recalled
    if not (found.lessons or found.skills or found.methods):
        return Html("")
    parts = [
        el("h3", "Recalled from earlier runs"),
        _lessons(data.record.id, found.lessons, more.testimonies),
    ]
    if found.skills:
        parts.append(el("ul", *(el("li", _skill_line(skill)) for skill in found.skills[:_MOST])))
    if found.methods:
        words = "; ".join(f"{one.name}: {one.when}" for one in found.methods[:_MOST])
        parts.append(el("p", f"Methods at hand: {words}."))
    return join(parts)


def _written(data: ReportData, more: More) -> Html:
    if not data.lessons:
        return Html("")
    lessons = tuple(reversed(data.lessons))
    return join([el("h3", "Lessons of this run"), _lessons(data.record.id, lessons, more.testimonies)])


def _lessons(run: str, lessons: Sequence[Lesson], told: Sequence[Testimony]) -> Html:
    """The first few in the open, some more folded, the rest counted."""
    if not lessons:
        return Html("")
    items = [_lesson(one, told) for one in lessons[:_MOST]]
    parts = [el("ul", *items[:_MOST_OPEN])]
    if len(items) > _MOST_OPEN:
        fold = el("summary", f"{len(items) - _MOST_OPEN} more lessons")
        parts.append(el("details", fold, el("ul", *items[_MOST_OPEN:])))
    left = len(lessons) - len(items)
    if left > 0:
        command = el("code", f"experimenter show {run}")
        parts.append(el("p", f"and {left:,} more in the workspace: ", command, cls="note"))
    return join(parts)


def _lesson(one: Lesson, told: Sequence[Testimony]) -> Html:
    notes = [", ".join(one.trials[:5]), evidence_words(one), testimony_words(one, told)]
    return el("li", one.sentence, el("span", " " + "; ".join(note for note in notes if note), cls="note"))


def evidence_words(lesson: Lesson) -> str:
    """The figures that a lesson rests on, in words."""
    parts = [f"{name.replace('_', ' ')} {number(value)}" for name, value in sorted(lesson.evidence.items())]
    if lesson.interval is not None:
        parts.append(f"confirmed at {interval_words(lesson.interval)} over {lesson.interval.seeds} seeds")
    return ", ".join(parts[:6])


def testimony_words(lesson: Lesson, told: Sequence[Testimony]) -> str:
    """What later trials said about a lesson: how many agreed and disagreed, and the last effect."""
    about = [one for one in told if one.lesson == lesson.id]
    if not about:
        return ""
    agreeing = sum(one.agrees for one in about)
    last = about[-1]
    return f"{agreeing} of {len(about)} later trials agree, the last ({last.trial}) with effect {signed(last.effect)}"


def _skill_line(skill: Skill) -> str:
    return f"Skill {skill.name} ({skill.environment.id}): true score {interval_words(skill.score)}."


def success_words(skill: Skill) -> str:
    """Its success with the interval over training seeds, as far as it is known."""
    if skill.success is not None:
        low, high = percent(skill.success.low), percent(skill.success.high)
        return f"{percent(skill.success.iqm)} ({low} to {high} over {skill.success.seeds} training seeds)"
    return "no success measure" if skill.success_rate is None else percent(skill.success_rate)


def _kept(skills: Sequence[Skill]) -> Html:
    if not skills:
        return Html("")
    parts = [el("h3", "Kept as a skill" if len(skills) == 1 else "Kept as skills")]
    for skill in skills[:_MOST]:
        rows: list[tuple[str, object]] = [
            ("skill", skill.name),
            ("what it does", skill.description),
            ("true score", f"{interval_words(skill.score)} over {skill.score.seeds} training seeds"),
            ("success", success_words(skill)),
            ("policy", el("code", skill.policy.hash)),
            ("judge it again", el("code", f"experimenter judge {skill.name} --env {skill.environment.id}")),
        ]
        parts.append(facts(rows))
    return join(parts)
