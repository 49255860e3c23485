"""The outside of containment: starts the worker, talks to it, and kills it when it leaves its bounds.

Nothing inside a process stops ``9**9**9`` or ``except BaseException: continue``; only another process does.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import select
import shutil
import subprocess
import sys
import sysconfig
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

from experimenter.errors import ContainmentError, ProgramRejected
from experimenter.sandbox import messages
from experimenter.sandbox.incoming import Incoming
from experimenter.sandbox.limits import one_thread_environment
from experimenter.sandbox.watching import end_process, folder_use, new_folder, printable, tree_memory, widen

__all__ = ["Bounds", "Hello", "Worker"]

_ADDRESS_SPACE_MARGIN: Final = 1 << 29
_TICK_MS: Final = 50
_TO_END_SECONDS: Final = 1.0
_WATCH_SECONDS: Final = 0.25
_READ: Final = 1 << 16
_BIG_READ: Final = 1 << 20
_SYSTEM_LIBRARIES: Final = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/nix/store")
# The worker must not run our package's own __init__: it imports only what stands in this folder, before numpy.
_BOOT: Final = """
import sys
_, start, package, libraries = sys.argv
for name, path in ("experimenter", package), ("experimenter.sandbox", package + "/sandbox"):
    module = type(sys)(name); module.__path__ = [path]; sys.modules[name] = module
sys.path.append(libraries)
from experimenter.sandbox.worker import main
main(start)
"""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a worker may use. Seconds, bytes, counts; ``call_seconds`` is per call of the program."""

    call_seconds: float = 10.0
    start_seconds: float = 30.0
    memory_bytes: int = 1 << 30
    scratch_bytes: int = 8 << 20
    scratch_files: int = 64
    output_bytes: int = 1 << 16


@dataclass(frozen=True, slots=True)
class Hello:
    """What a worker showed at its start: its level, each probe, the Landlock ABI, and the system-call filter."""

    level: str
    probes: dict[str, bool]
    landlock: int
    seccomp: bool


def _readable() -> tuple[list[str], str]:
    """Folders that the worker must read, and the folder that holds numpy."""
    found = importlib.util.find_spec("numpy")
    if found is None or found.origin is None:
        raise ContainmentError(
            "numpy is not installed.", "Reinstall the package: pip install rl-experimenter"
        )
    numpy = Path(found.origin).parent
    paths = [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), f"{sys.base_prefix}/lib"]
    paths += [str(numpy), str(numpy.parent / "numpy.libs"), str(Path(__file__).parent), *_SYSTEM_LIBRARIES]
    return list(dict.fromkeys(paths)), str(numpy.parent)


