"""Runs a success test, contained: on rows made from the card, to see what it is, and on recordings of episodes.

The test is generated code, and nothing that it says is a figure of the judge. It runs in its own contained process,
beside which no environment runs; every answer is asked for twice and must be the same to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from experimenter.envs.records import EnvCard
from experimenter.errors import ContainmentError, ProgramRejected, WorkspaceError
from experimenter.execution.made_rows import made_rows
from experimenter.execution.probing import Lively
from experimenter.execution.recording import read_parts
from experimenter.records import Record
from experimenter.sandbox.preflight import preflight
from experimenter.sandbox.program import ContainedProgram
from experimenter.sandbox.supervisor import Bounds
from experimenter.success import Gate, Reason, frozen_hash

__all__ = ["Applied", "ApplyOrder", "CheckOrder", "apply_test", "check_test"]

Progress = Callable[[dict[str, Any]], None]
COMPONENT: Final = "success"
_BOUNDS: Final = Bounds(memory_bytes=1 << 29)
_CALL_SECONDS: Final = 5.0
_SINGLE_ROWS: Final = 5
_LAYERS: Final[dict[str, Reason]] = {
    "static": "static",
    "limits": "limits",
    "contract": "contract",
    "preflight": "preflight",
}


class CheckOrder(Record):
    """A test to be examined on rows made from ``card``; ``seed`` draws them."""

    source: str
    card: EnvCard
    seed: int
    allow_unsandboxed: bool = False


class ApplyOrder(Record):
    """A frozen test, and the recording of ``episodes`` episodes in ``folder``."""

    source: str
    hash: str
    folder: str
    episodes: int
    allow_unsandboxed: bool = False


class Applied(Record):
    """For each episode whether any of its rows met the test, how many rows there were, and the containment."""

    met: tuple[bool, ...]
    rows: int
    level: str


class _Wrong(Exception):
    """A property that the test lacks."""

    def __init__(self, reason: Reason, message: str, hint: str) -> None:
        super().__init__(message)
        self.reason, self.message, self.hint = reason, message, hint


def check_test(order: CheckOrder, progress: Progress) -> Gate:
    """All of the gate that needs no environment. A refusal is a result here, with its reason."""
    from experimenter.sandbox.static import static_check

    gate = Gate()
    try:
        fields = static_check(order.source).fields
        gate = gate.model_copy(update={"fields": tuple(sorted(fields))})
        batch = made_rows(order.card, fields, order.source, order.seed)
        with _opened(order.source, order.allow_unsandboxed) as program:
            gate = gate.model_copy(update={"level": program.level})
            return gate.model_copy(update=_examined(Lively(program, progress), batch))
    except _Wrong as wrong:
        refusal = {"reason": wrong.reason, "message": wrong.message, "hint": wrong.hint}
    except ProgramRejected as rejected:
        reason = _LAYERS.get(rejected.layer, "contract")
        refusal = {"reason": reason, "message": _renamed(rejected.message), "hint": rejected.hint}
    except ContainmentError as error:
        refusal = {"reason": "containment", "message": error.message, "hint": error.hint}
    return gate.model_copy(update=refusal)


def apply_test(order: ApplyOrder, progress: Progress) -> Applied:
    """What the test says of each episode.

    Raises ProgramRejected when it breaks its contract or says two things of the same rows; WorkspaceError when it is
    not the test that was frozen; ContainmentError.
    """
    if frozen_hash(order.source) != order.hash:
        raise WorkspaceError(
            "The success test is not the one that was frozen.", "Restore the workspace from a backup."
        )
    met, rows = np.zeros(order.episodes, dtype=bool), 0
    first: tuple[dict[str, Any], NDArray[np.bool_]] | None = None
    try:
        with _opened(order.source, order.allow_unsandboxed) as contained:
            program = Lively(contained, progress)
            for episode, batch in read_parts(Path(order.folder)):
                said = _said(program, batch)
                _must_equal(_said(program, _at(batch, _backwards(said)))[::-1], said, "rows change places")
                np.logical_or.at(met, episode, said)
                rows += len(said)
                first = first or (batch, said)
            if first is not None:
                _must_equal(_said(program, first[0]), first[1], "it was asked again later")
            return Applied(met=tuple(map(bool, met)), rows=rows, level=contained.level)
    except _Wrong as wrong:
        raise ProgramRejected(wrong.message, wrong.hint, "contract") from None
    except ProgramRejected as rejected:
        raise ProgramRejected(_renamed(rejected.message), rejected.hint, rejected.layer) from None


def _opened(source: str, allow_unsandboxed: bool) -> ContainedProgram:
    return ContainedProgram(
        source, deadline=_CALL_SECONDS, allow_unsandboxed=allow_unsandboxed, bounds=_BOUNDS
    )


def _examined(program: Lively, batch: Mapping[str, Any]) -> dict[str, Any]:
    """What the made rows show. Raises _Wrong or ProgramRejected."""
    said = _said(program, batch)
    _check_exact(program, batch, said)
    count = int(said.sum())
    if not count:
        raise _Wrong(
            "never met",
            f"It can never be met, as far as could be tried: it says 0 on all of {len(said):,} transitions whose "
            "features were set to their bounds, to the test's own numbers and at random.",
            "Loosen it, and compare features with values that they can take.",
        )
    if count == len(said):
        raise _Wrong(
            "always met",
            f"It says 1 on all of {len(said):,} transitions that have nothing in common.",
            "Let it say 1 only where the goal is met.",
        )
    preflight(program, batch)  # type: ignore[arg-type]
    return {"rows": len(said), "rows_met": count}


def _said(program: Lively, batch: Mapping[str, Any]) -> NDArray[np.bool_]:
    """The test's answers. Raises _Wrong unless they are one component of zeros and ones."""
    columns = program.call(batch)
    if tuple(columns) != (COMPONENT,):
        names = ", ".join(columns)
        raise _Wrong(
            "components",
            f"It returned the components {names!s:.200}.",
            'Return exactly one component, named "success".',
        )
    said = columns[COMPONENT]
    odd = said[(said != 0.0) & (said != 1.0)]
    if len(odd):
        raise _Wrong(
            "values",
            f"It said {odd[0]:g}, and a test says 1.0 or 0.0.",
            "Compare, and return the comparison as numbers: np.where(met, 1.0, 0.0).",
        )
    return np.asarray(said == 1.0)


