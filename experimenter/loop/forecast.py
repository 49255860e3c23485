"""What a run may cost, told before its first step: the plan's trials and arms, counted through on paper.

Nothing is decided by these figures. Learning steps are the plan's own. How many steps the judge takes, and how long all
of it lasts, depends on what nobody knows beforehand: how long episodes will be once something is learnt, how often a
checkpoint looks better than the best one, whether the target is reached. So three cases are counted: little, likely,
much; and the run is told as a range.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from experimenter.budget import Forecast, check, worker_count
from experimenter.config import Settings
from experimenter.envs.records import EnvCard
from experimenter.loop.pace import Pace, pace_of
from experimenter.loop.plan import Plan, affordable, cost, rungs
from experimenter.records import Budget

__all__ = ["Batch", "Case", "batches", "cases", "forecast", "judged_steps", "searched"]

# Of a run, and of each of its trials and arms, beside training and judging: processes, checks, the report.
_RUN_SECONDS: Final = 3.0
_STAGE_SECONDS: Final = 1.0
# Where random episodes last to their limit, learning can only shorten them: how far, at most and likely.
_SHORT: Final = 0.25
_SHORTER: Final = 0.75
_MOSTLY: Final = 0.5


@dataclass(frozen=True, slots=True)
class Batch:
    """Trainings that are done side by side, of ``steps`` each.

    ``checked`` designs are tried out before them, and ``judged`` policies are scored after them. ``rivals`` may be
    trained and scored again because a lead was close. ``hopeful`` of them end early when they reach the target, which
    takes all validation seeds to be believed.
    """

    trainings: int
    steps: int
    checked: int = 0
    judged: int = 0
    rivals: int = 0
    hopeful: int = 0


@dataclass(frozen=True, slots=True)
class Case:
    """What may come: the mean episode length, the share of checkpoints and of trials' winners that get a second look,
    the share of hopeful trainings that look solved once, and how much longer a step takes beside busy processes."""

    episode_length: float
    second_looks: float
    solved: float
    crowding: float


def forecast(
    plan: Plan,
    budget: Budget,
    settings: Settings,
    card: EnvCard,
    controls: Sequence[str],
    *,
    target: float | None = None,
    dollars: float | None = 0.0,
) -> Forecast:
    """What the run of ``plan``, with ``controls``, may cost when nothing ends it early.

    ``target`` is the goal's own; without one the environment's threshold counts. ``dollars`` is what the planner may
    cost (``None``: unknown price). Raises BudgetError as ``budget.check`` does.
    """
    check(budget, plan.confirm_seeds, design_steps=plan.design_steps, dollars=dollars)
    aimed = target is not None or card.reward_threshold is not None
    work = batches(plan, controls, aimed=aimed)
    judged = [judged_steps(work, case, plan, settings.eval_episodes) for case in cases(card)]
    seconds = _seconds(work, plan, settings, card)
    arms = dict.fromkeys(controls, plan.env_steps)
    return Forecast(
        search_env_steps=plan.search_limit,
        confirm_env_steps=plan.reserve,
        eval_steps_low=judged[0],
        eval_steps=judged[1],
        eval_steps_high=judged[2],
        card_steps=card.card_steps or settings.card_steps,
        control_env_steps=sum(arms.values()),
        controls=arms,
        seconds_low=seconds and seconds[0],
        seconds=seconds and seconds[1],
        seconds_high=seconds and seconds[2],
        dollars=dollars,
        words=_words(seconds, budget, settings, card, aimed),
    )


def batches(plan: Plan, controls: Sequence[str], *, aimed: bool) -> tuple[Batch, ...]:
    """All trainings of a run that uses its whole budget, in order. ``aimed``: there is a target to reach."""
    search = _search(plan, aimed=aimed)
    k = plan.confirm_seeds
    confirm = Batch(k, plan.reserve // k, judged=k, hopeful=k if aimed else 0)
    arms = {
        "native": (Batch(k, plan.env_steps // k, judged=k),),
        "random": (*search, Batch(k, plan.reserve // k, judged=k)),
    }
    return (*search, confirm, *(batch for name in controls for batch in arms[name]))


def searched(plan: Plan) -> tuple[int, ...]:
    """Candidates of each trial of a search that uses all of its steps; the first is the native design alone."""
    left, candidates, trials = plan.search_limit, 1, list[int]()
    while candidates:
        trials.append(candidates)
        left -= cost(candidates, plan.design_steps, plan.chunk_steps) + plan.check_allowance(candidates)
        candidates = affordable(left, plan)
    return tuple(trials)


def _search(plan: Plan, *, aimed: bool) -> tuple[Batch, ...]:
    """The native design alone, then trials of as many candidates as what is left can pay."""
    found: list[Batch] = []
    left, candidates = plan.search_limit, 1
    while candidates:
        found += _trial(plan, candidates, first=not found)
        left -= cost(candidates, plan.design_steps, plan.chunk_steps) + plan.check_allowance(candidates)
        candidates = affordable(left, plan)
    if aimed:
        found[-1] = replace(found[-1], hopeful=1)
    return tuple(found)


def _trial(plan: Plan, candidates: int, *, first: bool) -> list[Batch]:
    """A batch for each rung; after the first trial the winner has the champion for a rival."""
    before, made = 0, list[Batch]()
    for rung in rungs(candidates, plan.design_steps, plan.chunk_steps):
        made.append(Batch(rung.keep, rung.until - before))
        before = rung.until
    made[0] = replace(made[0], checked=candidates)
    made[-1] = replace(made[-1], judged=made[-1].trainings, rivals=0 if first else 2)
    return made


def cases(card: EnvCard) -> tuple[Case, Case, Case]:
    """Little, likely, much."""
    short, likely, longest = _lengths(card)
    return (
        Case(short, second_looks=0.0, solved=0.0, crowding=1.0),
        Case(likely, second_looks=0.5, solved=0.5, crowding=1.3),
        Case(longest, second_looks=1.0, solved=1.0, crowding=2.0),
    )


def _lengths(card: EnvCard) -> tuple[float, float, float]:
    """Episodes that end by themselves may grow to their limit; those that last to it may shrink."""
    met = card.random
    longest = float(card.max_episode_steps or max(met.length_max, math.ceil(met.length_mean), 1))
    if met.terminated_share <= _MOSTLY:
        return max(1.0, _SHORT * longest), max(1.0, _SHORTER * longest), longest
    short = max(1.0, min(met.length_mean, longest))
    return short, (short + longest) / 2, longest


def judged_steps(work: Iterable[Batch], case: Case, plan: Plan, eval_episodes: int) -> int:
    """Steps of the judge: at every chunk's end on validation seeds, and at the end of trainings on held-out ones."""
    return round(sum(_judged(batch, case, plan, eval_episodes) for batch in work))


