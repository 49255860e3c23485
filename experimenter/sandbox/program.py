"""A reward program as its users hold it: source in, columns of numbers out, everything between contained.

A trainer calls it once per rollout and never holds generated code itself. Whatever goes wrong is a
``ProgramRejected`` that names the layer which noticed; after one the program is closed and stays so.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any, Final, NoReturn, TypeVar

import numpy as np

from experimenter.errors import ProgramRejected, did_you_mean
from experimenter.identity import valid_name
from experimenter.sandbox import messages
from experimenter.sandbox.static import static_check
from experimenter.sandbox.supervisor import Bounds, Worker
from experimenter.sandbox.watching import printable

__all__ = ["ContainedProgram"]

MAX_COMPONENTS: Final = 32
_CALL_BYTES: Final = 1 << 24
_Arrays = dict[tuple[str, ...], np.ndarray]
T = TypeVar("T")


class ContainedProgram:
    """One reward program in a contained process of its own; use it as a context manager or ``close`` it.

    ``deadline``: seconds per call. ``fields``: what the program names and is sent. ``level``: ``full``,
    ``reduced`` or ``none``. Raises ProgramRejected (``static`` or ``contract``), and ContainmentError where this
    machine cannot contain it and ``allow_unsandboxed`` is false. The thread that makes it must outlive it.
    """

    def __init__(
        self,
        source: str,
        *,
        deadline: float = 10.0,
        allow_unsandboxed: bool = False,
        bounds: Bounds | None = None,
        _checked: bool = True,
    ) -> None:
        self.fields: frozenset[str] = static_check(source).fields if _checked else frozenset()
        self.source = source
        self._checked = _checked
        self._deadline = deadline
        self._names: tuple[str, ...] = ()
        self._rejected: ProgramRejected | None = None
        self._busy = False
        self._worker = Worker(
            replace(bounds or Bounds(), call_seconds=deadline), allow_unsandboxed=allow_unsandboxed
        )
        self._closer = weakref.finalize(self, self._worker.close)
        self._load()

    def __enter__(self) -> ContainedProgram:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process. May be called twice."""
        self._closer()

    @property
    def level(self) -> str:
        """How well it is contained: ``full``, ``reduced`` or ``none``."""
        return self._worker.hello.level

    @property
    def components(self) -> tuple[str, ...]:
        """The components' names, in the program's order; empty before the first call."""
        return self._names

    def call(self, batch: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """The components of every transition of ``batch``: float64 ``(n,)``, finite, copies, same names always.

        ``batch`` maps field names (``obs``, ``now.position``, …) to arrays ``(n, …)``, dictionaries of such
        arrays, or numbers; only ``fields`` are sent, in several messages if they are large. Raises
        ProgramRejected: layer ``contract`` for what the program did or returned, ``limits`` for what it used.
        """
        return self.begin(batch)()

    def begin(self, batch: Mapping[str, Any]) -> Callable[[], dict[str, np.ndarray]]:
        """``call`` in two: the batch is on its way when this returns, and what it gave back brings the components.

        Meanwhile the program runs in its own process. One call at a time: finish it before the next begins.
        """
        if self._rejected is not None:
            raise self._rejected
        if not self._closer.alive:
            self._refuse("it was closed before this call", "Make a new ContainedProgram.")
        if self._busy:
            self._refuse("it was called while another call was under way", "Finish one call before the next.")
        count, arrays, numbers = self._select(batch)
        (first, size), *others = _parts(arrays, count)
        self._busy = True
        left = self._sent(first, numbers, size)

        def finish() -> dict[str, np.ndarray]:
            parts = [self._answered(left, size)]
            for part, rows in others:
                parts.append(self._answered(self._sent(part, numbers, rows), rows))
            self._busy = False
            return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

        return finish

    def _load(self) -> None:
        said = {"kind": "load", "source": self.source, "checked": self._checked}
        header, _ = self._exchange(messages.encode_plain(said), 0)
        if header.get("kind") != "loaded":
            self._failed(header)

    def _exchange(self, message: bytes, max_body: int) -> tuple[dict[str, Any], bytes]:
        return self._guarded(lambda: self._worker.exchange(message, self._deadline, max_body))

    def _guarded(self, talk: Callable[[], T]) -> T:
        """Whatever is said to the process: when it fails, the process is of no more use."""
        said = False
        try:
            found = talk()
            said = True
        except ProgramRejected as rejected:
            self._rejected = rejected
            raise
        finally:
            # An interrupted exchange leaves half a conversation in the pipes.
            if not said:
                self.close()
        return found

    def _select(self, batch: Mapping[str, Any]) -> tuple[int, _Arrays, dict[str, float]]:
        wanted = sorted(self.fields) if self._checked else sorted(batch)
        for name in wanted:
            if name not in batch:
                self._refuse(f"t.{name} is not offered", did_you_mean(name, batch))
        arrays: _Arrays = {}
        numbers: dict[str, float] = {}
        for name in wanted:
            _flatten((name,), batch[name], arrays, numbers)
        count = _rows(batch)
        if any(array.shape[:1] != (count,) for array in arrays.values()):
            raise ValueError("every array of a batch has one row per transition")
        return count, arrays, numbers

    def _sent(self, arrays: _Arrays, numbers: dict[str, float], count: int) -> memoryview:
        message = b"".join(messages.encode({"kind": "call", "n": count, "numbers": numbers}, arrays))
        return self._guarded(lambda: self._worker.send(message))

    def _answered(self, left: memoryview, count: int) -> dict[str, np.ndarray]:
        """The components of ``count`` rows, whose message was sent but for what is ``left``."""
        most = MAX_COMPONENTS * count * 8
        header, body = self._guarded(lambda: self._worker.answer(left, self._deadline, most))
        if header.get("kind") != "result":
            self._failed(header)
        try:
            columns = messages.decode(header, body)
        except messages.Malformed as reason:
            self._refuse(f"its result is malformed ({reason})")
        return self._verified(columns, count)

    def _verified(self, columns: _Arrays, count: int) -> dict[str, np.ndarray]:
        names = tuple(path[0] for path in columns)
        if not 1 <= len(names) <= MAX_COMPONENTS or not all(
            len(p) == 1 and valid_name(p[0]) for p in columns
        ):
            self._refuse(
                f"components are 1 to {MAX_COMPONENTS} names like [a-z][a-z0-9_]*; it returned {names!s:.200}"
            )
        if self._names and set(names) != set(self._names):
            self._refuse(
                f"it returned {names!s:.200} after {self._names!s:.200}", "Return the same names always."
            )
        self._names = self._names or names
        return {name: self._column(name, columns[(name,)], count) for name in self._names}

    def _column(self, name: str, column: np.ndarray, count: int) -> np.ndarray:
        if column.dtype != np.float64 or column.shape != (count,):
            self._refuse(f"component {name} has shape {column.shape} and type {column.dtype}")
        if not np.isfinite(column).all():
            row = int(np.flatnonzero(~np.isfinite(column))[0])
            self._refuse(
                f"component {name} is {column[row]} at row {row}", "Guard divisions, logarithms and roots."
            )
        return column.copy()

    def _failed(self, header: Mapping[str, Any]) -> NoReturn:
        kind, text, line = (header.get(key) for key in ("type", "text", "line"))
        layer = "limits" if kind == "MemoryError" else "contract"
        where = f"line {line}: " if line else ""
        self._refuse(f"{where}{kind}: {text}", "Correct this line." if line else "", layer)

    def _refuse(self, reason: str, hint: str = "", layer: str = "contract") -> NoReturn:
        self.close()
        self._rejected = ProgramRejected(f"The reward program failed: {printable(reason)}.", hint, layer)
        raise self._rejected


def _rows(batch: Mapping[str, Any]) -> int:
    """Number of transitions in a batch; ValueError when it has no array or no row."""
    for value in batch.values():
        leaf = next(iter(value.values()), None) if isinstance(value, Mapping) else value
        if isinstance(leaf, np.ndarray) and leaf.ndim and len(leaf):
            return len(leaf)
    raise ValueError("a batch holds at least one transition")


def _flatten(path: tuple[str, ...], value: Any, arrays: _Arrays, numbers: dict[str, float]) -> None:
    """Leaves by path. Inside an observation, arrays that are not numbers (texts) are left out."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _flatten((*path, str(key)), inner, arrays, numbers)
    elif len(path) == 1 and np.ndim(value) == 0:
        numbers[path[0]] = float(value)
    else:
        array = np.asarray(value)
        if array.dtype.kind in "biuf":
            arrays[path] = array
        elif len(path) == 1:
            raise ValueError(f"{path[0]} holds {array.dtype}, not numbers")


def _parts(arrays: _Arrays, count: int) -> Iterator[tuple[_Arrays, int]]:
    """Cuts a batch into messages of bounded size: a program is row-wise, so that cutting changes nothing."""
    row_bytes = max(1, sum(array.nbytes for array in arrays.values()) // count)
    rows = max(1, _CALL_BYTES // row_bytes)
    for start in range(0, count, rows):
        size = min(rows, count - start)
        yield {path: array[start : start + size] for path, array in arrays.items()}, size
