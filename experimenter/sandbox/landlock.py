"""Landlock: which files a contained process may touch at all, whatever its user may touch.

Reading is granted below named folders, writing below one scratch folder; links, devices, sockets and executing
are granted nowhere. Plain ctypes: the three system calls have the same numbers on every architecture.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from typing import Final

__all__ = ["abi", "restrict"]

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_VERSION_FLAG, _PATH_BENEATH = 1, 1
_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_REG, _TRUNCATE = 1 << 4, 1 << 5, 1 << 7, 1 << 8, 1 << 14
_READ: Final = _READ_FILE | _READ_DIR
_SCRATCH: Final = _READ | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _TRUNCATE
# Access rights known to each ABI: 13 bits at first, then refer, truncate, and ioctl on devices.
_BITS: Final = {1: 13, 2: 14, 3: 15, 4: 15}


class _Ruleset(ctypes.Structure):
    _fields_ = [("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64)]


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("access", ctypes.c_uint64), ("parent", ctypes.c_int32)]


def abi(libc: ctypes.CDLL) -> int:
    """The kernel's Landlock version; 0 where there is none or it is switched off."""
    return max(0, int(libc.syscall(_CREATE, None, ctypes.c_size_t(0), _VERSION_FLAG)))


def _handled(version: int) -> int:
    return (1 << _BITS.get(version, 16)) - 1


def _ruleset(libc: ctypes.CDLL, version: int) -> int:
    attributes = _Ruleset(_handled(version), 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    return int(libc.syscall(_CREATE, ctypes.byref(attributes), ctypes.c_size_t(size), 0))


def _allow(libc: ctypes.CDLL, ruleset: int, path: str, access: int) -> bool:
    try:
        folder = os.open(path, os.O_PATH | os.O_CLOEXEC)  # type: ignore[attr-defined,unused-ignore]
    except OSError:
        return False
    rule = _Beneath(access, folder)
    done = libc.syscall(_ADD, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0) == 0
    os.close(folder)
    return bool(done)


def restrict(libc: ctypes.CDLL, readable: Iterable[str], listable: Iterable[str], scratch: str) -> int:
    """Binds this thread and what it starts; needs no-new-privileges. Returns the ABI used, 0 if not bound.

    From ABI 4 on all TCP is refused; from ABI 6 on also abstract sockets and signals to others.
    """
    version = abi(libc)
    ruleset = _ruleset(libc, version) if version else -1
    if ruleset < 0:
        return 0
    for path in readable:
        _allow(libc, ruleset, path, _READ)
    for path in listable:
        _allow(libc, ruleset, path, _READ_DIR)
    writable = _allow(libc, ruleset, scratch, _SCRATCH & _handled(version))
    bound = libc.syscall(_RESTRICT, ruleset, 0) == 0
    os.close(ruleset)
    return version if bound and writable else 0
