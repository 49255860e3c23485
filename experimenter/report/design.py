"""The winning design: its phases and program, the line of trials that led to it, and its program's history of diffs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from experimenter.records import Design, Json, Phase
from experimenter.report.diffs import diff_block
from experimenter.report.gather import ReportData
from experimenter.report.highlight import highlighted
from experimenter.report.history import Ancestor, Revision, lineage, program_history
from experimenter.report.html import Html, el, join, table
from experimenter.report.lines import number

__all__ = ["phase_facts", "program_section", "winning_design"]

_MOST_REVISIONS: Final = 12


def winning_design(data: ReportData) -> Design | None:
    """The confirmed winner's design, else that of the best trial so far."""
    if data.result is not None and data.result.best is not None:
        return data.result.best.design
    trial = data.winning_trial
    return trial.winner.design if trial is not None and trial.winner is not None else None


def program_section(data: ReportData) -> Html:
    """The winning design with everything it was made of, and how it came about."""
    design = winning_design(data)
    if design is None:
        return Html("")
    title = "The winning design" if data.winner is not None else "The best design so far, not confirmed"
    parts = [el("h2", title)]
    parts.append(el("p", f"{design.name}, from {design.origin}, {number(design.steps)} learning steps."))
    if design.start is not None:
        words = f"It starts from an earlier policy, which took {number(design.lineage_steps)} learning steps."
        parts.append(el("p", words))
    parts += [_phase(design, index) for index in range(len(design.phases))]
    parts.append(_line_of_trials(lineage(data.trials, data.winning_trial)))
    parts.append(_history(program_history(data.trials, design)))
    return el("section", *parts)


def phase_facts(phase: Phase) -> tuple[str, str]:
    """A phase's environments and its settings, in words."""
    mixture = ", ".join(
        _environment(item.environment.id, item.environment.kwargs) for item in phase.environments
    )
    settings = (phase.off_policy or phase.hyperparameters).model_dump(mode="json", exclude={"v"})
    return mixture, ", ".join(f"{name} {value}" for name, value in settings.items())


def _phase(design: Design, index: int) -> Html:
    phase = design.phases[index]
    parts = [el("h3", f"Phase {index + 1} of {len(design.phases)}")] if len(design.phases) > 1 else []
    mixture, settings = phase_facts(phase)
    parts.append(el("p", f"Trained on {mixture}."))
    if phase.reward is None:
        parts.append(el("p", "Paid by the environment's own (native) reward: no reward program."))
    else:
        parts += [el("p", f"Reward program {phase.reward.name}:"), highlighted(phase.reward.source)]
    if phase.methods:
        words = "; ".join(_method(use.name, use.parameters) for use in phase.methods)
        parts.append(el("p", f"Method skills that acted in training: {words}."))
    fold = el("summary", f"{design.algorithm.upper()}, network {design.network.words}: hyperparameters")
    return join([*parts, el("details", fold, el("p", settings))])


def _method(name: str, parameters: Mapping[str, Json]) -> str:
    words = ", ".join(f"{key} {value}" for key, value in sorted(parameters.items()))
    return f"{name} ({words})" if words else name


def _environment(env_id: str, kwargs: Mapping[str, Json]) -> str:
    words = ", ".join(f"{key}={value}" for key, value in sorted(kwargs.items()))
    return f"{env_id} ({words})" if words else env_id


def _line_of_trials(line: Sequence[Ancestor]) -> Html:
    if len(line) < 2:
        return Html("")
    head = ("trial", "lever", "what it changed", "true score", "effect")
    rows = [(one.trial, one.lever, one.changed, number(one.score), number(one.effect)) for one in line]
    return join([el("h3", "How it came about"), table(head, rows, figures=(3, 4), wide=(2,))])


def _history(revisions: Sequence[Revision]) -> Html:
    """Diffs from the first program to the winning one, the newest first and open; older ones are folded."""
    changed = [one for one in reversed(revisions) if one.diff]
    if not changed:
        return Html("")
    parts = [el("h3", "History of its program")]
    count = len(revisions)
    parts.append(
        el("p", f"{count} programs lie between the first draft and this one; the newest change first.")
    )
    parts += [_change(one, index) for index, one in enumerate(changed[:_MOST_REVISIONS])]
    if len(changed) > _MOST_REVISIONS:
        words = f"and {len(changed) - _MOST_REVISIONS} older changes, down to the first draft"
        parts.append(el("p", words, cls="note"))
    parts.append(_first_draft(revisions[0]))
    return join(parts)


def _change(one: Revision, index: int) -> Html:
    title = f"{one.program.name}{_where(one)}"
    also = f" It also descends from {', '.join(one.others)}." if one.others else ""
    added = sum(1 for line in one.diff if line.startswith("+") and not line.startswith("+++"))
    gone = sum(1 for line in one.diff if line.startswith("-") and not line.startswith("---"))
    count = el("span", f" +{added} −{gone}", cls="note")
    fold = el("summary", title, count)
    inside = [el("p", also.strip(), cls="note")] if also else []
    marks = {"open": "open"} if index == 0 else {}
    return el("details", fold, *inside, diff_block(one.diff), **marks)


def _first_draft(one: Revision) -> Html:
    title = f"{one.program.name}{_where(one)}, the first draft"
    return el("details", el("summary", title), highlighted(one.program.source))


def _where(one: Revision) -> str:
    score = f", true score {number(one.score)}" if one.score is not None else ""
    return f", trial {one.trial}{score}" if one.trial else ", not tried in this run"
