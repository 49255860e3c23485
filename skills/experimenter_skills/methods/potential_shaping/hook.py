"""Adds a potential's gain to a reward: dense guidance that does not change which policy is best.

Ng, Harada and Russell, "Policy invariance under reward transformations" (ICML 1999): a bonus of the form
``gamma * phi(next) - phi(now)``, with ``phi`` zero after an episode's end, leaves every optimal policy optimal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field

from experimenter.envs.records import EnvCard
from experimenter.methods.expressions import number
from experimenter.methods.programs import program, side_by_side
from experimenter.records import Record, RewardProgram

__all__ = ["PotentialShaping"]

_SOURCE = """\
{base}def potential(value):
    return np.clip(np.nan_to_num(value), -1e6, 1e6)


def reward(t):
    now = potential({now})
    after = potential({after})
    gain = t.gamma * (1.0 - t.terminated) * after - now
    paid = {paid}
    paid["{component}"] = paid.get("{component}", 0.0) + {scale} * gain
    return paid
"""


class Parameters(Record):
    """``potential``: a formula over features; ``scale``: what a gain of one is worth; ``component``: its name."""

    potential: str = Field(min_length=1, max_length=500)
    scale: float = Field(default=1.0, ge=-1e4, le=1e4)
    component: str = Field(default="potential", pattern=r"^[a-z][a-z0-9_]{0,39}$")


class PotentialShaping:
    """Kind ``reward``: a program's components (or the native reward), and one more for the potential's gain."""

    contract: ClassVar[int] = 1
    name: ClassVar[str] = "potential-shaping"
    kind: ClassVar[str] = "reward"
    Parameters: ClassVar[type[Record]] = Parameters

    def write(
        self, programs: Sequence[RewardProgram], card: EnvCard, parameters: Mapping[str, Any]
    ) -> RewardProgram:
        """Shapes the sum of ``programs``' components. Raises UsageError for a formula that cannot be read."""
        members = side_by_side(programs, taken=("potential", "now", "after", "gain", "paid"))
        text = parameters["potential"]
        source = _SOURCE.format(
            base=f"{members.source}\n\n\n" if programs else "",
            now=number(text, card.features, "now"),
            after=number(text, card.features, "next"),
            paid=_paid(members.calls),
            component=parameters["component"],
            scale=repr(float(parameters["scale"])),
        )
        return program("potential_shaping", source)


def _paid(calls: Sequence[str]) -> str:
    """The components to which the gain is added: those of one program, of several under numbers, or the native."""
    if not calls:
        return '{"native": t.native_reward}'
    if len(calls) == 1:
        return f"dict({calls[0]}(t))"
    return "{" + ", ".join(f'"m{i}": sum({call}(t).values())' for i, call in enumerate(calls, start=1)) + "}"
