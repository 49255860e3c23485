"""Pays what the most doubtful of several reward programs would pay, so that no single one can be gamed.

Where programs that were written apart agree, their reward is probably meant; where one of them pays far more than
the others, it is probably being exploited. Taking the minimum, or the mean less a multiple of the spread, follows
Coste, Anwar, Kirk and Krueger, "Reward model ensembles help mitigate overoptimization" (ICLR 2024).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from experimenter.envs.records import EnvCard
from experimenter.errors import UsageError
from experimenter.methods.programs import program, side_by_side
from experimenter.records import Record, RewardProgram

__all__ = ["PessimisticEnsemble"]

_SOURCE = """\
{base}


def total(parts):
    return np.sum(np.stack([np.asarray(part, np.float64) for part in parts.values()]), axis=0)


def reward(t):
    members = np.stack([{members}])
    return {{"{component}": {aggregate}}}
"""


class Parameters(Record):
    """``programs``: sources of further members; ``scales``: what each member is multiplied by (none: 1 each);
    ``aggregate``: ``min``, or ``mean`` less ``k`` standard deviations."""

    programs: tuple[Annotated[str, Field(max_length=20_000)], ...] = Field(default=(), max_length=8)
    scales: tuple[float, ...] = Field(default=(), max_length=16)
    aggregate: Literal["min", "mean"] = "min"
    k: float = Field(default=1.0, ge=0.0, le=100.0)
    component: str = Field(default="pessimistic", pattern=r"^[a-z][a-z0-9_]{0,39}$")


class PessimisticEnsemble:
    """Kind ``reward``: N programs become one component, row by row."""

    contract: ClassVar[int] = 1
    name: ClassVar[str] = "pessimistic-ensemble"
    kind: ClassVar[str] = "reward"
    Parameters: ClassVar[type[Record]] = Parameters

    def write(
        self, programs: Sequence[RewardProgram], card: EnvCard, parameters: Mapping[str, Any]
    ) -> RewardProgram:
        """Joins ``programs`` and those in the parameters. Raises UsageError with fewer than two members."""
        further = [RewardProgram(name="member", source=source) for source in parameters["programs"]]
        every = [*programs, *further]
        scales = parameters["scales"] or (1.0,) * len(every)
        _check(len(every), scales)
        members = side_by_side(every, taken=("total", "parts", "part", "members"))
        terms = (
            f"{_number(scale)} * total({call}(t))" for scale, call in zip(scales, members.calls, strict=True)
        )
        source = _SOURCE.format(
            base=members.source,
            members=", ".join(terms),
            component=parameters["component"],
            aggregate=_aggregate(parameters["aggregate"], float(parameters["k"])),
        )
        return program("pessimistic_ensemble", source)


def _aggregate(kind: str, k: float) -> str:
    if kind == "min":
        return "members.min(axis=0)"
    return f"members.mean(axis=0) - {k!r} * members.std(axis=0)" if k else "members.mean(axis=0)"


def _check(count: int, scales: Sequence[float]) -> None:
    if count < 2:
        raise UsageError(
            f"pessimistic-ensemble needs at least two reward programs, and was given {count}.",
            "Name further ones in its parameter programs.",
        )
    if len(scales) != count:
        raise UsageError(
            f"pessimistic-ensemble was given {len(scales)} scales for {count} programs.",
            "Give one scale for each, the phase's own program first; or none, which means 1 each.",
        )
    if any(not 0.0 < scale <= 1e6 for scale in scales):
        raise UsageError(
            "A scale must be above 0 and at most 1e6.", "A member that counts nothing is better left out."
        )


def _number(scale: float) -> str:
    return repr(float(scale))