def _check_exact(program: Lively, batch: Mapping[str, Any], said: NDArray[np.bool_]) -> None:
    """The same rows get the same answers to the bit: again, in another order, in parts, and alone."""
    count = len(said)
    _must_equal(_said(program, batch), said, "it is asked again")
    order = np.random.default_rng(count).permutation(count)
    _must_equal(_said(program, _at(batch, order)), said[order], "rows change places")
    for part in np.array_split(np.arange(count), 3):
        _must_equal(_said(program, _at(batch, part)), said[part], "the batch is split")
    for row in np.linspace(0, count - 1, _SINGLE_ROWS).astype(int):
        _must_equal(_said(program, _at(batch, np.array([row]))), said[[row]], "a row stands alone")
    _must_equal(_said(program, batch), said, "it is asked again")


def _must_equal(found: NDArray[np.bool_], said: NDArray[np.bool_], when: str) -> None:
    if not np.array_equal(found, said):
        raise _Wrong(
            "not deterministic",
            f"It says something else of the same transitions when {when}.",
            "Row i may depend on row i only: no state, no chance, and no mean, max or sort over rows.",
        )


def _backwards(said: NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.arange(len(said) - 1, -1, -1, dtype=np.int64)


def _at(batch: Mapping[str, Any], rows: NDArray[Any]) -> dict[str, Any]:
    return {name: _rows(value, rows) for name, value in batch.items()}


def _rows(value: Any, rows: NDArray[Any]) -> Any:
    if isinstance(value, Mapping):
        return {key: _rows(inner, rows) for key, inner in value.items()}
    return value if np.ndim(value) == 0 else np.asarray(value)[rows]


def _renamed(message: str) -> str:
    """The sandbox speaks of reward programs, whose language this is."""
    return message.replace("The reward program", "The success test")
