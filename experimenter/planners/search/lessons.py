"""Lessons by templates over figures and diagnoses: which lever, what effect, which faults, what is worth keeping."""

from __future__ import annotations

from typing import Any

from experimenter.planners.search.grammar import parse
from experimenter.planners.search.reading import noise
from experimenter.questions import Attempt, Reflect, Reflection
from experimenter.records import Hyperparameters, OffPolicySettings

__all__ = ["reflect"]


def reflect(question: Reflect) -> Reflection:
    """One lesson over a trial's attempts; no sentence when nothing ran."""
    ran = [a for a in question.attempts if not a.error]
    if not ran:
        return Reflection(sentence=_all_failed(question))
    best = max(ran, key=lambda a: (a.best, -1e300 if a.true_return is None else a.true_return, a.reach))
    sentence = " ".join(
        filter(None, (_outcome(question, best, len(ran)), _faults(best), _failures(question)))
    )
    keep = _worth_keeping(question, best)
    return Reflection(
        sentence=sentence, keep_skill=keep, skill_description=_description(question, best) if keep else ""
    )


def _outcome(question: Reflect, best: Attempt, ran: int) -> str:
    where, what = question.card.spec.id, _lever_words(question, best)
    score = (
        "an unknown true return" if best.true_return is None else f"a true return of {best.true_return:.4g}"
    )
    success = "" if best.success_rate is None else f", success {best.success_rate:.0%}"
    reached = f"{score}{success} after {best.steps:,} steps"
    if question.effect is None:
        return f"On {where}, {what} gave {reached}."
    if abs(question.effect) <= noise(question.card):
        none = f"none of {ran} trained with the {question.lever} lever moved the true return"
        return f"On {where}, {none}; the best, {what}, gave {reached}."
    if not question.repeated:
        lead = f"{what} led by {question.effect:.4g} in one training, with {reached}"
        return f"On {where}, {lead}; it was not trained again, so this may be luck, and it was not kept."
    verb = "raised" if question.effect > 0 else "lowered"
    return f"On {where}, {what} {verb} the true return by {abs(question.effect):.4g}, to {reached}."


def _lever_words(question: Reflect, best: Attempt) -> str:
    if question.lever == "reward" and best.reward is not None:
        tree = parse(best.reward.source)
        parts = (
            [f"{t.name} ({t.kind.replace('_', ' ')}, {t.weight:g})" for t in tree.shaping_terms]
            if tree
            else []
        )
        return f"the reward with {' and '.join(parts)}" if parts else f"the reward {best.reward.name}"
    if question.lever == "hyperparameters":
        changed = _changes(question.baseline, best)
        return f"the hyperparameters {changed}" if changed else "the same hyperparameters"
    if question.lever == "environment":
        kwargs = [w.environment.kwargs for w in best.environments]
        return f"the mixture of {len(kwargs)} configurations ({'; '.join(map(str, kwargs))})"
    if question.lever == "memory":
        return "what memory recalled, with the native design beside it,"
    return f"the {question.lever} design"


def _changes(before: Attempt | None, after: Attempt) -> str:
    new = (after.off_policy or after.hyperparameters).model_dump()
    was = before and (before.off_policy or before.hyperparameters)
    usual = OffPolicySettings() if after.off_policy else Hyperparameters()
    old = (was if type(was) is type(after.off_policy or after.hyperparameters) else usual).model_dump()
    named = (name for name in new if old.get(name) != new[name])
    return ", ".join(f"{name} {_said(new[name])}" for name in named)


def _said(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _faults(best: Attempt) -> str:
    faults = best.diagnosis.faults if best.diagnosis else ()
    if not faults:
        return ""
    return (
        "Found in it: "
        + "; ".join(f"{f.name}{f' of {f.component}' if f.component else ''}" for f in faults)
        + "."
    )


def _failures(question: Reflect) -> str:
    failed = sum(bool(a.error) for a in question.attempts)
    return f"{failed} of {len(question.attempts)} failed before or in training." if failed else ""


def _all_failed(question: Reflect) -> str | None:
    if not question.attempts:
        return None
    first = question.attempts[0].error.splitlines()[0][:200]
    count = len(question.attempts)
    return f"On {question.card.spec.id}, all {count} designs of the {question.lever} lever failed: {first}"


def _worth_keeping(question: Reflect, best: Attempt) -> bool:
    """At the target, or better than the baseline by more than a tenth of its size and twice the noise."""
    if best.true_return is None:
        return False
    if question.target is not None:
        return best.true_return >= question.target
    baseline = question.baseline.true_return if question.baseline else None
    size = abs(baseline) if baseline is not None else 0.0
    return (
        question.repeated
        and question.effect is not None
        and question.effect > max(0.1 * size, 2 * noise(question.card))
    )


def _description(question: Reflect, best: Attempt) -> str:
    score = f"{best.true_return:.4g}" if best.true_return is not None else "unknown"
    where = question.card.spec.id
    return f"Acts in {where} with a true return of about {score}; learned through the {question.lever} lever."
