"""How well generated code is contained on this machine, found by starting a worker and letting it try.

``full``: seccomp and Landlock hold, and all eight probes were refused. ``reduced``: macOS, where there is no such
filter; resource limits and the supervisor remain. ``none``: generated code is refused unless a person allows it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Final, Literal, cast

from experimenter.errors import ContainmentError
from experimenter.sandbox.supervisor import Bounds, Hello, Worker

__all__ = ["Containment", "Probe", "containment", "require_containment"]

Level = Literal["full", "reduced", "none"]


@dataclass(frozen=True, slots=True)
class Probe:
    """One thing that generated code must not be able to do, and whether it was refused."""

    name: str
    refused: bool

    def __str__(self) -> str:
        return f"{self.name}: {'refused' if self.refused else 'NOT refused'}"


@dataclass(frozen=True, slots=True)
class Containment:
    """The level, what it means in words for a person, and the probes it rests on."""

    level: Level
    words: str
    probes: tuple[Probe, ...] = ()
    landlock: int = 0
    seccomp: bool = False


_WORDS: Final[dict[Level, str]] = {
    "full": "Generated code runs in a process of its own behind seccomp and Landlock; all probes were refused.",
    "reduced": "This system has no kernel filter for processes: generated code runs in a process of its own with "
    "the static check, resource limits and a supervisor, but could read your files if it got past the check.",
    "none": "Generated code cannot be contained here, so it is refused unless you pass --allow-unsandboxed.",
}


def _words(hello: Hello) -> str:
    words = _WORDS[cast(Level, hello.level)]
    if hello.level == "full":
        return f"{words} Landlock ABI {hello.landlock}."
    failed = [name for name, refused in hello.probes.items() if not refused]
    return f"{words} Not refused: {', '.join(failed)}." if failed else words


def containment() -> Containment:
    """Starts a worker without any program and reports what it could not do. Takes about 50 ms; never raises."""
    if sys.platform == "win32":
        return Containment("none", "Native Windows cannot contain generated code; use WSL2.")
    try:
        worker = Worker(Bounds(), allow_unsandboxed=True)
    except ContainmentError as error:
        return Containment("none", f"{_WORDS['none']} {error.message}")
    worker.close()
    hello = worker.hello
    probes = tuple(Probe(name, refused) for name, refused in hello.probes.items())
    return Containment(cast(Level, hello.level), _words(hello), probes, hello.landlock, hello.seccomp)


def require_containment(*, allow_unsandboxed: bool) -> Containment:
    """What ``containment`` finds; raises ContainmentError at level ``none`` unless ``allow_unsandboxed``."""
    found = containment()
    if found.level == "none" and not allow_unsandboxed:
        hint = "Use Linux 5.13 or newer with Landlock and seccomp, or accept the risk: --allow-unsandboxed"
        raise ContainmentError(found.words, hint)
    return found
