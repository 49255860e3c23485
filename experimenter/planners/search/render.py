"""Turns a shaping tree into the Python source that a person reads and the sandbox runs.

Every measure is clipped before anything else, so that a program is finite for any finite or infinite feature.
"""

from __future__ import annotations

from experimenter.planners.search.grammar import Measure, Shaping, Term
from experimenter.records import RewardProgram

__all__ = ["program", "source"]


def program(shaping: Shaping, *, origin: str = "search", parents: tuple[str, ...] = ()) -> RewardProgram:
    """The reward program of a tree; its name comes from its components."""
    names = [term.name for term in shaping.shaping_terms] or ["native"]
    return RewardProgram(
        name="_and_".join(names)[:60], source=source(shaping), origin=origin, parents=parents
    )


def source(shaping: Shaping) -> str:
    """``def reward(t)`` for a tree, with the tree itself as a comment in the first line."""
    lines = [shaping.comment(), "def reward(t):"]
    for term in shaping.terms:
        lines += [f"    {line}" for line in _preparation(term)]
    lines.append("    return {")
    lines += [f'        "{term.name}": {_value(term)},' for term in shaping.terms]
    return "\n".join([*lines, "    }", ""])


def _preparation(term: Term) -> list[str]:
    measure = term.measure
    if measure is None or term.kind in ("first_time", "change"):
        return []
    lines = [f"# {_words(term, measure)}"]
    if measure.transform in ("tanh", "exp"):
        lines.append(f"temperature_{term.name} = {measure.temperature}")
    if term.kind == "potential":
        lines.append(f"{term.name}_now = {_phi(term.name, measure, 'now')}")
    return [*lines, f"{term.name}_next = {_phi(term.name, measure, 'next')}"]


def _words(term: Term, measure: Measure) -> str:
    about = " and ".join(measure.features)
    points = ", ".join(str(point) for point in measure.points)
    what = {
        "level": f"how high {about} is",
        "near": f"how near {about} is to {points}",
        "away": f"how far {about} is from {points}",
        "energy": f"the energy of {about} around {points}",
        "gap": f"how close {about} are to each other",
        "flag": f"the flag {about}",
    }[measure.kind]
    how = "the gain in" if term.kind == "potential" else "a reward at every step for"
    return f"{term.name}: {how} {what}, from 0 to 1"


def _phi(name: str, measure: Measure, when: str) -> str:
    """Phi of the state ``when`` as an expression."""
    plain = _measured(measure, when)
    if measure.transform == "square":
        return f"np.square({plain})"
    if measure.transform == "tanh":
        return f"np.tanh({plain} / temperature_{name})"
    if measure.transform == "exp":
        return f"np.exp(({plain} - 1.0) / temperature_{name})"
    return plain


def _measured(measure: Measure, when: str) -> str:
    if measure.kind == "flag":
        return f"np.clip(t.{when}.{measure.features[0]}, 0.0, 1.0)"
    if measure.kind == "gap":
        first, second = (f"t.{when}.{name}" for name in measure.features)
        return f"(1.0 - np.clip(np.abs({first} - {second}) / {measure.spans[0]}, 0.0, 1.0))"
    offsets = [_offset(measure, i, when) for i in range(len(measure.features))]
    mean = offsets[0] if len(offsets) == 1 else f"(({' + '.join(offsets)}) / {float(len(offsets))})"
    return f"(1.0 - {mean})" if measure.kind == "near" else mean


def _offset(measure: Measure, i: int, when: str) -> str:
    """One feature's clipped distance from its point, in spans."""
    feature, point = f"t.{when}.{measure.features[i]}", measure.points[i]
    difference = (
        feature if point == 0 else f"({feature} - {point})" if point > 0 else f"({feature} + {-point})"
    )
    inner = difference if measure.kind == "level" else f"np.abs({difference.strip('()')})"
    clipped = f"np.clip({inner} / {measure.spans[i]}, 0.0, 1.0)"
    return f"np.square({clipped})" if measure.kind == "energy" else clipped


def _value(term: Term) -> str:
    if term.kind in ("first_time", "change"):
        feature = term.features[0]
        return f"{term.weight} * (t.next.{feature} - t.now.{feature})"
    if term.kind == "potential":
        ahead = f"t.gamma * (1.0 - t.terminated) * {term.name}_next"
        return f"{term.weight} * ({ahead} - {term.name}_now)"
    if term.kind == "dense":
        return f"{term.weight} * {term.name}_next"
    if term.kind == "native" and term.weight == 1.0:
        return "t.native_reward"
    return f"{term.weight} * " + _BARE_VALUES[term.kind]


_BARE_VALUES = {
    "native": "t.native_reward",
    "ending": "t.terminated",
    "survival": "(1.0 - t.terminated)",
    "effort": "-np.mean(np.square(np.clip(t.action, -10.0, 10.0)), axis=1)",
}
