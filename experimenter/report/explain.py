"""What the reward programs of one trial did: per candidate its components, what stands out, its faults, its diff."""

from __future__ import annotations

from experimenter.records import Candidate, Fault, Record, RewardProgram, Trial
from experimenter.report.history import program_history, program_of
from experimenter.report.traces import Paid, paid
from experimenter.report.wording import component_words

__all__ = ["Component", "Explained", "explain"]


class Component(Record):
    """One component's traces per transition (up to ten points of training), share of |reward|, and correlation of an
    episode's sum with its true return."""

    name: str
    minimum: tuple[float, ...]
    mean: tuple[float, ...]
    maximum: tuple[float, ...]
    share: float
    correlation: float | None = None


class Explained(Record):
    """One candidate. ``words`` are sentences for a person; ``diff`` is against the program named ``parent``."""

    design: str
    best: bool
    true_score: float | None = None
    success_rate: float | None = None
    steps: int = 0
    discarded: str = ""
    program: RewardProgram | None = None
    components: tuple[Component, ...] = ()
    words: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()
    parent: str = ""
    diff: tuple[str, ...] = ()


def explain(trials: tuple[Trial, ...], trial: Trial) -> tuple[Explained, ...]:
    """Every candidate of ``trial``, its best first; ``trials`` are all of the run, for the parents."""
    order = sorted(range(len(trial.candidates)), key=lambda index: (index != trial.best, index))
    return tuple(_explained(trials, trial.candidates[index], index == trial.best) for index in order)


def _explained(trials: tuple[Trial, ...], one: Candidate, best: bool) -> Explained:
    found = paid([one.training]) if one.training is not None else ()
    program = program_of(one.design)
    line = program_history(trials, one.design)
    return Explained(
        design=one.design.name,
        best=best,
        true_score=None if one.true_score is None else float(one.true_score),
        success_rate=one.evaluation.success_rate if one.evaluation else None,
        steps=one.training.steps if one.training else 0,
        discarded=one.discarded,
        program=program,
        components=tuple(_component(part) for part in found),
        words=_words(one, program, found),
        faults=one.diagnosis.faults if one.diagnosis else (),
        parent=line[-2].program.name if len(line) > 1 else "",
        diff=line[-1].diff if line else (),
    )


def _component(one: Paid) -> Component:
    return Component(
        name=one.name,
        minimum=one.minimum,
        mean=one.mean,
        maximum=one.maximum,
        share=one.share,
        correlation=one.correlation,
    )


def _words(one: Candidate, program: RewardProgram | None, found: tuple[Paid, ...]) -> tuple[str, ...]:
    if program is None:
        return ("It is paid by the environment's own reward, which has no components.",)
    if one.training is None:
        return ("It was never trained, so its components were never paid.",)
    return component_words(found) if found else ("Its training left no component traces.",)
