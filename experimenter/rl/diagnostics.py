"""Finds named faults in a training by fixed rules, so that nobody's model is asked what numbers already say.

Pure: records in, a record out. Every threshold stands in ``Thresholds``. Rules that make sense only for tasks with a
rare reward (flooding, beyond reach) are switched off by what random rollouts measured, never by an environment's name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from experimenter.envs.records import EnvCard
from experimenter.methods import method_faults
from experimenter.records import ComponentTrace, CurvePoint, Design, Diagnosis, Evaluation, Fault, Training
from experimenter.rl.curves import CurveState, curve_state, plateaued

__all__ = ["THRESHOLDS", "Thresholds", "diagnose", "rare_reward"]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Every number that a rule compares with.

    ``dead``: largest |value| of a component that pays nothing. ``constant``: range relative to size. ``dominant``
    and ``dominated``: shares of all |reward| that one component takes and another is left with. ``rare``: share of
    random steps with a reward up to which rewards are events. ``dense``: mean pay relative to the largest, above
    which a component pays on most steps. ``unrelated``: correlation with the true return below which it is farmed.
    ``shaped_up`` and ``true_down``: parts of a curve's own range. ``dormant``: share of units.
    """

    dead: float = 1e-9
    constant: float = 1e-6
    dominant: float = 0.95
    dominated: float = 0.005
    rare: float = 0.02
    dense: float = 0.05
    unrelated: float = 0.3
    shaped_up: float = 0.25
    true_down: float = 0.25
    dormant: float = 0.3
    points: int = 3


THRESHOLDS: Final = Thresholds()


def rare_reward(card: EnvCard, thresholds: Thresholds = THRESHOLDS) -> bool:
    """Whether random rollouts meet (almost) only one value of the reward: success is an event, not a rate."""
    met = card.random
    return met.reward_distinct <= 1 or (met.reward_distinct <= 3 and met.nonzero_share <= thresholds.rare)


def diagnose(
    training: Training,
    evaluation: Evaluation | None,
    design: Design,
    card: EnvCard,
    baseline: Training | None,
) -> Diagnosis:
    """The faults of a training, the state of its curve, and one sentence for each fault.

    ``evaluation`` is the judge's word on its policy, ``baseline`` a training of the design that this one changed.
    """
    if training.status != "finished" or not training.curve:
        fault = Fault(name="training failed", detail=training.error or f"the training is {training.status}")
        return Diagnosis(faults=(fault,), words=_words((fault,)))
    state = curve_state(training.curve, solved_at=card.reward_threshold)
    faults = (
        *_components(training.components),
        *_flooding(training, card),
        *_curve(training, state, card),
        *_hacking(training, baseline),
        *_reach(training, evaluation, card),
        *_dormant(training),
        *method_faults(training, evaluation, design, card),
    )
    return Diagnosis(faults=faults, curve=state, words=_words(faults))


def _words(faults: tuple[Fault, ...]) -> str:
    return " ".join(f"{f.name.capitalize()}: {f.detail}." for f in faults) or "No fault was found."


def _components(traces: tuple[ComponentTrace, ...]) -> Iterator[Fault]:
    shares = [trace.share for trace in traces]
    crowded = len(traces) > 1 and max(shares) >= THRESHOLDS.dominant
    for trace in traces:
        low, high = min(trace.minimum, default=0.0), max(trace.maximum, default=0.0)
        size = max(abs(low), abs(high))
        if size <= THRESHOLDS.dead:
            yield _about(trace, "dead component", f"{trace.name} never paid anything", 0.0)
        elif high - low <= THRESHOLDS.constant * size:
            yield _about(trace, "constant component", f"{trace.name} was always {high:.3g}", high)
        elif crowded and trace.share <= THRESHOLDS.dominated:
            detail = f"{trace.name} was {trace.share:.2%} of all reward"
            yield _about(trace, "dominated component", detail, trace.share)


def _about(trace: ComponentTrace, name: str, detail: str, value: float) -> Fault:
    return Fault.model_validate({"name": name, "detail": detail, "component": trace.name, "value": value})


