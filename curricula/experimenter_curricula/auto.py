"""The default curriculum: the native design first, then one lever at a time, so that each effect can be named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, TypeVar

from experimenter.contracts import Ask, RunView
from experimenter.errors import ExperimenterError
from experimenter.questions import (
    Answer,
    ChooseHyperparameters,
    ChooseLever,
    DesignEnvironments,
    EnvironmentMixtures,
    HyperparameterChoices,
    LeverChoice,
    RewardPrograms,
    WriteRewards,
)
from experimenter.records import (
    Design,
    Hyperparameters,
    Lever,
    MethodUse,
    OffPolicySettings,
    Phase,
    RewardProgram,
    Task,
    WeightedEnv,
)
from experimenter.rl.algorithms import ALGORITHMS
from experimenter.rl.defaults import default_hyperparameters, default_network
from experimenter.rl.offpolicy.settings import settled
from experimenter_curricula.recalled import recalled_designs

__all__ = ["Auto"]

A = TypeVar("A", bound=Answer)


class Auto:
    """Cycle 0 trains the native design; every later cycle changes one lever of the best design so far."""

    contract: ClassVar[int] = 1
    name: ClassVar[str] = "auto"

    def propose(self, view: RunView, ask: Ask) -> Task | None:
        """The native design first, then whichever lever the planner chooses; ``None`` when no lever is left."""
        if view.cycle == 0:
            return _first_task(view)
        available = _levers(view)
        if not available:
            return None
        question = ChooseLever(card=view.card, available=available, history=view.history, seed=view.seed)
        choice = _expect(ask(question), LeverChoice)
        return _task(f"{choice.lever}_{view.cycle}", view, choice.lever, choice.reason)

    def design(self, task: Task, view: RunView, ask: Ask) -> tuple[Design, ...]:
        """Up to ``view.max_designs`` designs that differ from the best so far in the task's lever alone."""
        base = view.champion or _native(view)
        if task.lever == "reward":
            return _rewarded(base, _write(view, ask, view.max_designs), task, view)
        if task.lever == "hyperparameters":
            return _tuned(base, task, view, ask)
        if task.lever == "environment":
            return _varied(base, task, view, ask)
        if task.lever == "curriculum":
            return _started(base, task, view)
        if task.lever == "memory":
            return _beside_native(view)[: view.max_designs]
        return (_native(view),)

    def repair(self, design: Design, error: str, task: Task, view: RunView, ask: Ask) -> Design | None:
        """The same design with a corrected reward; ``None`` where another lever failed."""
        failed = design.phases[-1].reward
        if failed is None or task.lever != "reward":
            return None
        written = _write(view, ask, 1, failed, error)
        return _with(design, reward=written[0])


def _first_task(view: RunView) -> Task:
    """The native design alone; or, where memory knows something better tried first, beside what it knows."""
    if view.max_designs > 1 and recalled_designs(view):
        return _task("recalled", view, "memory", "what earlier runs confirmed, beside the native design")
    return _task("native", view, "native", "what the environment's own reward teaches")


def _beside_native(view: RunView) -> tuple[Design, ...]:
    """The native design first: what memory knows stands beside it, less what it knows to be the same."""
    native = _native(view)
    return (native, *(item for item in recalled_designs(view) if item.hash != native.hash))


def _levers(view: RunView) -> tuple[Lever, ...]:
    """What may be changed here, less what was just refused: hyperparameters only of the kernel's own algorithms, which
    planners know; environments only where the family has parameters; where episodes start only where memory recalled a
    method."""
    known = view.algorithm in ALGORITHMS
    levers: tuple[Lever, ...] = ("reward", "hyperparameters") if known else ("reward",)
    levers = (*levers, "environment") if view.card.parameters else levers
    levers = (*levers, "curriculum") if _start_methods(view) else levers
    return tuple(lever for lever in levers if lever not in view.refused)


def _task(name: str, view: RunView, lever: Lever, reason: str) -> Task:
    goal = view.goal
    return Task(name=name, sentence=goal.wish, environment=goal.environment, reason=reason, lever=lever)


def _native(view: RunView) -> Design:
    """Native reward, shipped defaults: the arm that everything is measured against."""
    phase = Phase(
        environments=(WeightedEnv(environment=view.goal.environment),),
        hyperparameters=default_hyperparameters(view.card, batched=view.batched),
        steps=view.design_steps,
    )
    network = default_network(view.card, view.algorithm)
    return settled(
        Design(name="native", phases=(phase,), network=network, algorithm=view.algorithm, origin="native")
    )


