"""The contained process: gives up its rights, proves it, then runs one reward program on the batches it is sent.

Started by ``supervisor.py`` with an environment built from nothing and three pipes. Nothing it says is trusted
by the other end; what it checks here only makes the messages kinder.
"""

from __future__ import annotations
import __future__

import fcntl
import json
import os
import sys
from pathlib import Path
from typing import Any, Final

from experimenter.sandbox import limits, messages, probes

_HIGH: Final = 40
_MAX_BODY: Final = 1 << 28
_MAX_TEXT: Final = 500


class Pipe:
    """The message pipe, moved away from descriptors 0 and 1 so that stray output cannot reach it."""

    def __init__(self) -> None:
        self.source = fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, _HIGH)
        self.sink = fcntl.fcntl(1, fcntl.F_DUPFD_CLOEXEC, _HIGH)
        os.dup2(2, 1)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)

    def exactly(self, count: int) -> bytes:
        pieces = []
        while count:
            piece = os.read(self.source, min(count, 1 << 20))
            if not piece:
                os._exit(0)
            pieces.append(piece)
            count -= len(piece)
        return b"".join(pieces)

    def read(self) -> tuple[dict[str, Any], bytes]:
        head, body = messages.prefix_of(self.exactly(messages.PREFIX.size), _MAX_BODY)
        return messages.header_of(self.exactly(head)), self.exactly(body)

    def write(self, *pieces: bytes) -> None:
        for piece in pieces:
            view = memoryview(piece)
            while view:
                view = view[os.write(self.sink, view) :]


def _level(applied: limits.Applied, refused: dict[str, bool]) -> str:
    if applied.landlock and applied.seccomp:
        return "full" if all(refused.values()) else "none"
    return "reduced" if sys.platform == "darwin" else "none"


def contain(start: dict[str, Any]) -> dict[str, Any]:
    """Gives up rights and tries the probes; the first message to the supervisor."""
    applied = limits.give_up_rights(
        start["readable"], start["listable"], start["scratch"], start["memory_bytes"]
    )
    refused = probes.refused(Path(start["outside"]), Path(start["scratch"]), start["parent"])
    level = _level(applied, refused)
    said = {"kind": "hello", "level": level, "probes": refused}
    return {**said, "landlock": applied.landlock, "seccomp": applied.seccomp}


def _line(error: BaseException) -> int:
    """The line of the program where ``error`` arose; 0 when it is not known."""
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<reward>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line or int(getattr(error, "lineno", 0) or 0)


def _failure(error: BaseException) -> bytes:
    try:
        words = str(error)[:_MAX_TEXT]
    except BaseException:  # noqa: BLE001 - the text of a generated exception is generated code, too
        words = "an error without words"
    kind = type(error).__name__[:80]
    return messages.encode_plain({"kind": "error", "type": kind, "text": words, "line": _line(error)})


def _columns(result: Any, count: int) -> dict[tuple[str, ...], Any]:
    """The program's components as float64 columns; TypeError or ValueError says what is wrong with them."""
    import numpy as np

    if not isinstance(result, dict):
        raise TypeError(f"reward(t) returned {type(result).__name__}; it must return a dict of components")
    columns: dict[tuple[str, ...], Any] = {}
    for name, value in result.items():
        column = np.asarray(value)
        if column.dtype.kind not in "biuf":
            raise TypeError(f"component {name!s:.40} holds {column.dtype}, not numbers")
        if column.shape != (count,):
            raise ValueError(
                f"component {name!s:.40} has shape {column.shape}; it must be ({count},), one per row"
            )
        columns[(str(name),)] = column.astype(np.float64)
    return columns


def _fields(header: dict[str, Any], body: bytes) -> dict[str, Any]:
    return {**messages.nest(messages.decode(header, body)), **header["numbers"]}


def load(header: dict[str, Any]) -> Any:
    """Compiles and runs the program's top level; gives its ``reward`` function."""
    from experimenter.sandbox import facade

    flags = __future__.annotations.compiler_flag
    code = compile(header["source"], "<reward>", "exec", flags=flags, dont_inherit=True)
    names = facade.namespace(bool(header["checked"]))
    exec(code, names)
    return names["reward"]


def _answer(program: Any, header: dict[str, Any], body: bytes) -> list[bytes]:
    from experimenter.sandbox import facade

    count = int(header["n"])
    return messages.encode(
        {"kind": "result"}, _columns(program(facade.Batch.of(_fields(header, body))), count)
    )


def serve(pipe: Pipe) -> None:
    """Answers messages until the pipe closes. One program, loaded once."""
    import numpy as np

    np.seterr(all="ignore")
    program: Any = None
    while True:
        header, body = pipe.read()
        try:
            if header["kind"] == "load":
                program = load(header)
                reply = [messages.encode_plain({"kind": "loaded"})]
            else:
                reply = _answer(program, header, body)
        except BaseException as error:  # noqa: BLE001 - the sandbox: whatever generated code raises is an answer
            reply = [_failure(error)]
        pipe.write(*reply)


def main(start: str) -> None:
    """Runs the worker; ``start`` is the supervisor's JSON from the command line."""
    settings = json.loads(start)
    limits.die_with_parent(settings["parent"])
    pipe = Pipe()
    said = contain(settings)
    pipe.write(messages.encode_plain(said))
    if said["level"] == "none" and not settings["allow_unsandboxed"]:
        os._exit(4)
    serve(pipe)
