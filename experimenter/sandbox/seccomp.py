"""The system-call filter of a contained process: a classic BPF program, assembled here without any dependency.

It denies what Landlock cannot see: sockets, new processes, other processes, metadata (mode, owner, times,
extended attributes), kernel objects that outlive the process, and raising its own limits. What a kernel newer
than this table adds is answered with ENOSYS.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from typing import Final

__all__ = ["assemble", "install", "supported"]

# Denied with EPERM: name, number on x86_64, number on aarch64 ("-" where it does not exist).
_DENIED: Final = """
    socket 41 198, socketpair 53 199, connect 42 203, bind 49 200, listen 50 201, accept 43 202,
    accept4 288 242, sendto 44 206, sendmsg 46 211, sendmmsg 307 269, recvmmsg 299 243, execve 59 221,
    execveat 322 281, fork 57 -, vfork 58 -, clone 56 220, unshare 272 97, setns 308 268, ptrace 101 117,
    process_vm_readv 310 270, process_vm_writev 311 271, process_madvise 440 440, process_mrelease 448 448,
    kcmp 312 272, pidfd_open 434 434, pidfd_getfd 438 438, pidfd_send_signal 424 424, tkill 200 130,
    rt_sigqueueinfo 129 138, rt_tgsigqueueinfo 297 240, io_uring_setup 425 425, io_uring_enter 426 426,
    io_uring_register 427 427, io_setup 206 0, io_submit 209 2, mount 165 40, umount2 166 39,
    pivot_root 155 41, chroot 161 51, fsopen 430 430, fsconfig 431 431, fsmount 432 432, fspick 433 433,
    move_mount 429 429, open_tree 428 428, mount_setattr 442 442, bpf 321 280, perf_event_open 298 241,
    userfaultfd 323 282, keyctl 250 219, add_key 248 217, request_key 249 218, chmod 90 -, fchmod 91 52,
    fchmodat 268 53, chown 92 -, fchown 93 55, lchown 94 -, fchownat 260 54, utime 132 -, utimes 235 -,
    utimensat 280 88, futimesat 261 -, setxattr 188 5, lsetxattr 189 6, fsetxattr 190 7,
    removexattr 197 14, lremovexattr 198 15, fremovexattr 199 16, memfd_create 319 279,
    memfd_secret 447 447, link 86 -, linkat 265 37, symlink 88 -, symlinkat 266 36, mknod 133 -,
    mknodat 259 33, truncate 76 45, name_to_handle_at 303 264, open_by_handle_at 304 265,
    setrlimit 160 164, prctl 157 167, setpriority 141 140, sched_setaffinity 203 122,
    sched_setscheduler 144 119, sched_setparam 142 118, sched_setattr 314 274, ioprio_set 251 30,
    shmget 29 194, shmat 30 196, shmctl 31 195, semget 64 190, semctl 66 191, semop 65 193,
    semtimedop 220 192, msgget 68 186, msgsnd 69 189, msgrcv 70 188, msgctl 71 187, mq_open 240 180,
    mq_unlink 241 181, mq_notify 244 184, inotify_init 253 -, inotify_init1 294 26,
    inotify_add_watch 254 27, fanotify_init 300 262, fanotify_mark 301 263, setuid 105 146, setgid 106 144,
    setreuid 113 145, setregid 114 143, setresuid 117 147, setresgid 119 149, setfsuid 122 151,
    setfsgid 123 152, setgroups 116 159, capset 126 91, personality 135 92, setsid 112 157,
    setpgid 109 154, init_module 175 105, finit_module 313 273, delete_module 176 106, kexec_load 246 104,
    kexec_file_load 320 294, reboot 169 142, swapon 167 224, swapoff 168 225, acct 163 89, quotactl 179 60,
    quotactl_fd 443 443, syslog 103 116, iopl 172 -, ioperm 173 -, modify_ldt 154 -, settimeofday 164 170,
    clock_settime 227 112, adjtimex 159 171, clock_adjtime 305 266, sethostname 170 161,
    setdomainname 171 162, vhangup 153 58, lookup_dcookie 212 18, mbind 237 235, set_mempolicy 238 237,
    migrate_pages 256 238, move_pages 279 239, uselib 134 -, ustat 136 -, sysfs 139 -, nfsservctl 180 42,
    vmsplice 278 75
