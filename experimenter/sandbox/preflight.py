"""What a program must show on recorded transitions before anything is trained with it.

Deterministic, finite, varying, fast, and row-wise: row i's result may depend on row i only, which permuting,
splitting and single rows reveal (``contracts.md``).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from experimenter.errors import ProgramRejected
from experimenter.sandbox.program import ContainedProgram

__all__ = ["ComponentCheck", "PreflightReport", "preflight"]

SECONDS_PER_TRANSITION: Final = 20e-6
SECONDS_PER_CALL: Final = 0.1
"""Wide on purpose: a good program must pass on a busy machine too, or two runs with the same seed would part ways."""
_TOLERANCE: Final = 1e-5
_PERMUTATION_SEED: Final = 20_261
_Columns = dict[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class ComponentCheck:
    """One component on the batch. ``share``: of the sum of all components' mean |value|; ``dead``: zero always."""

    name: str
    minimum: float
    mean: float
    maximum: float
    share: float
    constant: bool
    dead: bool


@dataclass(frozen=True, slots=True)
class PreflightReport:
    """Statistics per component, and seconds per transition of a call on the whole batch."""

    components: tuple[ComponentCheck, ...]
    seconds_per_transition: float


def _refuse(message: str, hint: str) -> ProgramRejected:
    return ProgramRejected(f"The reward program failed its pre-flight: {message}.", hint, "preflight")


def _rows(value: Any, chosen: np.ndarray) -> Any:
    if isinstance(value, Mapping):
        return {key: _rows(inner, chosen) for key, inner in value.items()}
    return value if np.ndim(value) == 0 else np.asarray(value)[chosen]


def _at(batch: Mapping[str, Any], chosen: np.ndarray) -> dict[str, Any]:
    return {name: _rows(value, chosen) for name, value in batch.items()}


def _timed(program: ContainedProgram, batch: Mapping[str, Any]) -> tuple[_Columns, float]:
    start = time.perf_counter()
    columns = program.call(batch)
    return columns, time.perf_counter() - start


def _compare(expected: _Columns, got: _Columns, chosen: np.ndarray, what: str) -> None:
    for name, column in expected.items():
        scale = max(1e-12, float(np.abs(column).max()))
        if not np.allclose(got[name], column[chosen], rtol=_TOLERANCE, atol=_TOLERANCE * scale):
            raise _refuse(
                f"component {name} changes when {what}",
                "Row i may depend on row i only: no mean, max, cumsum, diff or sort over rows; use axis=1.",
            )


def _check_rowwise(
    program: ContainedProgram, batch: Mapping[str, Any], columns: _Columns, count: int
) -> None:
    order = np.random.default_rng(_PERMUTATION_SEED).permutation(count)
    _compare(columns, program.call(_at(batch, order)), order, "rows are permuted")
    for part in np.array_split(np.arange(count), 2) if count > 1 else []:
        _compare(columns, program.call(_at(batch, part)), part, "the batch is split")
    for row in sorted({0, count // 2, count - 1}):
        single = np.array([row])
        _compare(columns, program.call(_at(batch, single)), single, "a row stands alone")


def _check_same(first: _Columns, second: _Columns) -> None:
    for name, column in first.items():
        if not np.array_equal(column, second[name]):
            raise _refuse(f"component {name} differs on the same transitions", "Keep no state between calls.")


def _statistics(columns: _Columns) -> tuple[ComponentCheck, ...]:
    sizes = {name: float(np.abs(column).mean()) for name, column in columns.items()}
    whole = sum(sizes.values()) or 1.0
    return tuple(
        ComponentCheck(
            name,
            float(column.min()),
            float(column.mean()),
            float(column.max()),
            sizes[name] / whole,
            bool(column.min() == column.max()),
            not column.any(),
        )
        for name, column in columns.items()
    )


def preflight(program: ContainedProgram, batch: Mapping[str, Any]) -> PreflightReport:
    """Runs every check on ``batch`` (as for ``ContainedProgram.call``; some hundred varied transitions).

    Raises ProgramRejected: layer ``preflight``, or what ``call`` raises.
    """
    first, warm = _timed(program, batch)
    second, again = _timed(program, batch)
    _check_same(first, second)
    count = len(next(iter(first.values())))
    _check_rowwise(program, batch, first, count)
    third, last = _timed(program, batch)
    _check_same(first, third)
    seconds = min(warm, again, last)
    if seconds > SECONDS_PER_CALL + SECONDS_PER_TRANSITION * count:
        raise _refuse(f"a call on {count} transitions took {seconds:.3f} s", "No Python loops over rows.")
    components = _statistics(first)
    if all(component.constant for component in components):
        raise _refuse("every component is constant on these transitions", "Let at least one depend on t.")
    return PreflightReport(components, seconds / count)
