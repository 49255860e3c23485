"""What memory brings to the first trial: earlier designs from scratch, and a policy to start from, beside the native.

A warm start is never kept unseen: in the same trial, on the same seeds, stand the same design from scratch and the
native one. It is only offered where the budget could confirm it, which means to train its whole lineage anew.
"""

from __future__ import annotations

from collections.abc import Iterable

from experimenter.contracts import RunView
from experimenter.records import Design, EnvSpec, Phase, Skill, WeightedEnv

__all__ = ["MEMORY", "origin_of", "recalled_designs"]

MEMORY = "memory"
MOST_DESIGNS = 2


def recalled_designs(view: RunView) -> tuple[Design, ...]:
    """At most two recalled designs from scratch, and the best of their policies as a start; best remembered first.

    Empty where memory holds nothing that was confirmed. Designs have ``view.design_steps`` steps and no seeds.
    """
    skills = [skill for skill in view.skills if _fits(skill.design, view)]
    lessons = [lesson for lesson in view.lessons if _fits(lesson.design, view)]
    fresh = [_fresh(lesson.design, lesson.spec, f"lesson:{lesson.id}", view) for lesson in lessons]
    fresh += [_fresh(skill.design, skill.environment, f"skill:{skill.name}", view) for skill in skills]
    warm = [_warm(skill, view) for skill in skills if _replayable(skill, view)][:1]
    return tuple(_named(designs, view) for designs in enumerate([*warm, *_distinct(fresh)[:MOST_DESIGNS]]))


def origin_of(item: str) -> str:
    """How a design says which item of memory it comes from."""
    return f"{MEMORY}:{item}"


def _fits(design: Design | None, view: RunView) -> bool:
    """Whether there is a design, of the algorithm that this run was asked to train with."""
    return design is not None and design.algorithm == view.algorithm


def _replayable(skill: Skill, view: RunView) -> bool:
    """Whether a confirmation could train the policy's whole lineage, and what comes on top, from scratch."""
    return skill.policy.lineage_steps + view.design_steps <= view.confirm_steps


def _fresh(design: Design | None, learned_in: EnvSpec | None, item: str, view: RunView) -> Design:
    assert design is not None
    phase = _moved(design.phases[-1], learned_in, view)
    update = {"phases": (phase,), "start": None, "parent": None, "origin": origin_of(item)}
    return design.model_copy(update=update)


def _warm(skill: Skill, view: RunView) -> Design:
    fresh = _fresh(skill.design, skill.environment, f"skill:{skill.name}", view)
    return fresh.model_copy(update={"start": skill.policy})


def _moved(phase: Phase, learned_in: EnvSpec | None, view: RunView) -> Phase:
    """The phase in this goal's environment; a mixture that was made for another one stays behind."""
    target = view.goal.environment
    if learned_in is not None and learned_in.hash == target.hash:
        return phase
    return phase.model_copy(update={"environments": (WeightedEnv(environment=target),)})


def _distinct(designs: Iterable[Design]) -> list[Design]:
    return list({design.hash: design for design in reversed(list(designs))}.values())[::-1]


def _named(numbered: tuple[int, Design], view: RunView) -> Design:
    index, design = numbered
    name = f"warm_{index}" if design.start is not None else f"recalled_{index}"
    return design.model_copy(update={"name": name, "seeds": ()}).with_steps(view.design_steps)
