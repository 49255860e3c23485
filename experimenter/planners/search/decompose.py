"""Decomposes what is wanted into skills by backward chaining over what skills require and give."""

from __future__ import annotations

from experimenter.questions import Decompose, Decomposition, SkillSummary

__all__ = ["decompose"]


def decompose(question: Decompose) -> Decomposition:
    """Skills in the order of their use, each at most once; or the first fact that nothing gives (the ``gap``).

    Of several skills that give a fact the one that needs the fewest new skills is taken, ties by name.
    """
    have, order = set(question.have), list[str]()
    for fact in question.wanted:
        plan = _plan(fact, frozenset(have), question.skills, frozenset())
        if isinstance(plan, str):
            return Decomposition(skills=tuple(order), gap=plan)
        for skill in plan:
            if skill.name not in order:
                order.append(skill.name)
            have |= set(skill.gives)
    return Decomposition(skills=tuple(order))


def _plan(
    fact: str, have: frozenset[str], skills: tuple[SkillSummary, ...], open_facts: frozenset[str]
) -> list[SkillSummary] | str:
    """The skills that bring ``fact`` about, in order; or the fact that is missing at the bottom of it."""
    if fact in have:
        return []
    gap, best = fact, list[SkillSummary]()
    for skill in sorted((s for s in skills if fact in s.gives), key=lambda s: s.name):
        plan = _requirements(skill, have, skills, open_facts | {fact})
        if isinstance(plan, str):
            gap = plan if gap == fact else gap
        elif not best or len(plan) + 1 < len(best):
            best = [*plan, skill]
    return best or gap


def _requirements(
    skill: SkillSummary, have: frozenset[str], skills: tuple[SkillSummary, ...], open_facts: frozenset[str]
) -> list[SkillSummary] | str:
    done: list[SkillSummary] = []
    for need in skill.requires:
        if need in open_facts:
            return need
        plan = _plan(need, have | {g for s in done for g in s.gives}, skills, open_facts)
        if isinstance(plan, str):
            return plan
        done += plan
    return done