"""
_NEWEST: Final = 450
_X32: Final = 0x40000000
_ARCHITECTURES: Final = {"x86_64": (1, 0xC000003E), "aarch64": (2, 0xC00000B7)}
_SPECIAL: Final = {
    "x86_64": {"clone3": 435, "kill": 62, "tgkill": 234, "prlimit64": 302, "fcntl": 72, "seccomp": 317},
    "aarch64": {"clone3": 435, "kill": 129, "tgkill": 131, "prlimit64": 261, "fcntl": 25, "seccomp": 277},
}
# F_SETOWN, F_SETSIG, F_SETOWN_EX: they make the kernel send a signal to a process of one's choice.
_FCNTL_SIGNALS: Final = (8, 10, 15)
_LD, _JEQ, _JGE, _JGT, _RET = 0x20, 0x15, 0x35, 0x25, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16
_SET_MODE_FILTER: Final = 1

_Instruction = tuple[int, int, int, int]


def supported() -> bool:
    """Whether there is a table for this machine's system calls."""
    return os.name == "posix" and platform.system() == "Linux" and platform.machine() in _ARCHITECTURES


def denied(machine: str) -> dict[str, int]:
    """Every call that is denied whatever its arguments, with its number on ``machine``."""
    column = _ARCHITECTURES[machine][0]
    rows = (row.split() for row in _DENIED.replace("\n", " ").split(","))
    return {row[0]: int(row[column]) for row in rows if row[column] != "-"}


def _refuse(code: int) -> _Instruction:
    return (_RET, 0, 0, _ERRNO | code)


def _when(number: int, body: list[_Instruction]) -> list[_Instruction]:
    """``body`` where the accumulator holds ``number``; every body ends in a return."""
    return [(_JEQ, 0, len(body), number), *body]


def _argument(index: int, high: bool = False) -> _Instruction:
    return (_LD, 0, 0, _ARGUMENTS + 8 * index + (4 if high else 0))


def _only_own(pid: int) -> list[_Instruction]:
    return [_argument(0), (_JEQ, 0, 1, pid), (_RET, 0, 0, _ALLOW), _refuse(errno.EPERM)]


def _only_reading_own_limits() -> list[_Instruction]:
    zeros = [_argument(0), _argument(2), _argument(2, high=True)]
    tests = [step for k, load in enumerate(zeros) for step in (load, (_JEQ, 0, 2 * (2 - k) + 1, 0))]
    return [*tests, (_RET, 0, 0, _ALLOW), _refuse(errno.EPERM)]


def _no_signal_owner() -> list[_Instruction]:
    count = len(_FCNTL_SIGNALS)
    tests = [(_JEQ, count - k, 0, command) for k, command in enumerate(_FCNTL_SIGNALS)]
    return [_argument(1), *tests, (_RET, 0, 0, _ALLOW), _refuse(errno.EPERM)]


def assemble(machine: str, pid: int) -> bytes:
    """The filter for a process ``pid``, as packed ``sock_filter`` instructions. KeyError for another machine."""
    special = _SPECIAL[machine]
    program: list[_Instruction] = [(_LD, 0, 0, _ARCH), (_JEQ, 1, 0, _ARCHITECTURES[machine][1])]
    program += [(_RET, 0, 0, _KILL), (_LD, 0, 0, _NUMBER)]
    if machine == "x86_64":
        program += [(_JGE, 0, 1, _X32), _refuse(errno.EPERM)]
    program += [(_JGT, 0, 1, _NEWEST), _refuse(errno.ENOSYS)]
    program += _when(special["clone3"], [_refuse(errno.ENOSYS)])
    program += _when(special["kill"], _only_own(pid)) + _when(special["tgkill"], _only_own(pid))
    program += _when(special["prlimit64"], _only_reading_own_limits())
    program += _when(special["fcntl"], _no_signal_owner())
    for number in denied(machine).values():
        program += _when(number, [_refuse(errno.EPERM)])
    program.append((_RET, 0, 0, _ALLOW))
    return b"".join(struct.pack("HBBI", *instruction) for instruction in program)


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p)]


def install(libc: ctypes.CDLL) -> bool:
    """Puts the filter on this process for good. False where the kernel has none; needs no-new-privileges first."""
    if not supported():
        return False
    machine = platform.machine()
    code = assemble(machine, os.getpid())
    buffer = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(code) // 8, ctypes.addressof(buffer))
    number = _SPECIAL[machine]["seccomp"]
    return bool(libc.syscall(number, _SET_MODE_FILTER, 0, ctypes.byref(program)) == 0)
