"""The search's story: what was tried, lever by lever, what came of it, and the program that won."""

from __future__ import annotations

from collections.abc import Sequence

from experimenter.records import Candidate, ComponentTrace, Design, Trial
from experimenter.report.gather import ReportData
from experimenter.report.highlight import highlighted
from experimenter.report.html import Html, el, join, table
from experimenter.report.lines import number, percent, score_of, trial_line

__all__ = ["lessons_section", "program_section", "story_section"]


def story_section(data: ReportData) -> Html:
    """One table of trials, then each trial's candidates folded away."""
    parts = [el("h2", "The search")]
    if not data.trials:
        return el("section", *parts, el("p", "No trial has ended."))
    head = (
        "trial",
        "lever",
        "candidates",
        "rung",
        "true score",
        "success",
        "reach",
        "effect",
        "faults of its best",
    )
    parts.append(table(head, [_trial_row(trial) for trial in data.trials], figures=(2, 3, 4, 5, 6, 7)))
    note = (
        "Scores are the judge's on validation episodes; they choose, and are not the confirmed score above. "
        "Effect is the change against the best trial before. Reach is the share of the state space visited."
    )
    parts.append(el("p", note, cls="note"))
    parts += [_details(trial) for trial in data.trials]
    return el("section", *parts)


def _trial_row(trial: Trial) -> Sequence[object]:
    line = trial_line(trial)
    count = f"{line.candidates}, {line.discarded} dropped" if line.discarded else str(line.candidates)
    figures = (number(line.score), percent(line.success_rate), number(line.reach), number(line.effect))
    return (line.id, line.lever, count, str(line.rung), *figures, ", ".join(line.faults) or "none")


def _details(trial: Trial) -> Html:
    best = trial.winner.design.name if trial.winner else "nothing kept"
    parts = [el("summary", f"{trial.id}: {trial.task.sentence} ({best})")]
    parts += [el("p", words) for words in (trial.task.reason, trial.verdict) if words]
    head = ("design", "steps", "rung", "true score", "success", "reach", "faults", "what became of it")
    rows = [_candidate_row(one, index == trial.best) for index, one in enumerate(trial.candidates)]
    parts.append(table(head, rows, figures=(1, 2, 3, 4, 5)))
    return el("details", *parts)


def _candidate_row(one: Candidate, best: bool) -> Sequence[object]:
    training, judged = one.training, one.evaluation
    name = el("strong", f"{one.design.name} ★") if best else one.design.name
    success = percent(judged.success_rate if judged else None)
    reach = number(training.reach if training else None)
    steps = number(training.steps) if training else "0"
    return (name, steps, str(one.rung), number(score_of(one)), success, reach, _faults(one), _fate(one, best))


def _faults(candidate: Candidate) -> str:
    if candidate.diagnosis is None:
        return "–"
    return "; ".join(f"{fault.name}: {fault.detail}" for fault in candidate.diagnosis.faults) or "none"


def _fate(candidate: Candidate, best: bool) -> str:
    if candidate.discarded:
        return f"discarded: {candidate.discarded}"
    if candidate.training is not None and candidate.training.error:
        return f"failed: {candidate.training.error}"
    words = "best of this trial" if best else "kept"
    return f"{words}, repaired {candidate.repairs} times" if candidate.repairs else words


def program_section(data: ReportData) -> Html:
    """The winning design's reward programs, phase by phase, its components, and its other choices."""
    design = _winning_design(data)
    if design is None:
        return Html("")
    title = "The winning design" if data.winner else "The best design so far, not confirmed"
    parts = [el("h2", title)]
    parts.append(el("p", f"{design.name}, from {design.origin}, {number(design.steps)} learning steps."))
    parts += [_phase(design, index) for index in range(len(design.phases))]
    return el("section", *parts, _components(data))


def _winning_design(data: ReportData) -> Design | None:
    if data.result is not None and data.result.best is not None:
        return data.result.best.design
    trial = data.winning_trial
    return trial.winner.design if trial is not None and trial.winner is not None else None


def _phase(design: Design, index: int) -> Html:
    phase = design.phases[index]
    title = [el("h3", f"Phase {index + 1} of {len(design.phases)}")] if len(design.phases) > 1 else []
    mixture = ", ".join(
        _environment(item.environment.id, item.environment.kwargs) for item in phase.environments
    )
    settings = phase.hyperparameters.model_dump(exclude={"v"})
    words = ", ".join(f"{name} {value}" for name, value in settings.items())
    network = "-".join(str(width) for width in design.network.hidden) + f" {design.network.activation}"
    parts = [*title, el("p", f"Trained on {mixture}.")]
    if phase.reward is None:
        parts.append(el("p", "Paid by the environment's own (native) reward: no reward program."))
    else:
        parts += [el("p", f"Reward program {phase.reward.name}:"), highlighted(phase.reward.source)]
    fold = el("summary", f"{design.algorithm.upper()}, network {network}: hyperparameters")
    return join([*parts, el("details", fold, el("p", words))])


def _environment(env_id: str, kwargs: dict[str, object]) -> str:
    words = ", ".join(f"{key}={value}" for key, value in sorted(kwargs.items()))
    return f"{env_id} ({words})" if words else env_id


def _components(data: ReportData) -> Html:
    traces = _traces(data)
    if not traces:
        return Html("")
    head = (
        "component",
        "share of |reward|",
        "lowest",
        "mean at the end",
        "highest",
        "correlation with true return",
    )
    rows = [_component_row(trace) for trace in traces]
    return join([el("h3", "Reward components, per transition"), table(head, rows, figures=(1, 2, 3, 4, 5))])


def _traces(data: ReportData) -> tuple[ComponentTrace, ...]:
    """Of the confirmed winner's first training; before a confirmation, of the best trial's."""
    trainings = list(data.winner.trainings) if data.winner is not None else []
    trial = data.winning_trial
    if not trainings and trial is not None and trial.winner is not None and trial.winner.training is not None:
        trainings = [trial.winner.training]
    return next((training.components for training in trainings if training.components), ())


def _component_row(trace: ComponentTrace) -> Sequence[object]:
    low, high = min(trace.minimum, default=None), max(trace.maximum, default=None)
    last = trace.mean[-1] if trace.mean else None
    figures = (number(low, 3), number(last, 3), number(high, 3), number(trace.correlation))
    return (trace.name, percent(trace.share), *figures)


def lessons_section(data: ReportData) -> Html:
    """What the run taught, with the trials that each lesson rests on."""
    if not data.lessons:
        return Html("")
    items = [
        el("li", one.sentence, el("span", f" {', '.join(one.trials)}", cls="note")) for one in data.lessons
    ]
    return el("section", el("h2", "Lessons"), el("ul", *items))
