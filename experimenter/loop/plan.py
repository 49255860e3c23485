"""How a budget is laid out: how long a design trains, how many candidates a trial may have, and the rungs between.

Half the budget is reserved for confirmation before the first trial. A design trains for a little less than
what one confirmation can afford, so that checks do not cost the search a whole trial. Candidates meet by
successive halving (Jamieson and Talwalkar 2016, with η = 2): each rung keeps the better half and doubles the steps,
survivors go on from where they stopped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from experimenter.budget import SMALLEST_DESIGN, reserve
from experimenter.config import Settings
from experimenter.records import Budget, Record

LEVELS = 8
CHECKS = 0.12
FEWEST_PROBED, MOST_PROBED = 64, 512


class Plan(Record):
    """The layout of one run's learning steps. ``chunk_steps`` is fixed for the run, as resuming needs it.

    ``epoch`` counts how often the budget was raised: what was decided before is then decided anew.
    """

    env_steps: int
    reserve: int
    confirm_seeds: int
    design_steps: int
    chunk_steps: int
    designs: int
    budget: Budget = Budget()
    epoch: int = 0

    @property
    def search_limit(self) -> int:
        return self.env_steps - self.reserve

    @property
    def probe_steps(self) -> int:
        """Steps of each of a design's three probes: random rollouts, the champion's, a first one of training."""
        return max(FEWEST_PROBED, min(MOST_PROBED, self.design_steps // 40))

    def check_allowance(self, candidates: int) -> int:
        """What the checks of a trial may cost, repairs included."""
        return candidates * (3 * self.probe_steps + FEWEST_PROBED) * 3 // 2


class Rung(Record):
    """One rung: ``keep`` candidates train until ``until`` steps each, counted from the design's beginning."""

    keep: int
    until: int


def make_plan(env_steps: int, confirm_seeds: int, designs: int, chunk_steps: int) -> Plan:
    """Lays out a budget; ``env_steps`` was checked to be enough (``budget.check``)."""
    kept = reserve(env_steps)
    design_steps = max(SMALLEST_DESIGN, int((1 - CHECKS) * kept) // max(1, confirm_seeds))
    chunk = min(chunk_steps, max(2048, design_steps // LEVELS))
    return Plan(
        env_steps=env_steps,
        reserve=kept,
        confirm_seeds=confirm_seeds,
        design_steps=design_steps,
        chunk_steps=chunk,
        designs=designs,
    )


def nominal_steps() -> int:
    """The size of a run that is limited in another currency only."""
    return int(Settings.model_fields["budget_steps"].default)


def rungs(candidates: int, design_steps: int, chunk_steps: int) -> tuple[Rung, ...]:
    """The rungs for a number of candidates; every ``until`` but the last is a whole number of chunks."""
    levels = max(1, math.ceil(math.log2(max(1, candidates)))) + 1
    found: list[Rung] = []
    for level in range(levels):
        until = design_steps >> (levels - 1 - level)
        if level < levels - 1:
            until = max(1, until // chunk_steps) * chunk_steps
        keep = math.ceil(candidates / 2**level)
        if until < design_steps or level == levels - 1:
            found.append(Rung(keep=keep, until=min(until, design_steps)))
    return _without_repeats(found)


def _without_repeats(found: Sequence[Rung]) -> tuple[Rung, ...]:
    kept: list[Rung] = []
    for rung in found:
        if kept and rung.until <= kept[-1].until:
            continue
        kept.append(rung)
    return tuple(kept)


def cost(candidates: int, design_steps: int, chunk_steps: int) -> int:
    """Learning steps that a trial of so many candidates takes when nothing ends early."""
    total, before = 0, 0
    for rung in rungs(candidates, design_steps, chunk_steps):
        total += rung.keep * (rung.until - before)
        before = rung.until
    return total


def affordable(steps_left: int, plan: Plan) -> int:
    """The largest number of candidates whose trial fits into ``steps_left``; 0 when not even one does."""
    for candidates in range(plan.designs, 0, -1):
        training = cost(candidates, plan.design_steps, plan.chunk_steps)
        if training + plan.check_allowance(candidates) <= steps_left:
            return candidates
    return 0
