"""What the reward bench found, as a record and in words: the verdict first, and never more than the seeds allow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from experimenter.execution.benching import Gates, Layer
from experimenter.judge.statistics import MINIMUM_SEEDS
from experimenter.records import Comparison, Diagnosis, Evaluation, Fault, Record, RewardProgram, Training
from experimenter.report.lines import number, signed

__all__ = ["Bench", "Trained", "comparison_words", "merged", "verdict_words"]

GATES: Final = {
    "file": "the look at its file",
    "static": "the static check",
    "containment": "containment",
    "limits": "its limits",
    "contract": "the contract",
    "preflight": "the pre-flight",
    "training": "the training",
}


class Trained(Record):
    """One arm of the bench: its trainings, and what the judge said of each policy.

    ``scores`` holds the judge's mean for each training seed; one of the ``failed`` trainings scores what random
    actions score. ``score`` is their IQM. The policies themselves are gone: a bench keeps nothing.
    """

    score: float
    scores: tuple[float, ...]
    success_rate: float | None
    env_steps: int
    eval_steps: int
    failed: int
    trainings: tuple[Training, ...]
    evaluations: tuple[Evaluation, ...]


class Bench(Record):
    """What came of a reward program on the bench. ``refused_by`` names the gate; ``None`` when it was accepted.

    ``program`` is ``None`` where the file held none. ``sentence`` is the verdict, ``against_native`` what may be said
    of the comparison. ``env_steps`` counts the gates' steps and all trainings, ``card_steps`` the look at the
    environment.
    """

    program: RewardProgram | None
    environment: str
    judge: str = ""
    accepted: bool
    refused_by: str | None = None
    why: str = ""
    hint: str = ""
    sentence: str = ""
    gates: Gates
    trained: Trained | None = None
    native: Trained | None = None
    comparison: Comparison | None = None
    against_native: str = ""
    diagnosis: Diagnosis | None = None
    random_return: float | None = None
    card_steps: int = 0
    env_steps: int = 0
    eval_steps: int = 0


def verdict_words(refusal: Layer | None, trained: Trained | None) -> str:
    """One sentence: refused by which gate and why, or accepted, and whether anything was trained."""
    if refusal is not None:
        return f"Refused by {GATES[refusal.name]}: {refusal.words}"
    if trained is None:
        return "Accepted by the gates; nothing was trained."
    count = len(trained.trainings)
    return f"Accepted: it passed every gate and {count} short training{'s' if count != 1 else ''}."


def comparison_words(mine: Trained, native: Trained, found: Comparison, steps: int) -> str:
    """What the scores with and without the program allow to say. Under five seeds that is nothing."""
    seeds = min(len(mine.scores), len(native.scores))
    told = f"{number(mine.score)} with it, {number(native.score)} with the native reward"
    if seeds < MINIMUM_SEEDS:
        return f"{seeds} seed{'s' if seeds != 1 else ''}: too few to say ({told})."
    interval = f"{signed(found.difference)}, {number(found.low)} to {number(found.high)}, p = {found.p:.3f}"
    label = {
        "helped": "better than the native reward",
        "hurt": "worse than the native reward",
        "indistinguishable": "no measurable difference from the native reward",
    }[found.label]
    return f"{seeds} seeds, {number(steps)} learning steps each: {label} ({interval}; {told})."


def merged(diagnoses: Sequence[Diagnosis]) -> Diagnosis:
    """The faults of all trainings, each once; where not all had it, the detail says how many."""
    found: dict[tuple[str, str | None], list[Fault]] = {}
    for diagnosis in diagnoses:
        for fault in diagnosis.faults:
            found.setdefault((fault.name, fault.component), []).append(fault)
    faults = tuple(_told(same, len(diagnoses)) for same in found.values())
    words = " ".join(f"{fault.name.capitalize()}: {fault.detail}." for fault in faults)
    return Diagnosis(faults=faults, curve=diagnoses[0].curve, words=words or "No fault was found.")


def _told(same: Sequence[Fault], trainings: int) -> Fault:
    if len(same) >= trainings:
        return same[0]
    detail = f"{same[0].detail} (in {len(same)} of {trainings} trainings)"
    return same[0].model_copy(update={"detail": detail})