def _flooding(training: Training, card: EnvCard) -> Iterator[Fault]:
    """A component that pays on most steps, earns more in an episode than any rare one ever paid at once, and has
    nothing to do with the true return. Only where success is an event: in locomotion dense pay is the task."""
    if not rare_reward(card):
        return
    last = _last(training.curve)
    events = [max(t.maximum, default=0.0) for t in training.components if not _is_dense(t)]
    prize = max(events, default=0.0)
    for trace in training.components:
        farmed = last.components.get(trace.name, 0.0)
        tied = trace.correlation is not None and trace.correlation >= THRESHOLDS.unrelated
        if _is_dense(trace) and not tied and prize > 0 and farmed > prize:
            detail = (
                f"{trace.name} pays {farmed:.3g} an episode, more than the {prize:.3g} that an event pays"
            )
            yield _about(trace, "flooding", detail, farmed)


def _is_dense(trace: ComponentTrace) -> bool:
    """Whether it pays something on most steps, judged late in training by its mean against its largest pay."""
    largest = max((abs(x) for x in (*trace.minimum, *trace.maximum)), default=0.0)
    return largest > 0 and abs(trace.mean[-1]) >= THRESHOLDS.dense * largest


def _last(curve: tuple[CurvePoint, ...]) -> CurvePoint:
    return next((p for p in reversed(curve) if p.components), curve[-1])


def _curve(training: Training, state: CurveState, card: EnvCard) -> Iterator[Fault]:
    returns = [float(p.true_return) for p in training.curve if p.true_return is not None]
    if state == "collapsed":
        drop = max(returns) - returns[-1]
        detail = f"the true return fell from {max(returns):.4g} to {returns[-1]:.4g}"
        yield Fault(name="collapse", detail=detail, value=drop)
    elif plateaued(training.curve) and not _solved(returns[-1], card):
        best = max(returns)
        yield Fault(name="plateau", detail=f"the true return has stopped rising at {best:.4g}", value=best)


def _solved(value: float, card: EnvCard) -> bool:
    return card.reward_threshold is not None and value >= card.reward_threshold


def _hacking(training: Training, baseline: Training | None) -> Iterator[Fault]:
    """Shaped return up while the true one goes down: within this training, or against the baseline's."""
    both = [
        (float(p.shaped_return), float(p.true_return))
        for p in training.curve
        if p.shaped_return is not None and p.true_return is not None
    ]
    if not training.components or len(both) < THRESHOLDS.points:
        return
    shaped, true = [s for s, _ in both], [t for _, t in both]
    rise, fall = _gain(shaped), -_gain(true)
    if rise >= THRESHOLDS.shaped_up and fall >= THRESHOLDS.true_down:
        detail = f"the shaped return rose to {shaped[-1]:.4g} while the true one fell to {true[-1]:.4g}"
        yield Fault(name="reward hacking", detail=detail, value=true[-1])
    elif rise >= THRESHOLDS.shaped_up and baseline is not None and _below(true, baseline):
        detail = (
            f"the shaped return rose, the true one ({max(true):.4g}) stayed below everything the baseline did"
        )
        yield Fault(name="reward hacking", detail=detail, value=max(true))


def _gain(values: list[float]) -> float:
    """From the first third's mean to the last third's, as a part of the curve's own range."""
    n, spread = max(1, len(values) // 3), max(values) - min(values)
    scale = max(abs(v) for v in values)
    if spread <= 1e-6 * scale or spread == 0.0:
        return 0.0
    return (sum(values[-n:]) - sum(values[:n])) / n / spread


def _below(true: list[float], baseline: Training) -> bool:
    theirs = [float(p.true_return) for p in baseline.curve if p.true_return is not None]
    return len(theirs) >= THRESHOLDS.points and max(true) < min(theirs)


def _reach(training: Training, evaluation: Evaluation | None, card: EnvCard) -> Iterator[Fault]:
    """A rare reward that was never met: the curve is flat, at what random actions score."""
    returns = [float(p.true_return) for p in training.curve if p.true_return is not None]
    judged = [float(s) for s in evaluation.scores] if evaluation is not None else []
    success = [p.success_rate for p in training.curve] + [evaluation.success_rate if evaluation else None]
    if not rare_reward(card) or not returns or any(rate for rate in success):
        return
    scored = (*returns, *judged)
    at_random = max(scored) <= card.random.return_mean + 2 * card.random.return_std + 1e-9
    if at_random and max(scored) <= min(scored) + 1e-9:
        detail = f"the rare reward was never met in {training.steps} steps (reach {training.reach:.2f})"
        yield Fault(name="sparse beyond reach", detail=detail, value=training.reach)


def _dormant(training: Training) -> Iterator[Fault]:
    if training.dormant_share >= THRESHOLDS.dormant:
        detail = f"{training.dormant_share:.0%} of hidden units no longer react"
        yield Fault(name="dormant units", detail=detail, value=training.dormant_share)
