"""What early stopping costs and saves: replays its rules on stored curves and prints what the docs quote.

    python benchmarks/stopping.py [--json] [--fit] [--curves benchmarks/data/curves.json]

The curves were trained to their end (``benchmarks/stopping_curves.py``), so a replay knows what a stopped training
would have become. Three figures for each rule:

* duels: every design against every other one of the same environment and seed, which is the champion and done. Of the
  designs that the judge would have placed above the champion in the end, how many the rule ended before.
* searches: trials of eight designs by the loop's own halving, with the shipped defaults as the champion. In how many
  the rule lost a winner that halving alone finds, and which part of the steps it saved.
* ``--fit``: the same for other constants, each environment held out in turn: constants are chosen on the others' even
  designs, and the share is that of the odd designs of the one left out.

A design is above another when it leads by a tenth of what the designs of that environment and seed span. The rows with
fewer points are the same curves with every second validation left out, as small budgets have them. Intervals are
95 % bootstrap intervals over (environment, seed), the replicates.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np

from experimenter.loop.plan import rungs
from experimenter.records import CurvePoint, Rival, TrueReturn
from experimenter.rl.stopping import RULES, Mode, Rules, stop

CURVES: Final = Path(__file__).parent / "data" / "curves.json"
MODES: Final[tuple[Mode, ...]] = ("plateau", "forecast")
CANDIDATES: Final = 8
DRAWS: Final = 30
RESAMPLES: Final = 2_000
ALLOWED: Final = 0.05
NEARLY: Final = 0.05
ALIKE: Final = 1.2
LEAD: Final = 0.1
GRID: Final = tuple(product((0.25, 0.5, 1.0, 2.0, 3.0, 4.0), (0.0, 0.1, 0.2, 0.3, 0.5)))
"""``doubling`` and ``margin`` that ``--fit`` tries."""


@dataclass(frozen=True)
class Curve:
    """One training to its end; ``points`` are its chunks' ends, ``score`` the judge's word on what was kept."""

    environment: str
    design: int
    seed: int
    points: tuple[CurvePoint, ...]
    score: float

    @property
    def group(self) -> tuple[str, int]:
        return self.environment, self.seed

    @property
    def until(self) -> int:
        return self.points[-1].steps

    def by(self, steps: int) -> tuple[CurvePoint, ...]:
        return tuple(point for point in self.points if point.steps <= steps)


@dataclass(frozen=True)
class Count:
    """What one replicate adds: ``lost`` of ``won`` later winners, ``taken`` of ``planned`` steps."""

    group: tuple[str, int]
    lost: float
    won: float
    taken: float
    planned: float


def read_curves(path: Path, every: int) -> tuple[Curve, ...]:
    """The stored curves with every ``every``-th point, the last one always among them."""
    return tuple(_curve(one, every) for one in json.loads(path.read_text())["curves"])


def _curve(one: dict[str, Any], every: int) -> Curve:
    points = [
        CurvePoint(steps=s, true_return=TrueReturn(r))
        for s, r in zip(one["steps"], one["returns"], strict=True)
    ]
    kept = tuple(reversed(points[::-1][::every]))
    return Curve(one["environment"], one["design"], one["seed"], kept, one["score"])


def ended(
    curve: Curve, mode: Mode, rival: Rival | None, rules: Rules, after: int = 0, until: int = 0
) -> tuple[int, str]:
    """At how many steps, later than ``after`` and up to ``until``, a rule ends the training, and which; 0: none."""
    for count, point in enumerate(curve.points, start=1):
        if after < point.steps <= (until or curve.until) and point.steps < curve.until:
            found = stop(curve.points[:count], curve.until, mode, rival, rules)
            if found is not None:
                return point.steps, found.reason
    return 0, ""


def worth(curve: Curve, at: int, reason: str) -> float:
    """The score of a training that was ended: none after a forecast, which discards it; what its best checkpoint had
    come to otherwise, by validation where that was not yet (nearly) the final one."""
    if not at:
        return curve.score
    if reason == "forecast":
        return float("-inf")
    values = [float(point.true_return or 0.0) for point in curve.points]
    best = max(values[: len(curve.by(at))])
    return (
        curve.score if best >= max(values) - NEARLY * (max(values) - min(values)) else min(best, curve.score)
    )


def duels(curves: Sequence[Curve], mode: Mode, rules: Rules) -> Iterator[Count]:
    """Every ordered pair of designs of one environment and seed: the other one is the champion, and done."""
    for group, members in _groups(curves):
        lost = won = taken = planned = 0
        lead = _lead(members)
        for mine, other in product(members, members):
            if mine is not other:
                at, reason = ended(mine, mode, _champion(other), rules)
                wins = mine.score > other.score + lead
                won, lost = won + wins, lost + (wins and worth(mine, at, reason) <= other.score + lead)
                taken, planned = taken + (at or mine.until), planned + mine.until
        yield Count(group, lost, won, taken, planned)


def searches(curves: Sequence[Curve], mode: Mode, rules: Rules) -> Iterator[Count]:
    """Trials of eight designs, drawn again and again, against the shipped defaults of the same seed; groups without
    these, or of unequal lengths, hold none."""
    for group, members in _groups(curves):
        champion = next((one for one in members if one.design == 0), None)
        others = [one for one in members if one.design != 0]
        lengths = [one.until for one in members]
        if champion is None or len(others) < CANDIDATES or max(lengths) > ALIKE * min(lengths):
            continue
        rng = np.random.default_rng([group[1], len(others)])
        lost = won = taken = planned = 0
        lead = _lead(members)
        for _ in range(DRAWS):
            chosen = [others[int(i)] for i in rng.choice(len(others), CANDIDATES, replace=False)]
            found, steps = _trial(champion, chosen, "off", rules)
            kept, fewer = _trial(champion, chosen, mode, rules)
            won += found > champion.score + lead
            lost += found > max(kept, champion.score) + lead
            taken, planned = taken + fewer, planned + steps
        yield Count(group, lost, won, taken, planned)


def _trial(champion: Curve, chosen: Sequence[Curve], mode: Mode, rules: Rules) -> tuple[float, int]:
    """The score of the trial's best design and the steps that it took, by the loop's own rungs."""
    before, spent, over = 0, 0, dict[int, tuple[int, str]]()
    alive = list(range(len(chosen)))
    length = chosen[0].points[0].steps
    for rung in rungs(len(chosen), min(one.until for one in chosen), length):
        alive = sorted(alive, key=lambda i: _standing(chosen[i], before, over.get(i)), reverse=True)[
            : rung.keep
        ]
        met = {i: _standing(chosen[i], before, over.get(i)) for i in alive}
        for i in [i for i in alive if i not in over]:
            rival = _rival(champion, [score for j, score in met.items() if j != i])
            at, reason = ended(chosen[i], mode, rival, rules, before, rung.until)
            spent += (at or rung.until) - before
            if at:
                over[i] = at, reason
        alive = [i for i in alive if over.get(i, (0, ""))[1] != "forecast"]
        before = rung.until
    return max((worth(chosen[i], *over.get(i, (0, ""))) for i in alive), default=float("-inf")), spent


def _lead(members: Sequence[Curve]) -> float:
    """What a score must be higher by to count: less is the luck of twenty episodes."""
    return LEAD * (max(one.score for one in members) - min(one.score for one in members))


def _standing(curve: Curve, steps: int, over: tuple[int, str] | None) -> float:
    """The last validation by then, as halving reads it."""
    points = curve.by(min(steps, over[0]) if over else steps)
    return float(points[-1].true_return or 0.0) if points else float("-inf")


def _champion(curve: Curve) -> Rival:
    """As the loop has it: its best validation, or the judge's score where that is lower."""
    validated = max(float(point.true_return or 0.0) for point in curve.points)
    return Rival(name="the champion", score=TrueReturn(min(validated, curve.score)))


