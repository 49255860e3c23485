"""A trial in one line, and figures in words: what the command line, the screen and the report all show alike."""

from __future__ import annotations

from dataclasses import dataclass

from experimenter import errors
from experimenter.records import Candidate, Interval, Trial

__all__ = [
    "TrialLine",
    "duration",
    "interval_words",
    "number",
    "percent",
    "rounded",
    "score_of",
    "signed",
    "stopped_words",
    "time_range",
    "trial_line",
    "without_kind",
]


@dataclass(frozen=True, slots=True)
class TrialLine:
    """What a table says of one trial. ``score`` is the true score of its best candidate, as the judge gave it."""

    id: str
    lever: str
    task: str
    candidates: int
    discarded: int
    rung: int
    score: float | None
    success_rate: float | None
    reach: float | None
    faults: tuple[str, ...]
    effect: float | None


def score_of(candidate: Candidate) -> float | None:
    """The judge's mean for a candidate, or ``None`` where it was never judged."""
    return None if candidate.evaluation is None else float(candidate.evaluation.mean)


def stopped_words(candidate: Candidate) -> str:
    """Why its training was ended early, for one that was kept all the same; else nothing."""
    stopped = candidate.training.stopped if candidate.training else None
    return "" if stopped is None or candidate.discarded else f"stopped early: {stopped.sentence}"


def trial_line(trial: Trial) -> TrialLine:
    """The line for ``trial``: figures of its winner, else of its best-scored candidate."""
    shown = trial.winner or _best(trial)
    faults = shown.diagnosis.faults if shown and shown.diagnosis else ()
    return TrialLine(
        id=trial.id,
        lever=trial.lever,
        task=trial.task.sentence,
        candidates=len(trial.candidates),
        discarded=sum(1 for c in trial.candidates if c.discarded),
        rung=max((c.rung for c in trial.candidates), default=0),
        score=score_of(shown) if shown else None,
        success_rate=shown.evaluation.success_rate if shown and shown.evaluation else None,
        reach=shown.training.reach if shown and shown.training else None,
        faults=tuple(dict.fromkeys(f.name for f in faults)),
        effect=trial.effect,
    )


def _best(trial: Trial) -> Candidate | None:
    judged = [c for c in trial.candidates if c.evaluation is not None]
    if judged:
        return max(judged, key=_rank)
    return trial.candidates[0] if trial.candidates else None


def _rank(candidate: Candidate) -> float:
    score = score_of(candidate)
    return float("-inf") if score is None else score


def number(value: float | None, digits: int = 2) -> str:
    """A figure for a reader: about four significant digits, thousands apart, ``–`` for none."""
    if value is None:
        return "–"
    size = abs(value)
    if size >= 10000 or (float(value).is_integer() and size >= 100):
        return f"{value:,.0f}".replace("-", "−")
    places = 1 if size >= 100 else digits if size >= 1 or size == 0 else digits + 1
    text = f"{value:,.{places}f}"
    short = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if short in ("", "-0") else short.replace("-", "−")


def signed(value: float) -> str:
    """A difference for a reader: as ``number``, with its sign."""
    return f"+{number(value)}" if value > 0 else number(value)


def without_kind(error: str) -> str:
    """The message alone, where a stored error begins with the name of its class."""
    kind, mark, message = error.partition(": ")
    return message if mark and kind in errors.__all__ else error


def percent(rate: float | None) -> str:
    """A rate 0–1 as a percentage, ``–`` for none."""
    return "–" if rate is None else f"{100 * rate:.0f} %"


def interval_words(interval: Interval) -> str:
    """``IQM (low to high)``."""
    return f"{number(interval.iqm)} ({number(interval.low)} to {number(interval.high)})"


def duration(seconds: float | None) -> str:
    """Seconds as a reader would say them."""
    if seconds is None:
        return "–"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def rounded(value: float, digits: int = 2) -> float:
    """A rough figure with no more significant digits than it deserves."""
    return float(f"{value:.{max(0, digits - 1)}e}")


def time_range(low: float, high: float) -> str:
    """Two rough times in seconds, as a reader would say them: ``2–4 minutes``, ``45 s to 2 minutes``."""
    (few, unit), (many, larger) = _rough_time(low), _rough_time(high)
    if unit != larger:
        return f"{few} {unit} to {many} {larger}"
    return f"{many} {unit}" if few == many else f"{few}–{many} {unit}"


def _rough_time(seconds: float) -> tuple[str, str]:
    if seconds < 90:
        return number(rounded(seconds)), "s"
    if seconds < 90 * 60:
        return number(round(seconds / 60)), "minutes"
    return number(rounded(seconds / 3600)), "hours"
