"""Whom a training of the search is up against when a forecast may end it: known before it starts, so that a resumed
run and any number of workers decide alike."""

from __future__ import annotations

from collections.abc import Sequence

from experimenter.loop.context import RunContext
from experimenter.loop.view import champion, standing
from experimenter.records import Candidate, Rival, Training, TrueReturn

__all__ = ["given_up", "rival"]


def rival(ctx: RunContext, cycle: int, candidates: Sequence[Candidate], index: int) -> Rival | None:
    """The best of the champion and of the trial's other candidates, by their last validation of the rung before;
    ``None`` where no forecast is wanted or nobody has a score.

    The champion counts for its best validation, because every training of a search is validated on the same episodes,
    or for the judge's score where that is lower: a validation that luck made must end nobody.
    """
    if ctx.settings.early_stopping != "forecast":
        return None
    found = [_as_rival(item) for number, item in enumerate(candidates) if number != index]
    known = [item for item in (_champion(ctx, cycle), *found) if item is not None]
    return max(known, key=lambda item: item.score, default=None)


def given_up(training: Training) -> str:
    """Why a candidate is discarded whose forecast stayed below its rival; nothing for any other training."""
    stopped = training.stopped
    return f"stopped early: {stopped.sentence}" if stopped and stopped.reason == "forecast" else ""


def _champion(ctx: RunContext, cycle: int) -> Rival | None:
    best = champion(tuple(trial for trial in ctx.trials() if trial.cycle < cycle))
    if best is None or best[1].training is None or best[1].true_score is None:
        return None
    known = [point.true_return for point in best[1].training.curve if point.true_return is not None]
    score = min(best[1].true_score, max(known, default=best[1].true_score))
    return Rival(name=f"the champion of {best[0].id}", score=score)


def _as_rival(candidate: Candidate) -> Rival | None:
    score = standing(candidate)[0]
    if candidate.discarded or score == float("-inf"):
        return None
    return Rival(name=candidate.design.name, score=TrueReturn(score))