def _judged(batch: Batch, case: Case, plan: Plan, eval_episodes: int) -> float:
    chunks = batch.trainings * math.ceil(batch.steps / plan.chunk_steps)
    episodes = chunks * _validated(case, plan.chunk_steps) + batch.checked * _validated(
        case, plan.probe_steps
    )
    episodes += batch.hopeful * case.solved * _all_seeds()
    episodes += (batch.judged + batch.rivals * case.second_looks) * eval_episodes
    return case.episode_length * episodes


def _validated(case: Case, chunk_steps: int) -> float:
    """Validation episodes at one chunk's end, in both modes, by the rule that training itself follows."""
    from experimenter.rl.validation import CHALLENGE_SHARE, MODES, SHARE, episodes_for

    seeds = _all_seeds() // len(MODES)
    first = episodes_for(SHARE, chunk_steps, case.episode_length, seeds)
    again = episodes_for(CHALLENGE_SHARE, chunk_steps, case.episode_length, seeds)
    return len(MODES) * (first + (case.second_looks * again if again > first else 0.0))


def _all_seeds() -> int:
    """Episodes of both modes on every validation seed that a training has."""
    from experimenter.loop.orders import VALIDATION_EPISODES
    from experimenter.rl.examiner import MORE_EPISODES
    from experimenter.rl.validation import MODES

    return len(MODES) * (VALIDATION_EPISODES + MORE_EPISODES)


def _seconds(
    work: Sequence[Batch], plan: Plan, settings: Settings, card: EnvCard
) -> tuple[float, float, float] | None:
    """Little, likely, much; ``None`` where the environment's speed was not measured."""
    pace = pace_of(card, settings.algorithm)
    if pace is None:
        return None
    stages = sum(batch.judged > 0 for batch in work)

    def lasting(case: Case) -> float:
        judged = [_judged(batch, case, plan, settings.eval_episodes) for batch in work]
        pairs = zip(work, judged, strict=True)
        spent = sum(_wait(batch, case, pace, steps, worker_count(settings)) for batch, steps in pairs)
        return _RUN_SECONDS + _STAGE_SECONDS * stages + spent

    little, likely, much = cases(card)
    return lasting(little), lasting(likely), lasting(much)


def _wait(batch: Batch, case: Case, pace: Pace, judged: float, workers: int) -> float:
    """How long a batch takes when as many of its trainings as there are workers are done at a time."""
    each = batch.steps * pace.learn + judged / batch.trainings * pace.judge
    crowding = case.crowding if min(workers, batch.trainings) > 1 else 1.0
    return math.ceil(batch.trainings / workers) * each * crowding


def _words(
    seconds: tuple[float, float, float] | None, budget: Budget, settings: Settings, card: EnvCard, aimed: bool
) -> str:
    if seconds is None:
        what = (
            "environment's speed"
            if settings.algorithm == "ppo"
            else f"speed of {settings.algorithm.upper()} here"
        )
        return f"the {what} was not measured, so its time cannot be told"
    count = worker_count(settings)
    words = (
        f"from {card.random.steps_per_second:,.0f} random steps/s of one environment"
        f" and {count} {'worker' if count == 1 else 'workers'}"
    )
    if aimed:
        words += "; less where the target is reached early"
    if budget.seconds is not None and seconds[1] > budget.seconds:
        words += f"; the limit of {budget.seconds:,.0f} s will probably end the run before its steps are used"
    return words