def _rival(champion: Curve, others: Iterable[float]) -> Rival:
    score = max([float(_champion(champion).score), *others])
    return Rival(name="the best so far", score=TrueReturn(score))


def fitted(curves: Sequence[Curve]) -> tuple[list[Count], list[tuple[str, float, float]]]:
    """Each environment's odd designs under constants that the others' even designs chose: what was held out, and the
    constants of each fold: those that save most among those that lose at most half of what is allowed."""
    held, chosen = list[Count](), list[tuple[str, float, float]]()
    even = [one for one in curves if one.design % 2 == 0]
    tried = {
        pair: list(duels(even, "forecast", replace(RULES, doubling=pair[0], margin=pair[1]))) for pair in GRID
    }
    for environment in sorted({curve.environment for curve in curves}):
        best = max(GRID, key=lambda pair: _merit([c for c in tried[pair] if c.group[0] != environment]))
        chosen.append((environment, *best))
        odd = [one for one in curves if one.environment == environment and one.design % 2]
        held += duels(odd, "forecast", replace(RULES, doubling=best[0], margin=best[1]))
    return held, chosen


def _merit(counts: Sequence[Count]) -> tuple[bool, float]:
    allowed = _lost(counts) <= ALLOWED / 2
    return allowed, _saved(counts) if allowed else -_lost(counts)


