"""Turns comparisons and costs into the sentences that a person reads first.

What may be said is fixed here: every claim names its control, carries its cost and its discarded candidates, and
"the planner" is only ever the subject of a comparison with the ``random`` control. Without fresh seeds there is no
claim at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from pydantic import Field

from experimenter.judge.statistics import MINIMUM_SEEDS
from experimenter.records import Comparison, Interval, Record
from experimenter.results import Earlier

__all__ = ["Claim", "comparison_sentence", "earlier_sentence", "number", "sentence"]

Ended = Literal["confirmed", "no winner", "before confirmation"]
_WHAT: Final = {
    "native": "native reward, shipped defaults",
    "random": "the same loop with uniformly random answers",
}


class Claim(Record):
    """All that the verdict rests on. Counts are of this run; steps are learning steps of single environments.

    ``score`` is the confirmed winner's over fresh training seeds when ``ended`` is ``confirmed``, and the best score
    met in the search when the budget ended before that. ``missing`` gives, for each control that was asked for but has
    no comparison, the reason.
    """

    ended: Ended
    planner: str
    trial: str | None = None
    score: Interval | None = None
    success_rate: float | None = None
    target: float | None = None
    comparisons: dict[str, Comparison] = Field(default_factory=dict)
    missing: dict[str, str] = Field(default_factory=dict)
    trials: int = 0
    candidates: int = 0
    discarded: int = 0
    env_steps: int = 0
    control_env_steps: int = 0


def sentence(claim: Claim) -> str:
    """The whole verdict: what was reached, against which control, and at what cost."""
    parts = [_reached(claim)]
    if claim.ended == "confirmed" and claim.score is not None:
        parts += [
            comparison_sentence(c, claim.planner, claim.score.seeds) for c in claim.comparisons.values()
        ]
        parts += _not_compared(claim.comparisons, claim.missing)
    return " ".join([*parts, _cost(claim)])


def comparison_sentence(comparison: Comparison, planner: str, seeds: int) -> str:
    """One comparison in words; ``seeds`` is the winner's number of training seeds."""
    control = (
        f"the {comparison.control} control ({_WHAT.get(comparison.control, 'equal budget')}, equal steps)"
    )
    who = f"The planner ({planner})" if comparison.control == "random" else "The design that the run found"
    if comparison.why == "too few seeds":
        needed = f"a claim needs {MINIMUM_SEEDS} training seeds in each arm, and the winner has {seeds}"
        return f"Against {control}: indistinguishable, because there are too few seeds: {needed}."
    figures = _figures(comparison)
    if comparison.label == "indistinguishable":
        return f"{who} made no measurable difference against {control}: {figures}."
    return f"{who} {comparison.label} against {control}: {figures}."


def earlier_sentence(count: int, earlier: Sequence[Earlier]) -> str:
    """What a reader must know of ``count`` confirmations that a later winner replaced: each with its figures.

    ``earlier`` are those of them that are kept. The rule was fixed beforehand, so the winner is the last one, not the
    best one; without the figures nobody could see that.
    """
    words = (
        f"This is confirmation {count + 1} of the run; later champions replace earlier ones, better or not."
    )
    if earlier:
        words += f" Before it: {'; '.join(_earlier(one) for one in earlier)}."
    if lost := count - len(earlier):
        words += f" The figures of {lost} earlier {'one' if lost == 1 else 'ones'} were not kept."
    return words


def _earlier(one: Earlier) -> str:
    score, trial = one.true_score, one.trial.rpartition("/")[2]
    if score.seeds == 1:
        return f"trial {trial} reached {number(score.iqm)} (1 seed, no interval)"
    span = f"95 % interval {number(score.low)} to {number(score.high)}"
    return f"trial {trial} reached {number(score.iqm)} ({span}, {score.seeds} seeds)"


def number(value: float) -> str:
    """Four significant digits, and all digits of the whole part."""
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


def _reached(claim: Claim) -> str:
    if claim.ended == "no winner" or claim.score is None:
        return "No design was left to confirm, so this run makes no claim."
    if claim.ended == "before confirmation":
        return (
            f"The budget ended before the best design{_of(claim)} could be confirmed on fresh seeds, so this run makes "
            f"no claim: {number(claim.score.iqm)} is the highest of {claim.candidates} candidates on the seeds that "
            "chose it, and such a maximum is too high as a rule."
        )
    return f"The best design{_of(claim)} reached {_score(claim.score)}{_success(claim)}.{_target(claim)}"


def _of(claim: Claim) -> str:
    return f" (trial {claim.trial})" if claim.trial else ""


def _score(score: Interval) -> str:
    if score.seeds == 1:
        return f"a true score of {number(score.iqm)} on one fresh training seed, which gives no interval"
    return (
        f"a true score of {number(score.iqm)} (interquartile mean over {score.seeds} fresh training seeds, "
        f"95 % interval {number(score.low)} to {number(score.high)})"
    )


def _success(claim: Claim) -> str:
    return (
        ""
        if claim.success_rate is None
        else f", with {100 * claim.success_rate:.0f} % of episodes successful"
    )


def _target(claim: Claim) -> str:
    if claim.target is None or claim.score is None:
        return ""
    met = claim.score.iqm >= claim.target
    return f" The target of {number(claim.target)} was {'reached' if met else 'not reached'}."


def _figures(comparison: Comparison) -> str:
    return (
        f"difference {comparison.difference:+.4g}, 95 % interval {comparison.low:+.4g} to {comparison.high:+.4g}, "
        f"p = {_probability(comparison.p)}"
    )


def _probability(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else f"{p:.1g}"


def _not_compared(comparisons: Mapping[str, Comparison], missing: Mapping[str, str]) -> list[str]:
    words = [f"The {name} control is missing: {why.rstrip('.')}." for name, why in missing.items()]
    if not comparisons:
        words.append("Without a control nothing can be said about what the run's own ideas were worth.")
    elif "random" not in comparisons:
        words.append("Whether the planner itself is the cause needs the random control.")
    return words


def _cost(claim: Claim) -> str:
    kept = f"{claim.discarded} of {claim.candidates} candidate designs discarded"
    tried = f"{claim.trials} {'trial' if claim.trials == 1 else 'trials'}"
    controls = f", and {claim.control_env_steps:,} more for controls" if claim.control_env_steps else ""
    return f"Cost: {claim.env_steps:,} learning steps in {tried}, {kept}{controls}."
