"""What a contained process gives up for good before it loads anything (``safety.md``: before numpy is imported).

Plain ctypes, no dependency, no import of the rest of the package: the worker's start stays short. Also home of
two helpers that every worker of ours uses, contained or not: ``die_with_parent`` and ``one_thread_environment``.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from experimenter.sandbox import landlock, seccomp

__all__ = ["Applied", "die_with_parent", "give_up_rights", "one_thread_environment"]

_PDEATHSIG, _DUMPABLE, _NO_NEW_PRIVS = 1, 4, 38
_SIGKILL: Final = 9
_CAPABILITY_VERSION: Final = 0x20080522
_CAPSET: Final = {"x86_64": 126, "aarch64": 91}
_OPEN_FILES: Final = 64
_FILE_BYTES: Final = 1 << 20
_CPU_SECONDS: Final = 6 * 3600
_THREADS: Final = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


@dataclass(frozen=True, slots=True)
class Applied:
    """What the kernel accepted: the Landlock ABI (0: none) and whether the system-call filter stands."""

    landlock: int
    seccomp: bool


def one_thread_environment() -> dict[str, str]:
    """Variables that keep BLAS and OpenMP to one thread; they count only before numpy is imported."""
    return dict.fromkeys(_THREADS, "1")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def die_with_parent(parent: int | None = None) -> None:
    """Asks the kernel to kill this process when the thread that started it ends; does nothing outside Linux.

    ``parent`` is the expected parent's process id: if it is already gone, this process ends here with status 1.
    """
    if not sys.platform.startswith("linux"):
        return
    expected = os.getppid() if parent is None else parent
    _libc().prctl(_PDEATHSIG, _SIGKILL, 0, 0, 0)
    if os.getppid() != expected:
        os._exit(1)


def _limit(kind: int, value: int) -> None:
    """Lowers one limit, soft and hard, never above what is already set."""
    hard = resource.getrlimit(kind)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    try:
        resource.setrlimit(kind, (value, value))
    except (ValueError, OSError):
        # macOS refuses an address-space limit; the supervisor watches memory there.
        return


def _resource_limits(memory_bytes: int) -> None:
    _limit(resource.RLIMIT_AS, memory_bytes)
    _limit(resource.RLIMIT_CPU, _CPU_SECONDS)
    _limit(resource.RLIMIT_FSIZE, _FILE_BYTES)
    _limit(resource.RLIMIT_NOFILE, _OPEN_FILES)
    _limit(resource.RLIMIT_CORE, 0)
    # Counts all of the user's processes and is ignored for root: there the system-call filter refuses new ones.
    _limit(resource.RLIMIT_NPROC, 0)


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    header = _Header(_CAPABILITY_VERSION, 0)
    nothing = (ctypes.c_uint32 * 6)()
    number = _CAPSET.get(os.uname().machine)
    if number is not None:
        libc.syscall(number, ctypes.byref(header), ctypes.byref(nothing))


def give_up_rights(
    readable: Sequence[str], listable: Sequence[str], scratch: str, memory_bytes: int
) -> Applied:
    """Resource limits, no new privileges, no capabilities, not dumpable, Landlock, system-call filter, in this order.

    ``readable`` are folders that stay readable, ``listable`` those of which only the names do, ``scratch`` is the
    only writable one. Nothing here raises: what the kernel refused is missing from the result, and the probes
    that follow find it out by trying.
    """
    _resource_limits(memory_bytes)
    if not sys.platform.startswith("linux"):
        return Applied(0, False)
    libc = _libc()
    libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(_DUMPABLE, 0, 0, 0, 0)
    _drop_capabilities(libc)
    bound = landlock.restrict(libc, readable, listable, scratch)
    return Applied(bound, seccomp.install(libc))
