"""The first generation of rewards: one idea of each kind before a second of any.

A search of a few short trainings cannot afford luck, so the first programs are laid out by hand over kinds of terms
and ordered by the kind of card: where nothing tells good from bad, pumping speed and energy comes first; where an
episode lasts as long as one stays alive, keeping still; where flags mark progress, paying each for its first time.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice, zip_longest

from experimenter.envs.records import EnvCard, Feature
from experimenter.planners.search.grammar import Shaping, Term
from experimenter.planners.search.reading import card_kind, ends, flat, partner
from experimenter.planners.search.vocabulary import (
    Vocabulary,
    each,
    energy,
    level,
    offset,
    points,
    speed,
    vocabulary,
)

__all__ = ["first_generation", "strata"]

WIDE = 6


def first_generation(card: EnvCard, *, hidden: bool = False) -> Iterator[Shaping]:
    """Distinct rewards in the order in which they should be tried; finite, some tens."""
    seen: set[str] = set()
    words = vocabulary(card, hidden=hidden)
    rows = zip_longest(*strata(card, words))
    for shaping in chain(chain.from_iterable(rows), _last(card, words)):
        if shaping is not None and shaping.key not in seen:
            seen.add(shaping.key)
            yield shaping


def strata(card: EnvCard, words: Vocabulary) -> tuple[list[Shaping], ...]:
    """One list of rewards for each kind of idea, the most promising kind first; empty ones left out."""
    kind = card_kind(card)
    speeds, energies, dense, extremes = (
        _speeds(words),
        _energies(words),
        _dense_speeds(words),
        _extremes(words),
    )
    ideas: tuple[list[Shaping], ...]
    if kind == "sparse flags":
        ideas = _flag_ideas(words)
    elif flat(card):
        ideas = (speeds, dense, energies, _flags(words), extremes, _combinations(words))
    elif kind == "survival":
        ideas = (_calm(words), _balanced(words), _flags(words), _combinations(words), extremes, speeds)
    else:
        ideas = (
            _calm(words),
            speeds,
            _flags(words),
            extremes,
            _balanced(words),
            dense,
            _combinations(words),
            energies,
        )
    return tuple(idea for idea in ideas if idea)


def _last(card: EnvCard, words: Vocabulary) -> list[Shaping]:
    """What is worth a try only after everything else: the end of an episode, its length, stillness where it is flat."""
    return [*_ends(words), *_calm(words), *_extremes(words)] if flat(card) else _ends(words)


def _speeds(words: Vocabulary) -> list[Shaping]:
    """Gains in speed: all speeds together, then each alone, small and large."""
    found = words.roles.speeds[:WIDE] or words.roles.positions[:WIDE]
    if not found:
        return []
    together = [speed(*found)] if len(found) > 1 else []
    measures = [*together, *(speed(feature) for feature in found)]
    return [words.shaping(words.potential(m, factor)) for factor in (1.0, 0.2) for m in measures]


def _dense_speeds(words: Vocabulary) -> list[Shaping]:
    found = words.roles.speeds[:WIDE] or words.roles.positions[:WIDE]
    return [words.shaping(words.dense(speed(f), factor)) for factor in (0.5, 0.2) for f in found]


def _energies(words: Vocabulary) -> list[Shaping]:
    """Energy of each speed with the position it belongs to, as a gain and as a level."""
    pairs = _pairs(words)
    gains = [words.shaping(words.potential(energy(p, v), 1.0)) for p, v in pairs]
    levels = [words.shaping(words.dense(energy(p, v), 0.5)) for p, v in pairs]
    return gains + levels


def _pairs(words: Vocabulary) -> list[tuple[Feature, Feature]]:
    """Each speed with its likeliest position; every ordered pair where no feature looks like a speed."""
    speeds, positions = words.roles.speeds, words.roles.positions
    if not speeds:
        return list(islice(((p, v) for v in positions for p in positions if p is not v), WIDE))
    likely = [(partner(v, positions), v) for v in speeds[:WIDE]]
    return [(p, v) for p, v in likely if p is not None]


def _extremes(words: Vocabulary) -> list[Shaping]:
    """Nearer to an end of a position's range: its high end for each, then its low end, then its other points."""
    found = words.roles.positions[:WIDE] or words.roles.speeds[:WIDE]
    highs = [words.potential(level(f), 1.0) for f in found]
    lows = [words.potential(offset("near", (f,), (points(f)[0],)), 1.0) for f in found]
    others = [words.potential(offset("near", (f,), (p,)), 1.0) for f in found for p in points(f)[2:]]
    return [words.shaping(term) for term in (*highs, *lows, *others)]


