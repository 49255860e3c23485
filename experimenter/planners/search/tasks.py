"""Proposes tasks: the target itself, then configurations of its family at the edge of what the agent can do."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from experimenter.envs.records import EnvCard
from experimenter.identity import slug
from experimenter.planners.search.environments import mutated_configuration, options
from experimenter.questions import Attempt, ProposeTasks, TaskProposals
from experimenter.records import EnvSpec, Task

__all__ = ["propose_tasks"]

TRIES = 60


def propose_tasks(question: ProposeTasks) -> TaskProposals:
    """Up to ``question.count`` tasks, the target first unless a skill for it exists; at least one."""
    rng = np.random.default_rng([question.seed, len(question.history)])
    target = question.goal.environment
    names: list[str] = []
    tasks: list[Task] = []
    for spec in (target, *_neighbours(question.card, target, question.history, rng)):
        name = slug(_label(spec, target), "task", names)
        names.append(name)
        if name.replace("_", "-") not in question.skills:
            tasks.append(_task(name, spec, target, question.goal.wish))
        if len(tasks) == question.count:
            break
    return TaskProposals(tasks=tuple(tasks) or (_task("target", target, target, question.goal.wish),))


def _neighbours(
    card: EnvCard, target: EnvSpec, history: tuple[Attempt, ...], rng: np.random.Generator
) -> Iterator[EnvSpec]:
    """Untried configurations: near those with half success, else near the target."""
    if not any(options(p) for p in card.parameters):
        return
    seen = {target.hash, *(w.environment.hash for a in history for w in a.environments)}
    parents = sorted(_rated(history), key=lambda pair: abs(pair[0] - 0.5))
    for i in range(TRIES):
        parent = parents[i % len(parents)][1] if parents else target
        spec = mutated_configuration(parent, card, rng)
        if spec.hash not in seen:
            seen.add(spec.hash)
            yield spec


def _rated(history: tuple[Attempt, ...]) -> list[tuple[float, EnvSpec]]:
    return [
        (a.success_rate, w.environment)
        for a in history
        if a.success_rate is not None and 0 < a.success_rate < 1
        for w in a.environments
    ]


def _label(spec: EnvSpec, target: EnvSpec) -> str:
    changed = [f"{k} {v}" for k, v in spec.kwargs.items() if target.kwargs.get(k) != v]
    return "with " + " ".join(changed) if changed else "target"


def _task(name: str, spec: EnvSpec, target: EnvSpec, wish: str) -> Task:
    if spec.hash == target.hash:
        return Task(name=name, sentence=wish, environment=spec, reason="the target itself", lever="native")
    reason = "a neighbour of the target that was not tried, at the edge of what was reached"
    sentence = f"{wish} ({_label(spec, target)})".strip()
    return Task(name=name, sentence=sentence, environment=spec, reason=reason, lever="environment")