def _lost(counts: Sequence[Count]) -> float:
    return sum(c.lost for c in counts) / max(1.0, sum(c.won for c in counts))


def _saved(counts: Sequence[Count]) -> float:
    return 1.0 - sum(c.taken for c in counts) / max(1.0, sum(c.planned for c in counts))


def interval(
    counts: Sequence[Count], share: Callable[[Sequence[Count]], float]
) -> tuple[float, float, float]:
    """The share with its bootstrap interval over (environment, seed); nothing where there is no replicate."""
    if not counts:
        return 0.0, 0.0, 1.0
    rng, n = np.random.default_rng(0), len(counts)
    drawn = [share([counts[int(i)] for i in rng.integers(n, size=n)]) for _ in range(RESAMPLES)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return share(counts), float(low), float(high)


def figures(counts: Sequence[Count]) -> dict[str, Any]:
    return {
        "winners": round(sum(c.won for c in counts)),
        "lost": interval(counts, _lost),
        "saved": interval(counts, _saved),
    }


def _groups(curves: Sequence[Curve]) -> Iterator[tuple[tuple[str, int], list[Curve]]]:
    for group in sorted({curve.group for curve in curves}):
        yield group, [curve for curve in curves if curve.group == group]


def main() -> None:
    options = parse()
    found: dict[str, Any] = {}
    for every in (1, 2):
        curves = read_curves(options.curves, every)
        points = round(float(np.median([len(curve.points) for curve in curves])))
        for mode in MODES:
            found[f"duels, {mode}, {points} points"] = figures(list(duels(curves, mode, RULES)))
            if tried := list(searches(curves, mode, RULES)):
                found[f"searches, {mode}, {points} points"] = figures(tried)
        if options.fit:
            held, chosen = fitted(curves)
            found[f"held out duels, forecast, {points} points"] = figures(held) | {"constants": chosen}
    if options.json:
        print(json.dumps(found))
        return
    print(f"{len(curves)} curves; {RULES}")
    for name, row in found.items():
        print(line(name, row))


def line(name: str, row: dict[str, Any]) -> str:
    told = [
        f"{key} {100 * row[key][0]:.1f} % [{100 * row[key][1]:.1f}, {100 * row[key][2]:.1f}]"
        for key in ("lost", "saved")
    ]
    words = f"{name:40} winners {row['winners']:5}  later winners {told[0]}  steps {told[1]}"
    return words + "".join(
        f"\n    without {env}: doubling {k:g}, margin {luck:g}" for env, k, luck in row.get("constants", ())
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--curves", type=Path, default=CURVES)
    parser.add_argument("--json", action="store_true", help="print one object")
    parser.add_argument(
        "--fit", action="store_true", help="choose the constants anew, with environments held out"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