def _calm(words: Vocabulary) -> list[Shaping]:
    """Everything near zero at once: as a gain, then as a level."""
    movable = _around_zero(words)
    if not movable:
        return []
    together = offset("near", movable, [0.0] * len(movable))
    return [words.shaping(term) for term in (words.potential(together, 1.0), words.dense(together, 0.5))]


def _balanced(words: Vocabulary) -> list[Shaping]:
    """One thing near zero at every step, angles first."""
    ordered = sorted(_around_zero(words), key=lambda f: (f.kind != "angle", f in words.roles.speeds))
    return [words.shaping(words.dense(offset("near", (f,), (0.0,), "square"), 0.5)) for f in ordered]


def _around_zero(words: Vocabulary) -> list[Feature]:
    return [f for f in words.roles.movable if ends(f)[0] < 0 < ends(f)[1]][: 2 * WIDE]


def _combinations(words: Vocabulary) -> list[Shaping]:
    """Two ideas at once: speed with a height, energy with the time, calm with little effort."""
    speeds, positions = words.roles.speeds, words.roles.positions
    found: list[tuple[Term, ...]] = []
    for position in positions[:WIDE]:
        if speeds:
            pumped = words.potential(speed(*speeds[:WIDE]), 1.0)
            found.append((pumped, words.potential(level(position), 0.5)))
    for position, velocity in _pairs(words):
        found.append((words.potential(energy(position, velocity), 0.5), words.dense(speed(velocity), 0.2)))
    if words.effort and words.roles.movable:
        still = offset("near", words.roles.movable[:WIDE], [0.0] * len(words.roles.movable[:WIDE]))
        found.append((words.potential(still, 1.0), words.bare("effort", 0.1)))
    return [words.shaping(*terms) for terms in found]


def _flags(words: Vocabulary) -> list[Shaping]:
    """First times of all flags together, small; each alone, larger; their changes."""
    firsts, flags = (*words.roles.firsts, *words.roles.sights), words.roles.flags
    ideas = [each(firsts, lambda f: words.first(f, 0.1))] if firsts else []
    ideas += [each(flags, lambda f: words.change(f, 0.1))] if flags else []
    ideas += [(words.first(f, 0.5),) for f in firsts]
    return [words.shaping(*terms) for terms in ideas]


def _flag_ideas(words: Vocabulary) -> tuple[list[Shaping], ...]:
    """Where flags mark the way: what the agent brings about, at several sizes; also what it sees, nears, or wastes."""
    done, seen = words.roles.firsts, words.roles.sights

    def brought(factor: float) -> tuple[Term, ...]:
        return each(done, lambda flag: words.first(flag, factor))

    alone = [words.shaping(*brought(factor)) for factor in (0.2, 0.5, 0.1)]
    sighted = [words.shaping(*brought(0.2), *each(seen, lambda flag: words.first(flag, 0.05)))]
    rows = [words.shaping(words.first(a, 0.2), words.first(b, 0.5)) for a, b in _steps(words)[: 2 * WIDE]]
    closer = [words.shaping(*brought(0.2), *_closer(words, 0.2))]
    hurried = [words.shaping(*brought(0.2), words.bare("survival", -0.1))]
    singles = [words.shaping(words.first(flag, 0.5)) for flag in done[: 2 * WIDE]]
    return alone, rows, sighted, closer, singles, hurried, _flags(words)


def _closer(words: Vocabulary, factor: float) -> tuple[Term, ...]:
    """The gain in nearness to whatever distances the card measures; nothing where it measures none."""
    found = [f for f in words.roles.positions if f.kind == "count" and ends(f)[0] == 0.0]
    return (words.potential(offset("near", found, [0.0] * len(found)), factor),) if found else ()


def _steps(words: Vocabulary) -> list[tuple[Feature, Feature]]:
    """Two flags in a row: one that chance raises, then one of another kind that it never does, such pairs first."""
    rules = {f.name: f.source.rule for f in words.roles.flags}

    def unlikely(pair: tuple[Feature, Feature]) -> tuple[bool, bool, bool]:
        first, then = pair
        other_kind = rules.get(first.source.of) != rules.get(then.source.of)
        return (first.measured_high <= 0.5, not other_kind, then.measured_high > 0.5)

    done = words.roles.firsts
    return sorted(((a, b) for a in done for b in done if a is not b), key=unlikely)


def _ends(words: Vocabulary) -> list[Shaping]:
    """What needs no feature: paying for the end of an episode, or for its length."""
    kinds = (("survival", 0.5), ("ending", 0.5), ("survival", -0.5), ("ending", -0.5))
    return [words.shaping(words.bare(kind, factor)) for kind, factor in kinds]  # type: ignore[arg-type]