class Worker:
    """One contained process. Not thread-safe; the thread that makes it must outlive it (it dies with it)."""

    def __init__(self, bounds: Bounds, *, allow_unsandboxed: bool = False) -> None:
        self._bounds = bounds
        self._folder = new_folder()
        self._scratch = self._folder / "scratch"
        self._scratch.mkdir()
        (self._folder / "canary").write_text("canary")
        self._log = bytearray()
        self._alone = False
        self._watched = time.monotonic()
        self._process = self._spawn(allow_unsandboxed)
        self._open_pipes()
        self.hello = self._greet(allow_unsandboxed)
        self._alone = self.hello.level == "full"

    def _greet(self, allow_unsandboxed: bool) -> Hello:
        started = False
        try:
            hello = self._hello(allow_unsandboxed)
            started = True
        except ProgramRejected as reason:
            words = f"The contained worker did not start: {reason.message}"
            raise ContainmentError(words, "Run: experimenter doctor") from None
        finally:
            if not started:
                self.close()
        return hello

    def _spawn(self, allow_unsandboxed: bool) -> subprocess.Popen[bytes]:
        readable, libraries = _readable()
        start = {
            "parent": os.getpid(),
            "readable": readable,
            "listable": [libraries],
            "scratch": str(self._scratch),
            "outside": str(self._folder),
            "memory_bytes": self._bounds.memory_bytes + _ADDRESS_SPACE_MARGIN,
            "allow_unsandboxed": allow_unsandboxed,
        }
        package = str(Path(__file__).parent.parent)
        command = [sys.executable, "-P", "-s", "-S", "-B", "-c", _BOOT, json.dumps(start), package, libraries]
        home = str(self._scratch)
        environment = {"LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0", "HOME": home, "TMPDIR": home}
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=home,
            env={**one_thread_environment(), **environment},
            close_fds=True,
            start_new_session=True,
        )

    def _open_pipes(self) -> None:
        pipes = (self._process.stdin, self._process.stdout, self._process.stderr)
        self._input, self._output, self._errors = (pipe.fileno() for pipe in pipes if pipe is not None)
        for descriptor in (self._input, self._output, self._errors):
            os.set_blocking(descriptor, False)
        for descriptor in (self._input, self._output):
            widen(descriptor)
        self._poll = select.poll()
        self._poll.register(self._output, select.POLLIN)
        self._poll.register(self._errors, select.POLLIN)

    def _hello(self, allow_unsandboxed: bool) -> Hello:
        said, _ = self.exchange(b"", self._bounds.start_seconds, 0)
        try:
            probes = {str(name): bool(held) for name, held in said["probes"].items()}
            hello = Hello(str(said["level"]), probes, int(said["landlock"]), bool(said["seccomp"]))
        except (KeyError, AttributeError, TypeError, ValueError):
            raise ContainmentError("The contained worker's first message is malformed.") from None
        if hello.level == "none" and not allow_unsandboxed:
            raise ContainmentError(
                "Generated code cannot be contained on this machine.",
                "Use Linux 5.13 or newer with Landlock and seccomp, or accept the risk: --allow-unsandboxed",
            )
        return hello

    def exchange(self, message: bytes, seconds: float, max_body: int) -> tuple[dict[str, Any], bytes]:
        """Sends ``message`` (may be empty) and gives the one message that comes back: header and body.

        Raises ProgramRejected (layer ``limits``) and ends the process when it is late, dies, floods its output,
        outgrows its memory or scratch folder, or breaks the protocol.
        """
        return self.answer(self.send(message), seconds, max_body)

    def send(self, message: bytes) -> memoryview:
        """Sends as much of ``message`` as the pipe takes at once, and gives what is left of it, for ``answer``.

        Raises ProgramRejected when the process has ended.
        """
        return self._send(memoryview(message))

    def answer(self, left: memoryview, seconds: float, max_body: int) -> tuple[dict[str, Any], bytes]:
        """Sends what is ``left`` and waits for the one message that comes back. See ``exchange``.

        The time counts from here, for what is not there yet: whoever asked may have been busy since ``send``. An
        answer that has begun in time has a second to end.
        """
        end, incoming = time.monotonic() + seconds, Incoming(max_body)
        try:
            while not incoming.complete:
                left = self._step(end, left, incoming)
            header, body = incoming.message()
        except messages.Malformed as reason:
            self.reject(f"it sent something that is not a reply ({reason})")
        if time.monotonic() - self._watched > _WATCH_SECONDS:
            self._watch()
        return header, body

    def _step(self, end: float, left: memoryview, incoming: Incoming) -> memoryview:
        left = self._send(left)
        for descriptor, _ in self._wait(bool(left)):
            if descriptor == self._output:
                self._receive(incoming)
            elif descriptor == self._errors:
                self._keep_log()
        if time.monotonic() > end + _TO_END_SECONDS * incoming.begun and not incoming.complete:
            self.reject("it did not answer within its time")
        return left

    def _wait(self, sending: bool) -> list[tuple[int, int]]:
        if sending:
            self._poll.register(self._input, select.POLLOUT)
        ready = self._poll.poll(_TICK_MS)
        if sending:
            self._poll.unregister(self._input)
        if not ready or time.monotonic() - self._watched > _WATCH_SECONDS:
            self._watch()
        return ready

    def _send(self, left: memoryview) -> memoryview:
        try:
            return left[os.write(self._input, left) :] if left else left
        except BlockingIOError:
            return left
        except OSError:
            self._ended()

    def _receive(self, incoming: Incoming) -> None:
        try:
            piece = os.read(self._output, _BIG_READ)
        except BlockingIOError:
            return
        if not piece:
            self._ended()
        incoming.feed(piece)

    def _keep_log(self) -> None:
        with contextlib.suppress(BlockingIOError):
            piece = os.read(self._errors, _READ)
            self._log += piece
            if not piece:
                self._poll.unregister(self._errors)
        if len(self._log) > self._bounds.output_bytes:
            self.reject(f"it printed more than {self._bounds.output_bytes} bytes")

    def _watch(self) -> None:
        self._watched = time.monotonic()
        used = tree_memory(self._process.pid, alone=self._alone)
        if used > self._bounds.memory_bytes:
            self.reject(
                f"it used {used >> 20} MB of memory; {self._bounds.memory_bytes >> 20} MB are allowed"
            )
        files, size = folder_use(self._scratch, self._bounds.scratch_files)
        if files > self._bounds.scratch_files or size > self._bounds.scratch_bytes:
            self.reject(f"it filled its scratch folder ({files} files, {size} bytes)")

    def _ended(self) -> NoReturn:
        with contextlib.suppress(OSError):
            self._log += os.read(self._errors, _READ)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)
        tail = bytes(self._log[-400:]).decode("utf-8", "replace").strip()
        self.reject(f"its process ended by itself (status {self._process.returncode}) {tail}".strip())

    def reject(self, reason: str, layer: str = "limits") -> NoReturn:
        """Ends the process and raises ProgramRejected."""
        self.close()
        hint = "Make it shorter and purely vectorised: no loops over rows, no state."
        raise ProgramRejected(f"The reward program was stopped: {printable(reason)}.", hint, layer)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        """Kills the process, and whatever it started, and removes its scratch folder. May be called twice."""
        end_process(self._process)
        shutil.rmtree(self._folder, ignore_errors=True)
