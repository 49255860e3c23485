"""Plans the control arms: what the same number of learning steps buys without the planner's ideas. Pure.

B is every learning step that the experimenter spent (search, discards, checks, confirmation, inherited steps), and a
control spends B in all. ``native`` is k trainings of B/k steps on the native reward with shipped defaults; ``random``
is the same loop, with every planner answer drawn uniformly, so only the loop can run it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from pydantic import Field

from experimenter.errors import BudgetError, ConfigError, did_you_mean
from experimenter.identity import seeds
from experimenter.records import Design, EnvSpec, Hyperparameters, Network, Phase, Record, WeightedEnv

__all__ = ["CHOICES", "ControlPlan", "control_names", "native_design", "plan_control", "plan_controls"]

CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "none": (),
    "native": ("native",),
    "random": ("random",),
    "all": ("native", "random"),
}
DEFAULTS: Final = Hyperparameters()
DEFAULT_NETWORK: Final = Network()


class ControlPlan(Record):
    """One control arm. ``way`` says who runs it: ``trainings`` at once, or the ``loop`` with ``planner``.

    ``trainings`` of ``steps_each`` learning steps, one per seed, spend ``env_steps`` in all, less a remainder below
    ``trainings``. Under ``loop`` the loop itself divides ``env_steps``, and ``steps_each`` is only the mean.
    """

    name: Literal["native", "random"]
    way: Literal["trainings", "loop"]
    planner: str | None = None
    env_steps: int = Field(gt=0)
    trainings: int = Field(gt=0)
    steps_each: int = Field(gt=0)
    seeds: tuple[int, ...]


def control_names(choice: str) -> tuple[str, ...]:
    """The arms that the setting ``controls`` asks for; raises ConfigError for an unknown word."""
    if choice not in CHOICES:
        hint = did_you_mean(choice, CHOICES) or f"Choose one of {', '.join(CHOICES)}."
        raise ConfigError(f"There is no choice of controls named {choice!r}.", hint)
    return CHOICES[choice]


def plan_control(name: str, budget_spent: int, k: int, run_seed: int) -> ControlPlan:
    """One arm that spends ``budget_spent`` learning steps over ``k`` training seeds of the role ``control_train``.

    Raises ConfigError for an unknown name and BudgetError when a training would get no step at all.
    """
    if name not in ("native", "random"):
        raise ConfigError(f"There is no control named {name!r}.", did_you_mean(name, ("native", "random")))
    if k < 1 or budget_spent < k:
        raise BudgetError(
            f"{budget_spent} steps cannot be shared among {k} control trainings.",
            "Spend more steps on the run, or use fewer confirmation seeds.",
        )
    plain = name == "native"
    return ControlPlan(
        name="native" if plain else "random",
        way="trainings" if plain else "loop",
        planner=None if plain else "random",
        env_steps=budget_spent,
        trainings=k,
        steps_each=budget_spent // k,
        seeds=seeds(run_seed, "control_train", k, name),
    )


def plan_controls(choice: str, budget_spent: int, k: int, run_seed: int) -> tuple[ControlPlan, ...]:
    """Every arm that ``choice`` asks for, each with the whole of ``budget_spent``."""
    return tuple(plan_control(name, budget_spent, k, run_seed) for name in control_names(choice))


def native_design(
    plan: ControlPlan,
    environment: EnvSpec,
    hyperparameters: Hyperparameters = DEFAULTS,
    network: Network = DEFAULT_NETWORK,
    training_seeds: Sequence[int] | None = None,
) -> Design:
    """The native arm's design: the goal's own environment and reward, shipped defaults, no starting policy."""
    phase = Phase(
        environments=(WeightedEnv(environment=environment),),
        hyperparameters=hyperparameters,
        steps=plan.steps_each,
    )
    chosen = plan.seeds if training_seeds is None else tuple(training_seeds)
    return Design(
        name=f"control_{plan.name}", phases=(phase,), network=network, seeds=chosen, origin="control"
    )
