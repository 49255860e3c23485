"""What a trial says about the lessons that were recalled for it: whether what happened agrees with them."""

from __future__ import annotations

from collections.abc import Iterable

from experimenter.records import Candidate, Lesson, Recollection, Testimony, Trial

__all__ = ["bear_witness"]

NEAR_ZERO = 1e-9


def bear_witness(run: str, trial: Trial, recalled: Recollection) -> tuple[Testimony, ...]:
    """One for each recalled lesson that this trial bears on.

    A lesson about a lever is agreed with when pulling the lever again had an effect of the same sign. A lesson that
    gave a design is agreed with when that design did better, from scratch or warm, than the native one beside it.
    """
    reference = f"{run}/{trial.id}"
    effects = (
        _of_designs(trial, recalled.lessons)
        if trial.lever == "memory"
        else _of_lever(trial, recalled.lessons)
    )
    return tuple(
        Testimony(lesson=lesson.id, trial=reference, agrees=effect * claimed > 0, effect=effect)
        for lesson, claimed, effect in effects
        if abs(effect) > NEAR_ZERO
    )


def _of_lever(trial: Trial, lessons: Iterable[Lesson]) -> list[tuple[Lesson, float, float]]:
    if trial.effect is None:
        return []
    claims = [
        (lesson, lesson.evidence.get("effect", 0.0)) for lesson in lessons if lesson.lever == trial.lever
    ]
    return [(lesson, claimed, trial.effect) for lesson, claimed in claims if abs(claimed) > NEAR_ZERO]


def _of_designs(trial: Trial, lessons: Iterable[Lesson]) -> list[tuple[Lesson, float, float]]:
    native = _score(trial.candidates, "native")
    if native is None:
        return []
    scores = [(lesson, _score(trial.candidates, f"memory:lesson:{lesson.id}")) for lesson in lessons]
    return [(lesson, 1.0, score - native) for lesson, score in scores if score is not None]


def _score(candidates: Iterable[Candidate], origin: str) -> float | None:
    """The best judged, or else validated, true return among the candidates of that origin."""
    scores = [
        score for one in candidates if one.design.origin == origin and (score := _true(one)) is not None
    ]
    return max(scores, default=None)


def _true(candidate: Candidate) -> float | None:
    if candidate.true_score is not None:
        return float(candidate.true_score)
    curve = candidate.training.curve if candidate.training else ()
    return next((float(p.true_return) for p in reversed(curve) if p.true_return is not None), None)
