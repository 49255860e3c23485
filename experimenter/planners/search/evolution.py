"""The next rewards from the journal: selection by true score, repair by diagnosis, mutation and crossover of trees.

Where no program has moved the true score yet, programs are ranked by how far their agents reached. Nothing that was
tried is proposed again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Final

import numpy as np

from experimenter.envs.records import EnvCard
from experimenter.planners.search.generation import first_generation
from experimenter.planners.search.grammar import Measure, Shaping, Term, parse
from experimenter.planners.search.reading import flat_returns, impossible
from experimenter.planners.search.vocabulary import (
    TEMPERATURES,
    TRANSFORMS,
    Vocabulary,
    pick,
    points,
    reach_from,
)
from experimenter.planners.search.vocabulary import vocabulary as vocabulary_of
from experimenter.questions import Attempt, WriteRewards
from experimenter.records import Diagnosis

__all__ = ["Child", "next_generation", "repaired"]

MOST_TERMS: Final = 4
TRIES: Final = 400
USELESS: Final = frozenset({"dead component", "constant component", "dominated component"})
EVENTS: Final = frozenset({"first_time", "change"})


@dataclass(frozen=True, slots=True)
class Child:
    """A new reward and the hashes of the programs it came from."""

    shaping: Shaping
    parents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Parent:
    shaping: Shaping
    program: str


def next_generation(question: WriteRewards) -> tuple[Child, ...]:
    """``question.count`` rewards (fewer only when the grammar is exhausted) that were never tried."""
    hidden = question.goal.judge_visibility == "hidden"
    words = vocabulary_of(question.card, hidden=hidden)
    rng = np.random.default_rng([question.seed, len(question.history)])
    parents = _ranked(question, hidden)
    fresh = (Child(shaping) for shaping in first_generation(question.card, hidden=hidden))
    bred = _bred(parents, words, rng) if parents else iter(())
    options = chain(_interleaved(fresh, bred, _share(question, parents)), _drawn(words, rng))
    return tuple(islice(_untried(options, question), question.count))


def repaired(question: WriteRewards) -> Child:
    """The failed program without the component that its error names; a simpler one when that says nothing."""
    hidden = question.goal.judge_visibility == "hidden"
    failed = question.failed
    tree = _speakable(failed.source, question.card) if failed else None
    simpler = _simpler(tree, question.error) if tree else iter(())
    fresh = first_generation(question.card, hidden=hidden)
    drawn = _drawn(vocabulary_of(question.card, hidden=hidden), np.random.default_rng([question.seed, 1]))
    parents = (failed.hash,) if failed else ()
    options = chain((Child(shaping, parents) for shaping in simpler), (Child(s) for s in fresh), drawn)
    return next(_untried(options, question))


def mended(shaping: Shaping, diagnosis: Diagnosis | None) -> Shaping:
    """Faults taken out: useless components removed, flooding ones shrunk, all shrunk after reward hacking.

    A first-time bonus that never fired stays: it costs nothing, and what it pays for may lie further along.
    """
    faults = diagnosis.faults if diagnosis else ()
    events = {t.name for t in shaping.terms if t.kind in EVENTS}
    useless = {f.component for f in faults if f.name in USELESS and f.component} - events - {"native"}
    kept = shaping.without(frozenset(useless)) or shaping
    flooding = {f.component for f in faults if f.name == "flooding"}
    factor = 0.3 if any(f.name == "reward hacking" for f in faults) else 1.0
    return Shaping.of(
        *(t if t.kind == "native" else t.scaled(0.2 if t.name in flooding else factor) for t in kept.terms)
    )


def _ranked(question: WriteRewards, hidden: bool) -> list[Parent]:
    """Programs of the journal that ran, best first, with what was diagnosed mended."""
    ran = [a for a in question.history if a.reward and not a.error and parse(a.reward.source)]
    level = flat_returns(question.card, tuple(ran))

    def worth(attempt: Attempt) -> tuple[float, float]:
        if hidden:
            return (float(attempt.best), attempt.reach)
        score = -np.inf if attempt.true_return is None else attempt.true_return
        return (attempt.reach, score) if level else (score, attempt.reach)

    parents = []
    for attempt in sorted(ran, key=worth, reverse=True):
        tree = _speakable(attempt.reward.source, question.card) if attempt.reward else None
        if attempt.reward and tree:
            parents.append(Parent(mended(tree, attempt.diagnosis), attempt.reward.hash))
    return parents


def _speakable(source: str, card: EnvCard) -> Shaping | None:
    """The tree of a program without terms about features that cannot vary; ``None`` where nothing else is in it."""
    tree, still = parse(source), impossible(card)
    idle = frozenset(t.name for t in tree.terms if still & set(t.features)) if tree else frozenset()
    return tree.without(idle) if tree and idle else tree


def _share(question: WriteRewards, parents: list[Parent]) -> int:
    """How many of every four proposals are untried ideas rather than children."""
    if not parents:
        return 4
    return 2 if flat_returns(question.card, question.history) else 1


def _interleaved(fresh: Iterator[Child], bred: Iterator[Child], share: int) -> Iterator[Child]:
    """Children first, then ideas, ``share`` ideas of every four; until both are exhausted."""
    while row := [*islice(bred, 4 - share), *islice(fresh, share)]:
        yield from row


def _untried(options: Iterator[Child], question: WriteRewards) -> Iterator[Child]:
    """``options`` without repetitions and without anything in the journal."""
    programs = [a.reward for a in question.history if a.reward] + (
        [question.failed] if question.failed else []
    )
    trees = [parse(program.source) for program in programs]
    seen = {tree.key for tree in trees if tree}
    for child in options:
        if child.shaping.key not in seen and child.shaping.shaping_terms:
            seen.add(child.shaping.key)
            yield child


def _drawn(words: Vocabulary, rng: np.random.Generator) -> Iterator[Child]:
    return (Child(words.draw(rng)) for _ in range(TRIES))


def _bred(parents: list[Parent], words: Vocabulary, rng: np.random.Generator) -> Iterator[Child]:
    """Children, the better a parent's rank the more; the best parents themselves first, where mending changed them."""
    yield from (Child(parent.shaping, (parent.program,)) for parent in parents[:2])
    weights = 0.5 ** np.arange(len(parents))
    weights /= weights.sum()
    for _ in range(TRIES // 4):
        first, second = (parents[int(i)] for i in rng.choice(len(parents), size=2, p=weights))
        if first is not second and rng.random() < 0.3:
            yield Child(crossed(first.shaping, second.shaping, rng), (first.program, second.program))
        else:
            yield Child(mutated(first.shaping, words, rng), (first.program,))


def crossed(first: Shaping, second: Shaping, rng: np.random.Generator) -> Shaping:
    """Some terms of either parent: at least one of each."""
    native = [t for t in first.terms if t.kind == "native"]
    chosen = []
    for shaping in (first, second):
        terms = shaping.shaping_terms
        take = rng.permutation(len(terms))[: int(rng.integers(1, max(2, len(terms) + 1)))]
        chosen += [terms[int(i)] for i in sorted(take)]
    return Shaping.of(*native, *chosen)


def mutated(shaping: Shaping, words: Vocabulary, rng: np.random.Generator) -> Shaping:
    """One change: of scale (half of the time), form, feature, or the set of terms."""
    terms = shaping.shaping_terms
    if not terms:
        return words.draw(rng)
    term = pick(rng, terms)
    roll = rng.random()
    if roll < 0.3:
        return shaping.with_term(term.name, rescaled(term, words, rng))
    if roll < 0.5:
        factor = pick(rng, (0.3, 0.5, 2.0, 3.0))
        return Shaping.of(*(t if t.kind == "native" else t.scaled(factor) for t in shaping.terms))
    if roll < 0.7:
        return shaping.with_term(term.name, reformed(term, words, rng))
    if roll < 0.8:
        return shaping.with_term(term.name, words.draw_term(rng))
    if roll < 0.9 and len(terms) > 1:
        return shaping.without(frozenset({term.name})) or shaping
    simple = sum(t.kind not in EVENTS for t in terms) < MOST_TERMS
    return Shaping.of(*shaping.terms, words.draw_term(rng)) if simple else shaping


def rescaled(term: Term, words: Vocabulary, rng: np.random.Generator) -> Term:
    """Another weight, at most five times the size of the native reward."""
    new = term.scaled(pick(rng, (0.2, 0.5, 2.0, 5.0)))
    most = abs(words.weight(term.kind, 5.0)) if term.kind != "native" else np.inf
    return new if abs(new.weight) <= most else term.scaled(0.5)


def reformed(term: Term, words: Vocabulary, rng: np.random.Generator) -> Term:
    """Another form of the same idea: its transform, its point, or a gain instead of a level."""
    measure = term.measure
    if measure is None or term.kind in EVENTS:
        return rescaled(term, words, rng)
    roll = rng.random()
    if roll < 0.4:
        bent = replace(measure, transform=pick(rng, TRANSFORMS), temperature=pick(rng, TEMPERATURES))
        return replace(term, measure=bent)
    if roll < 0.7 and measure.kind in ("near", "away") and len(measure.features) == 1:
        return replace(term, measure=_moved(measure, words, rng))
    build = words.dense if term.kind == "potential" else words.potential
    return build(measure, pick(rng, (0.2, 0.5, 1.0)))


def _moved(measure: Measure, words: Vocabulary, rng: np.random.Generator) -> Measure:
    """The same feature seen from another point."""
    feature = next((f for f in words.roles.movable if f.name == measure.features[0]), None)
    if feature is None:
        return measure
    point = pick(rng, points(feature))
    return replace(measure, points=(point,), spans=(reach_from(feature, point),))


def _simpler(tree: Shaping, error: str) -> Iterator[Shaping]:
    """The tree without the terms that the error names; then without each of the others, the last first."""
    named = {t.name for t in tree.shaping_terms if t.name in error or any(f in error for f in t.features)}
    left = tree.without(frozenset(named)) if named else None
    if left:
        yield left
    for term in reversed(tree.shaping_terms):
        rest = tree.without(frozenset({term.name}))
        if rest:
            yield rest
