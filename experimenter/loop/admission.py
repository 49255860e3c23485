"""What is wrong with a request before anything is looked at, trained or written: told at once."""

from __future__ import annotations

from experimenter import plugins
from experimenter.budget import check
from experimenter.config import Settings
from experimenter.contracts import Algorithm
from experimenter.envs.records import EnvCard
from experimenter.errors import BudgetError, ConfigError, TrainingFault, UsageError, did_you_mean
from experimenter.loop.consulting import check_planners, check_words, expected, settled
from experimenter.loop.plan import Plan, affordable, make_plan, nominal_steps
from experimenter.records import Budget, Design, Phase, WeightedEnv

__all__ = ["admit", "budget_of", "check_algorithm", "plan_of"]


def admit(wish: str, judge_visibility: str, settings: Settings) -> Settings:
    """The settings as the run will keep them.

    Raises NotFound, ConfigError, BudgetError, UsageError, ContainmentError, or what a planner needs and does not find.
    """
    _check_words(wish)
    _check_visibility(judge_visibility)
    _check_plugins(settings)
    settings = settled(settings)
    check_words(settings)
    _check_containment(settings)
    budget = budget_of(settings)
    check(budget, settings.confirm_seeds, dollars=expected(settings, (1,))[1])
    check_plan(budget, settings)
    return settings


def check_algorithm(settings: Settings, card: EnvCard) -> None:
    """Raises UsageError where the algorithm cannot learn in the card's environment at all."""
    from experimenter.rl.algorithms import algorithm

    chosen = algorithm(settings.algorithm)
    learns = chosen.actions
    if card.action_kind not in learns:
        kinds = " or ".join(kind.replace("_", " ") for kind in learns)
        raise UsageError(
            f"{settings.algorithm.upper()} needs {kinds} actions, and those of {card.spec.id} are "
            f"{card.action_kind.replace('_', ' ')}.",
            "Leave --algorithm out: ppo learns both.",
        )
    _check_policy(chosen, card)


def _check_policy(chosen: Algorithm, card: EnvCard) -> None:
    """A policy as the algorithm wants it must fit what is seen and done: one with a mask must see the mask."""
    from experimenter.envs.pipeline import Pipeline
    from experimenter.envs.spaces import space_from_json
    from experimenter.policies.policy import Policy

    target = Phase(environments=(WeightedEnv(environment=card.spec),), steps=1)
    design = Design(name="fit", algorithm=chosen.name, phases=(target,), network=chosen.network(card))
    pipeline = Pipeline.for_space(space_from_json(card.observation_space), card.spec.family)
    said = chosen.says(chosen.settled(design))
    try:
        Policy(pipeline, None, design.network, {}, card.observation_space, card.action_space, said=said)
    except TrainingFault as fault:
        told = f"{card.spec.id} cannot be learnt by {chosen.name.upper()}: {fault.message}."
        raise UsageError(told, fault.hint) from fault


def _check_words(wish: str) -> None:
    if not wish.strip():
        raise UsageError("The wish is empty.", 'Say in a sentence what you want, e.g. "reach the flag".')
    if len(wish) > 4000:
        raise UsageError("The wish is longer than 4,000 characters.", "Say it shorter.")


def _check_visibility(visibility: str) -> None:
    """A hidden judge is refused, not half kept: no part of the loop can decide without the judge's score yet."""
    if visibility == "open":
        return
    if visibility != "hidden":
        raise ConfigError(
            f"A judge is open or hidden, not {visibility[:40]!r}.",
            did_you_mean(visibility, ("open", "hidden")),
        )
    raise ConfigError(
        "A hidden judge needs a curriculum that promotes designs by preference, and none is installed.",
        "Use an open judge: leave judge_visibility out, or say open.",
    )


def _check_plugins(settings: Settings) -> None:
    check_planners(settings)
    plugins.load("curricula", settings.curriculum)
    _check_installed(settings.algorithm)


def _check_installed(name: str) -> None:
    """Through the entry points even where the trainer takes a shorter way, so that two of one name are refused."""
    from experimenter.rl.algorithms import algorithm

    plugins.load("algorithms", name)
    algorithm(name).ready()


def _check_containment(settings: Settings) -> None:
    from experimenter.sandbox.level import require_containment

    require_containment(allow_unsandboxed=settings.allow_unsandboxed)


def budget_of(settings: Settings) -> Budget:
    return Budget(
        env_steps=settings.budget_steps,
        seconds=settings.budget_seconds,
        tokens=settings.budget_tokens,
        dollars=settings.budget_dollars,
    )


def check_plan(budget: Budget, settings: Settings) -> None:
    """The smallest run is one design with its checks, and its confirmation."""
    steps = budget.env_steps or nominal_steps()
    if _buys_a_trial(steps, settings):
        return
    enough = steps
    while not _buys_a_trial(enough, settings):
        enough += max(1, enough // 20)
    raise BudgetError(
        f"A budget of {steps:,} learning steps cannot buy the smallest run.",
        f"With --confirm-seeds {settings.confirm_seeds} it needs about {enough:,}.",
    )


def _buys_a_trial(steps: int, settings: Settings) -> bool:
    plan = plan_of(Budget(env_steps=steps), settings)
    return affordable(plan.search_limit, plan) > 0


def plan_of(budget: Budget, settings: Settings) -> Plan:
    steps = budget.env_steps or nominal_steps()
    return make_plan(steps, settings.confirm_seeds, settings.designs, settings.chunk_steps)
