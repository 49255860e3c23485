"""Lets dense components count only past a gate, so that they cannot be farmed before the event that they follow.

A dense term often helps in one stage of a task and misleads in another: being near the goal is worth nothing while
the door is shut. The gate is a condition on the state before the step, so that it stays row-wise and pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field

from experimenter.envs.records import EnvCard
from experimenter.errors import UsageError
from experimenter.identity import valid_name
from experimenter.methods.expressions import condition
from experimenter.methods.programs import program, side_by_side
from experimenter.records import Record, RewardProgram

__all__ = ["GatedRewards"]

_SOURCE = """\
{base}

def reward(t):
    is_open = {gate}
    paid = dict({call}(t))
    for name in {names}:
        paid[name] = np.where(is_open, paid[name], 0.0)
    return paid
"""


class Parameters(Record):
    """``gate``: a condition over features; ``components``: which ones wait for it (none named: all that are not in
    ``always``)."""

    gate: str = Field(min_length=1, max_length=500)
    components: tuple[str, ...] = Field(default=(), max_length=32)
    always: tuple[str, ...] = Field(default=("native",), max_length=32)


class GatedRewards:
    """Kind ``reward``: one program, some of whose components pay nothing until the gate is open."""

    contract: ClassVar[int] = 1
    name: ClassVar[str] = "gated-rewards"
    kind: ClassVar[str] = "reward"
    Parameters: ClassVar[type[Record]] = Parameters

    def write(
        self, programs: Sequence[RewardProgram], card: EnvCard, parameters: Mapping[str, Any]
    ) -> RewardProgram:
        """Gates one program. Raises UsageError without exactly one, or for a condition that cannot be read."""
        if len(programs) != 1:
            raise UsageError(
                f"gated-rewards gates one reward program, not {len(programs)}.",
                "Give the phase a reward program with dense components; the native reward has nothing to gate.",
            )
        named = (*parameters["components"], *parameters["always"])
        if wrong := [name for name in named if not valid_name(name)]:
            raise UsageError(
                f"{wrong[0][:60]!r} is no component's name.", "Use small letters, digits and underscores."
            )
        members = side_by_side(programs, taken=("is_open", "paid", "name"))
        source = _SOURCE.format(
            base=members.source + "\n",
            gate=condition(parameters["gate"], card.features),
            call=members.calls[0],
            names=_names(parameters["components"], parameters["always"]),
        )
        return program("gated_rewards", source)


def _names(chosen: Sequence[str], always: Sequence[str]) -> str:
    if chosen:
        return "[" + ", ".join(f'"{name}"' for name in chosen) + "]"
    kept = ", ".join(f'"{name}"' for name in always)
    return f"[name for name in paid if name not in [{kept}]]" if always else "list(paid)"
