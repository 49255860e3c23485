"""What was tried, lever by lever, and what came of it; readable with three trials and with a thousand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from experimenter.records import Candidate, Trial
from experimenter.report.drawing import Theme, colour_of, one_axes, picture
from experimenter.report.gather import ReportData
from experimenter.report.html import Html, el, join, table
from experimenter.report.lines import number, percent, score_of, signed, stopped_words, trial_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["best_so_far", "notable_trials", "search_picture", "search_section"]

_ALL_UP_TO: Final = 40
_BEST: Final = 20
_ACCEPTED: Final = 20
_FOLDED: Final = 200
_OPENED: Final = 20
_CANDIDATES: Final = 16
_DRAWN_FROM: Final = 5
_LEVERS: Final = ("native", "reward", "hyperparameters", "environment", "curriculum", "memory", "random")
_HEAD: Final = (
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
_NOTE: Final = (
    "Scores are the judge's on validation episodes; they choose, and are not the confirmed score above. "
    "Effect is the change against the best trial before; ★ took the lead. Reach is the share of the state space "
    "visited."
)


def search_section(data: ReportData) -> Html:
    """A picture of all trials, a table of those that matter, their candidates folded away, the rest counted."""
    parts = [el("h2", "The search")]
    if not data.trials:
        return el("section", *parts, el("p", "No trial has ended."))
    if len(data.trials) >= _DRAWN_FROM and (drawn := search_picture(data.trials)) is not None:
        words = "Each dot is a trial's best candidate, by its lever; the line is the best design so far."
        parts.append(el("figure", drawn, el("figcaption", words)))
    shown = notable_trials(data.trials)
    if len(shown) < len(data.trials):
        words = f"The {len(shown)} of {len(data.trials):,} trials with the best scores or that took the lead:"
        parts.append(el("p", words))
    parts += [_trials_table(shown), el("p", _NOTE, cls="note")]
    parts += [_details(trial) for trial in _opened(shown)]
    parts.append(_rest(data, {trial.id for trial in shown}))
    return el("section", *parts)


def notable_trials(trials: Sequence[Trial]) -> tuple[Trial, ...]:
    """All of a short search; of a long one the best scored and the last that took the lead, in their order."""
    if len(trials) <= _ALL_UP_TO:
        return tuple(trials)
    best = sorted(trials, key=_score, reverse=True)[:_BEST]
    lead = [trial for trial in trials if trial.accepted][-_ACCEPTED:]
    wanted = {trial.id for trial in (*best, *lead)}
    return tuple(trial for trial in trials if trial.id in wanted)


def _score(trial: Trial) -> float:
    found = trial_line(trial).score
    return float("-inf") if found is None else found


def _opened(shown: Sequence[Trial]) -> Sequence[Trial]:
    """Those whose candidates are listed: all of a short search, else the best."""
    if len(shown) <= _OPENED:
        return shown
    wanted = {trial.id for trial in sorted(shown, key=_score, reverse=True)[:_OPENED]}
    return [trial for trial in shown if trial.id in wanted]


def _trials_table(trials: Sequence[Trial]) -> Html:
    return table(_HEAD, [_trial_row(trial) for trial in trials], figures=(2, 3, 4, 5, 6, 7))


def _trial_row(trial: Trial) -> Sequence[object]:
    line = trial_line(trial)
    count = f"{line.candidates}, {line.discarded} dropped" if line.discarded else str(line.candidates)
    effect = number(None) if line.effect is None else signed(line.effect)
    figures = (number(line.score), percent(line.success_rate), number(line.reach), effect)
    name = el("strong", f"{line.id} ★") if trial.accepted else line.id
    return (name, line.lever, count, str(line.rung), *figures, ", ".join(line.faults) or "none")


def _rest(data: ReportData, shown: set[str]) -> Html:
    """The other trials as one folded table, and a count of those that even it leaves out."""
    others = [trial for trial in data.trials if trial.id not in shown]
    if not others:
        return Html("")
    listed = others[:_FOLDED]
    left = len(others) - len(listed)
    parts = [_trials_table(listed)]
    if left:
        command = el("code", f"experimenter show {data.record.id}")
        parts.append(el("p", f"and {left:,} more in the workspace: ", command, cls="note"))
    fold = el("details", el("summary", f"The other {len(others):,} trials"), *parts)
    return join([fold])


def _details(trial: Trial) -> Html:
    best = trial.winner.design.name if trial.winner else "nothing kept"
    parts = [el("summary", f"{trial.id}: {trial.task.sentence} ({best})")]
    parts += [el("p", words) for words in (trial.task.reason, trial.verdict) if words]
    head = ("design", "steps", "rung", "true score", "success", "reach", "faults", "what became of it")
    numbered = sorted(enumerate(trial.candidates), key=lambda item: (item[0] != trial.best, item[0]))
    rows = [_candidate_row(one, index == trial.best) for index, one in numbered[:_CANDIDATES]]
    parts.append(table(head, rows, figures=(1, 2, 3, 4, 5), wide=(6, 7)))
    left = len(trial.candidates) - len(rows)
    if left > 0:
        parts.append(el("p", f"and {left} more candidates", cls="note"))
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
    repaired = f"repaired {candidate.repairs} times" if candidate.repairs else ""
    return ", ".join(filter(None, (words, repaired, stopped_words(candidate))))


def best_so_far(trials: Sequence[Trial]) -> list[tuple[int, float]]:
    """Where the lead stood after each trial: (index from 0, score of the accepted design)."""
    line: list[tuple[int, float]] = []
    for index, trial in enumerate(trials):
        score = trial_line(trial).score
        if trial.accepted and score is not None:
            line.append((index, score))
    return line


def search_picture(trials: Sequence[Trial]) -> Html | None:
    """Scores over trials by lever, and the lead; ``None`` where no trial was scored."""
    by_lever: dict[str, list[tuple[int, float]]] = {}
    for index, trial in enumerate(trials):
        score = trial_line(trial).score
        if score is not None:
            by_lever.setdefault(trial.lever, []).append((index, score))
    if not by_lever:
        return None
    lead, count = best_so_far(trials), len(trials)

    def draw(figure: Figure, theme: Theme, narrow: bool) -> None:
        axes = one_axes(figure, theme, narrow)
        _draw_levers(axes, theme, by_lever, 5.0 if count <= 100 else 2.6)
        if lead:
            steps = [*lead, (count - 1, lead[-1][1])]
            line = [float(i) for i, _ in steps], [y for _, y in steps]
            axes.plot(*line, drawstyle="steps-post", color=theme.ink, linewidth=1.4, label="best so far")
        axes.set_xlabel("trial")
        axes.set_ylabel("true score (validation)")
        _legend(axes, theme, 3 if narrow else 8, 1.0 if count <= 100 else 2.0)

    return picture(draw, f"Scores of {count} trials by lever", wide=3.0, narrow=3.0)


def _legend(axes: Axes, theme: Theme, columns: int, scale: float) -> None:
    axes.legend(
        frameon=False,
        labelcolor=theme.ink,
        fontsize=8,
        ncols=columns,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        borderaxespad=0.2,
        handletextpad=0.2,
        handlelength=1.4,
        columnspacing=0.8,
        markerscale=scale,
    )


def _draw_levers(axes: Axes, theme: Theme, by_lever: dict[str, list[tuple[int, float]]], size: float) -> None:
    for place, lever in enumerate(_LEVERS):
        points = by_lever.get(lever, [])
        if points:
            x, y = [float(i) for i, _ in points], [score for _, score in points]
            colour = colour_of(theme, place)
            axes.plot(x, y, "o", color=colour, markersize=size, markeredgewidth=0, alpha=0.8, label=lever)
