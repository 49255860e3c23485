"""The report as Markdown: the same figures as the page, without pictures, to be read in a repository or a mail."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from experimenter.report.components import winning_trainings
from experimenter.report.costs import apart, currencies
from experimenter.report.design import phase_facts, winning_design
from experimenter.report.discards import discard_groups
from experimenter.report.films import caption
from experimenter.report.gather import ReportData
from experimenter.report.history import lineage, program_history
from experimenter.report.knowledge import evidence_words, success_words, testimony_words
from experimenter.report.lines import interval_words, number, percent, signed, trial_line, without_kind
from experimenter.report.markdown import bullet, code, fenced, heading, md_table, plain
from experimenter.report.more import More
from experimenter.report.planner import planner_document
from experimenter.report.reproduce import command_words, hash_facts, run_facts, seed_facts
from experimenter.report.search import notable_trials
from experimenter.report.success import success_document
from experimenter.report.traces import paid
from experimenter.report.wording import component_words

__all__ = ["document"]

_MOST: Final = 15
_LONGEST_DIFF: Final = 200


def document(data: ReportData, more: More) -> str:
    """The whole text of ``report.md``."""
    parts = [
        *_verdict(data),
        *_arms(data),
        *_films(more),
        *success_document(data),
        *_design(data),
        *_components(data),
        *_search(data),
        *_discards(data),
        *planner_document(data),
        *_knowledge(data, more),
        *_costs(data, more),
        *_reproduce(data, more),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _verdict(data: ReportData) -> Iterator[str]:
    goal = data.record.goal
    yield heading(1, goal.wish)
    status = data.result.status if data.result is not None else data.record.status
    yield f"{code(goal.environment.id)} · run {code(data.record.id)} · {status}"
    if data.result is not None and data.result.sentence:
        yield f"**{plain(data.result.sentence)}**"
        if data.result.why_ended:
            yield f"The run ended because: {plain(data.result.why_ended)}."
    else:
        yield "**This run has no verdict yet.**"
    error = data.record.error or (data.result.error if data.result else "")
    if error:
        yield f"What went wrong: {plain(without_kind(error))} {plain(data.record.hint)}".rstrip()
    if data.missing:
        yield f"Not there yet: {plain(', '.join(data.missing))}."


def _arms(data: ReportData) -> Iterator[str]:
    if not data.arms:
        return
    yield heading(2, "Winner and controls")
    versus = {one.control: one for one in data.comparisons}
    rows = []
    for story in data.arms:
        arm, found = story.arm, versus.get(story.arm.name)
        words = (
            ""
            if found is None
            else f"{found.label}, p = {found.p:.3f}, difference {signed(found.difference)}"
        )
        figures = (interval_words(arm.interval), percent(arm.success_rate), str(arm.interval.seeds))
        rows.append((plain(arm.name), *figures, number(arm.env_steps), words))
    head = (
        "arm",
        "true score (IQM, 95 % interval)",
        "success",
        "seeds",
        "learning steps",
        "winner against it",
    )
    yield md_table(head, rows, figures=(1, 2, 3, 4))


def _films(more: More) -> Iterator[str]:
    shown = [film for film in more.films if film.gif]
    if shown:
        yield heading(2, "How they act")
        arms = [(plain(film.note.arm), film) for film in shown]
        yield "\n\n".join(
            f"![{arm}](media/{film.note.arm}.gif) {arm}: {caption(film.note)}" for arm, film in arms
        )


def _design(data: ReportData) -> Iterator[str]:
    design = winning_design(data)
    if design is None:
        return
    yield heading(2, "The winning design" if data.winner else "The best design so far, not confirmed")
    yield f"{code(design.name)}, from {plain(design.origin)}, {number(design.steps)} learning steps."
    for phase in design.phases:
        mixture, settings = phase_facts(phase)
        yield f"Trained on {plain(mixture)}, with {plain(design.algorithm.upper())}: {plain(settings)}."
        if phase.reward is None:
            yield "Paid by the environment's own (native) reward: no reward program."
        else:
            yield f"Reward program {code(phase.reward.name)}:"
            yield fenced(phase.reward.source, "python")
    yield from _came_about(data)
    for revision in reversed(program_history(data.trials, design)):
        if revision.diff:
            yield f"Change to {code(revision.program.name)} (trial {plain(revision.trial or 'unknown')}):"
            yield fenced("\n".join(revision.diff[:_LONGEST_DIFF]), "diff")


def _came_about(data: ReportData) -> Iterator[str]:
    line = lineage(data.trials, data.winning_trial)
    if len(line) > 1:
        yield heading(3, "How it came about")
        rows = [(plain(a.trial), a.lever, plain(a.changed), number(a.score), number(a.effect)) for a in line]
        yield md_table(("trial", "lever", "what it changed", "true score", "effect"), rows, figures=(3, 4))


def _components(data: ReportData) -> Iterator[str]:
    found = paid(winning_trainings(data))
    if not found:
        return
    yield heading(2, "What the reward paid for")
    yield bullet(plain(words) for words in component_words(found))
    rows = [
        (
            plain(one.name),
            percent(one.share),
            number(one.mean[-1] if one.mean else None, 3),
            number(one.correlation),
        )
        for one in found[:_MOST]
    ]
    head = ("component", "share of reward", "mean at the end", "correlation with true return")
    yield md_table(head, rows, figures=(1, 2, 3))


def _search(data: ReportData) -> Iterator[str]:
    if not data.trials:
        return
    yield heading(2, "The search")
    lines = [trial_line(trial) for trial in notable_trials(data.trials)]
    rows = [
        (
            plain(one.id),
            plain(one.lever),
            f"{one.candidates}, {one.discarded} dropped",
            number(one.score),
            percent(one.success_rate),
            number(one.effect),
            plain(", ".join(one.faults) or "none"),
        )
        for one in lines
    ]
    head = ("trial", "lever", "candidates", "true score", "success", "effect", "faults of its best")
    yield md_table(head, rows, figures=(2, 3, 4, 5))
    left = len(data.trials) - len(lines)
    if left:
        yield f"And {left:,} more trials in the workspace: {code(f'experimenter show {data.record.id}')}"


def _discards(data: ReportData) -> Iterator[str]:
    groups = discard_groups(data.trials)
    if not groups:
        return
    yield heading(2, "What was discarded, and why")
    rows = [(plain(g.reason), number(len(g.members)), number(g.steps)) for g in groups[:_MOST]]
    yield md_table(("why", "candidates", "learning steps"), rows, figures=(1, 2))


def _knowledge(data: ReportData, more: More) -> Iterator[str]:
    recalled, own = more.recalled.lessons[:_MOST], tuple(reversed(data.lessons))[:_MOST]
    for title, lessons in (("Recalled from earlier runs", recalled), ("Lessons of this run", own)):
        if lessons:
            yield heading(2, title)
            notes = [
                "; ".join(
                    words for words in (evidence_words(one), testimony_words(one, more.testimonies)) if words
                )
                for one in lessons
            ]
            yield bullet(
                plain(one.sentence) + (f" ({plain(note)})" if note else "")
                for one, note in zip(lessons, notes, strict=True)
            )
    if more.kept:
        yield heading(2, "Kept as a skill")
        yield bullet(
            f"{code(skill.name)}: {plain(skill.description)} True score {interval_words(skill.score)}; "
            f"success {success_words(skill)}."
            for skill in more.kept[:_MOST]
        )


def _costs(data: ReportData, more: More) -> Iterator[str]:
    yield heading(2, "Costs")
    rows = [(one.name, plain(one.spent), plain(one.limit), percent(one.share)) for one in currencies(data)]
    yield md_table(("currency", "used", "budget", "of it"), rows, figures=(1, 2, 3))
    yield md_table(("steps apart", "count", "what they are"), apart(data, more), figures=(1,))


def _reproduce(data: ReportData, more: More) -> Iterator[str]:
    yield heading(2, "How to reproduce")
    yield fenced(command_words(data), "sh")
    facts = [*run_facts(data), *seed_facts(data, more), *hash_facts(data)]
    yield md_table(("what", "value"), [(plain(name), plain(value)) for name, value in facts])
