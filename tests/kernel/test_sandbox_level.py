"""The level of containment, its probes, and the system-call filter, interpreted here for both architectures."""

from __future__ import annotations

import contextlib
import errno
import os
import struct
import subprocess
import sys

import pytest

from experimenter.errors import ContainmentError
from experimenter.sandbox import landlock, level, limits, probes, seccomp, supervisor
from experimenter.sandbox.supervisor import Bounds, Worker

ALLOW, ERRNO, KILL = 0x7FFF0000, 0x00050000, 0x80000000
ARCHES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
READ = {"x86_64": 0, "aarch64": 63}
PID = 4242


def run(machine: str, number: int, *arguments: int, arch: int | None = None) -> int:
    """Interprets the assembled filter on one system call."""
    code = seccomp.assemble(machine, PID)
    program = [struct.unpack_from("HBBI", code, at) for at in range(0, len(code), 8)]
    padded = [a & (2**64 - 1) for a in (*arguments, *[0] * (6 - len(arguments)))]
    data = struct.pack("IIQ6Q", number, arch or ARCHES[machine], 0, *padded)
    place = accumulator = 0
    for _ in range(len(program)):
        operation, yes, no, value = program[place]
        place += 1
        if operation == 0x20:
            accumulator = struct.unpack_from("I", data, value)[0]
        elif operation == 0x06:
            return value
        else:
            tests = {0x15: accumulator == value, 0x35: accumulator >= value, 0x25: accumulator > value}
            place += yes if tests[operation] else no
    raise AssertionError("the filter does not end")


@pytest.fixture(params=sorted(ARCHES))
def machine(request):
    return request.param


def test_the_filter_denies_what_it_names_and_lets_reading_through(machine):
    assert run(machine, READ[machine]) == ALLOW
    table = seccomp.denied(machine)
    assert {"socket", "execve", "clone", "ptrace", "io_uring_setup", "mount", "bpf", "prctl"} <= set(table)
    assert len(set(table.values())) == len(table)
    assert {run(machine, number) for number in table.values()} == {ERRNO | errno.EPERM}


def test_the_filter_looks_at_arguments(machine):
    special = seccomp._SPECIAL[machine]
    denied = ERRNO | errno.EPERM
    assert run(machine, special["kill"], PID, 9) == ALLOW
    assert run(machine, special["kill"], PID + 1, 9) == denied
    assert run(machine, special["kill"], -1, 9) == denied
    assert run(machine, special["tgkill"], PID, PID, 6) == ALLOW
    assert run(machine, special["tgkill"], 1, 1, 6) == denied
    assert run(machine, special["prlimit64"], 0, 7, 0, 0x7FFF_0000_1000) == ALLOW
    assert run(machine, special["prlimit64"], 0, 7, 0x1000, 0) == denied
    assert run(machine, special["prlimit64"], 0, 7, 1 << 40, 0) == denied
    assert run(machine, special["prlimit64"], 1, 7, 0, 0) == denied
    assert run(machine, special["fcntl"], 3, 1) == ALLOW
    assert {run(machine, special["fcntl"], 3, command) for command in (8, 10, 15)} == {denied}
    assert run(machine, special["clone3"]) == ERRNO | errno.ENOSYS
    assert run(machine, 451) == ERRNO | errno.ENOSYS


def test_a_foreign_architecture_is_killed(machine):
    assert run(machine, READ[machine], arch=0x40000003) == KILL
    assert run("x86_64", 0x40000000 | 41) == ERRNO | errno.EPERM


def test_containment_agrees_with_its_probes():
    found = level.containment()
    if found.level == "full":
        assert [p.name for p in found.probes] == list(probes.PROBES) and len(found.probes) == 8
        assert all(p.refused for p in found.probes) and found.landlock >= 1 and found.seccomp
        assert all(str(p).endswith(": refused") for p in found.probes)
    assert found.level in found.words or found.words


def test_outside_the_worker_the_probes_are_not_refused(tmp_path):
    """The probes can fail: the same attempts succeed in an ordinary process."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (tmp_path / "canary").write_text("canary")
    code = (
        "import json, os, sys\n"
        "from pathlib import Path\n"
        "from experimenter.sandbox.probes import refused\n"
        "outside = Path(sys.argv[1])\n"
        "print(json.dumps(refused(outside, outside / 'scratch', os.getppid())))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert '"write a file outside the scratch folder": false' in done.stdout
    assert done.stdout.count("false") >= 7


def test_without_the_filter_nothing_is_loaded(monkeypatch):
    """A worker whose rights were not given up refuses to go on, and so does its supervisor."""
    crippled = supervisor._BOOT.replace(
        "main(start)",
        "from experimenter.sandbox import limits\n"
        "limits.give_up_rights = lambda *a: limits.Applied(0, False)\n"
        "main(start)",
    )
    monkeypatch.setattr(supervisor, "_BOOT", crippled)
    found = level.containment()
    if sys.platform == "darwin":
        assert found.level == "reduced"
        return
    assert found.level == "none"
    with pytest.raises(ContainmentError, match="allow-unsandboxed"):
        Worker(Bounds())
    with pytest.raises(ContainmentError, match="allow-unsandboxed"):
        level.require_containment(allow_unsandboxed=False)
    assert level.require_containment(allow_unsandboxed=True).level == "none"


def test_a_filter_that_lies_is_found_out(monkeypatch):
    """Landlock and seccomp said to stand, but probes pass: level none."""
    lying = supervisor._BOOT.replace(
        "main(start)",
        "from experimenter.sandbox import limits\n"
        "limits.give_up_rights = lambda *a: limits.Applied(7, True)\n"
        "main(start)",
    )
    monkeypatch.setattr(supervisor, "_BOOT", lying)
    assert level.containment().level == "none"


def test_one_thread_environment_names_every_library():
    assert {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"} <= set(
        limits.one_thread_environment()
    )
    assert set(limits.one_thread_environment().values()) == {"1"}


@pytest.mark.skipif(sys.platform != "linux", reason="Landlock is Linux's")
def test_the_landlock_version_is_not_negative():
    assert landlock.abi(limits._libc()) >= 0


def _open_in(pid: int) -> set[str]:
    """What a process holds open now; a descriptor that closes meanwhile is left out."""
    folder = f"/proc/{pid}/fd"
    targets = set()
    for descriptor in os.listdir(folder):  # noqa: PTH208
        with contextlib.suppress(FileNotFoundError):
            targets.add(os.readlink(f"{folder}/{descriptor}"))  # noqa: PTH115
    return targets


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_worker_inherits_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("OPENAI_API_KEY", "secret-key")
    kept = tmp_path / "open_in_the_parent"
    with kept.open("w") as file:
        os.set_inheritable(file.fileno(), True)
        worker = Worker(Bounds(), allow_unsandboxed=True)
        try:
            pid = worker._process.pid
            if os.geteuid() == 0:
                with open(f"/proc/{pid}/environ", "rb") as environment:  # noqa: PTH123
                    assert b"secret-key" not in environment.read()
                assert str(kept) in _open_in(os.getpid())
                assert str(kept) not in _open_in(pid)
        finally:
            worker.close()