def _write(
    view: RunView, ask: Ask, count: int, failed: RewardProgram | None = None, error: str = ""
) -> tuple[RewardProgram, ...]:
    question = WriteRewards(
        goal=view.goal,
        card=view.card,
        count=count,
        history=view.history,
        lessons=view.lessons,
        failed=failed,
        error=error,
        seed=view.seed,
    )
    return _expect(ask(question), RewardPrograms).programs


def _rewarded(
    base: Design, programs: Sequence[RewardProgram], task: Task, view: RunView
) -> tuple[Design, ...]:
    return tuple(
        _named(_with(base, reward=program), task, i, view)
        for i, program in enumerate(programs[: view.max_designs])
    )


def _tuned(base: Design, task: Task, view: RunView, ask: Ask) -> tuple[Design, ...]:
    last = base.phases[-1]
    question = ChooseHyperparameters(
        card=view.card,
        algorithm=base.algorithm,
        base=last.hyperparameters,
        count=view.max_designs,
        steps=view.design_steps,
        history=view.history,
        seed=view.seed,
        off_policy=last.off_policy,
    )
    answer = _expect(ask(question), HyperparameterChoices)
    if last.off_policy is None:
        tuned = [_with(base, hyperparameters=choice) for choice in answer.choices]
    else:
        tuned = [settled(_with(base, off_policy=choice)) for choice in answer.off_policy]
    if not tuned:
        raise _unlike("settings of another kind of algorithm", base.algorithm)
    return tuple(_named(design, task, i, view) for i, design in enumerate(tuned[: view.max_designs]))


def _varied(base: Design, task: Task, view: RunView, ask: Ask) -> tuple[Design, ...]:
    question = DesignEnvironments(
        card=view.card,
        target=view.goal.environment,
        count=view.max_designs,
        history=view.history,
        seed=view.seed,
    )
    mixtures = _expect(ask(question), EnvironmentMixtures).mixtures
    return tuple(
        _named(_with(base, environments=mixture), task, i, view)
        for i, mixture in enumerate(mixtures[: view.max_designs])
    )


def _start_methods(view: RunView) -> tuple[str, ...]:
    """Recalled methods that choose where episodes start, less those that the best design uses already."""
    used = {use.name for phase in view.champion.phases for use in phase.methods} if view.champion else set()
    return tuple(item.name for item in view.methods if item.kind == "start" and item.name not in used)


def _started(base: Design, task: Task, view: RunView) -> tuple[Design, ...]:
    """The best design so far with a recalled method of its own choosing where episodes start."""
    names = _start_methods(view)[: view.max_designs]
    return tuple(
        _named(_with(base, methods=(MethodUse(name=name),)), task, i, view) for i, name in enumerate(names)
    )


def _with(
    base: Design,
    *,
    reward: RewardProgram | None = None,
    hyperparameters: Hyperparameters | None = None,
    environments: tuple[WeightedEnv, ...] | None = None,
    methods: tuple[MethodUse, ...] | None = None,
    off_policy: OffPolicySettings | None = None,
) -> Design:
    """``base`` with one lever changed in each of its phases."""
    given = {
        "off_policy": off_policy,
        "reward": reward,
        "hyperparameters": hyperparameters,
        "environments": environments,
        "methods": methods,
    }
    change = {name: value for name, value in given.items() if value is not None}
    return base.model_copy(update={"phases": tuple(p.model_copy(update=change) for p in base.phases)})


def _named(design: Design, task: Task, index: int, view: RunView) -> Design:
    """The design under a name of its own, at this run's length, without seeds."""
    update = {
        "name": f"{task.name[:34]}_{index}",
        "seeds": (),
        "parent": view.champion_trial,
        "origin": task.lever,
    }
    return design.model_copy(update=update).with_steps(view.design_steps)


def _expect(answer: Answer, kind: type[A]) -> A:
    """The answer as the type that was asked for. Raises ExperimenterError on anything else."""
    if not isinstance(answer, kind):
        raise _unlike(type(answer).__name__, kind.__name__)
    return answer


def _unlike(answered: str, asked: str) -> ExperimenterError:
    return ExperimenterError(
        f"The planner answered {answered} where {asked} was asked.",
        "Run the planner's contract tests: experimenter.testing.check_planner.",
    )
