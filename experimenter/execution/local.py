"""Worker processes on this machine: kept warm between jobs, watched for silence, killed when asked to stop."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

from experimenter.contracts import CONTRACT, Job, JobResult
from experimenter.execution.messages import Inbox, WireError, pack, write_all

POLL: Final = 0.25
_PACKAGE_ROOT: Final = Path(__file__).resolve().parents[2]


KEYS: Final = frozenset({"ANTHROPIC_API_KEY", "EXPERIMENTER_COMPAT_API_KEY", "OPENAI_API_KEY"})
"""Variables that only the process which calls a model or an embedder may see."""


def worker_environment(temporary: Path | None = None) -> dict[str, str]:
    """A worker's environment: the caller's without keys."""
    return {name: value for name, value in runner_environment(temporary).items() if name not in KEYS}


def runner_environment(temporary: Path | None = None) -> dict[str, str]:
    """The caller's environment with one thread per numeric library, and this package importable.

    Start Python with ``-P``: the folder that a process starts in, where a person's own environments may be, is searched
    last, so that a folder there that is named like a package of ours is not taken for it. ``temporary`` is where
    workers put temporary files; ``None`` leaves that to the system.
    """
    from experimenter.sandbox.limits import one_thread_environment

    places = [str(_PACKAGE_ROOT), *(p for p in sys.path if p), "."]
    return {
        **os.environ,
        **one_thread_environment(),
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(places)),
        # Looking for pydantic's plug-ins reads the metadata of every installed package, at every start.
        "PYDANTIC_DISABLE_PLUGINS": "__all__",
        "SDL_VIDEODRIVER": "dummy",
        "SDL_AUDIODRIVER": "dummy",
        "PYGAME_HIDE_SUPPORT_PROMPT": "1",
        **({} if temporary is None else {"TMPDIR": str(temporary)}),
    }


class _Worker:
    """One process with the job that it is doing."""

    def __init__(self, role: str, log: Path | None, temporary: Path | None) -> None:
        self.role = role
        sink: Any = subprocess.DEVNULL if log is None else log.open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "experimenter.execution.worker", role],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=sink,
            env=worker_environment(temporary),
        )
        if log is not None:
            sink.close()
        self.inbox = Inbox()
        self.job: Job | None = None
        self.heard = time.monotonic()

    @property
    def output(self) -> int:
        assert self.process.stdout is not None
        return self.process.stdout.fileno()

    def give(self, job: Job) -> None:
        assert self.process.stdin is not None
        self.job, self.heard = job, time.monotonic()
        message = {"id": job.id, "kind": job.kind, "payload": job.payload}
        write_all(self.process.stdin.fileno(), pack(message))

    def silent_for(self) -> float:
        return time.monotonic() - self.heard

    def end(self) -> None:
        """Kills the process and waits until it is gone, so that nobody gives it another job."""
        self.process.kill()
        self.process.wait()

    def kill(self) -> None:
        self.end()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


class LocalExecutor:
    """``contracts.Executor`` by processes; ``workers`` at most at a time, standard error to ``log``.

    Workers that are killed cannot clear up behind them: whoever gives ``temporary`` can remove all that they left.
    """

    contract: ClassVar[int] = CONTRACT
    name: ClassVar[str] = "local"

    def __init__(self, workers: int = 2, log: Path | None = None, temporary: Path | None = None) -> None:
        self._workers = max(1, workers)
        self._log, self._temporary = log, temporary
        self._idle: list[_Worker] = []
        self._worked: list[tuple[float, float]] = []

    def run(
        self,
        jobs: Sequence[Job],
        *,
        role: str,
        progress: Callable[[str, dict[str, Any]], None],
        interrupt: Callable[[], bool],
    ) -> Iterator[JobResult]:
        """See ``contracts.Executor.run``. Interrupted jobs give no result; what they saved stays on disk."""
        waiting, busy = deque(jobs), list[_Worker]()
        with selectors.DefaultSelector() as selector:
            try:
                while waiting or busy:
                    while waiting and len(busy) < self._workers:
                        busy.append(self._hire(role, waiting.popleft(), selector))
                    if interrupt():
                        return
                    for result, worker in self._listen(busy, selector, progress):
                        self._release(worker, busy, selector)
                        self._worked.append((result.began, result.ended))
                        yield result
            finally:
                for worker in busy:
                    worker.kill()

    def working_seconds(self) -> float:
        """The length of the union of all jobs' times, as the workers measured them."""
        total, until = 0.0, 0.0
        for began, ended in sorted(self._worked):
            total += max(0.0, ended - max(began, until))
            until = max(until, ended)
        return total

    def close(self) -> None:
        for worker in self._idle:
            worker.kill()
        self._idle.clear()

    def _hire(self, role: str, job: Job, selector: selectors.BaseSelector) -> _Worker:
        worker = next((w for w in self._idle if w.role == role and w.process.poll() is None), None)
        if worker is None:
            worker = _Worker(role, self._log, self._temporary)
        else:
            self._idle.remove(worker)
        worker.give(job)
        selector.register(worker.output, selectors.EVENT_READ, worker)
        return worker

    def _release(self, worker: _Worker, busy: list[_Worker], selector: selectors.BaseSelector) -> None:
        busy.remove(worker)
        selector.unregister(worker.output)
        worker.job = None
        if worker.process.poll() is None:
            self._idle.append(worker)
        else:
            worker.kill()

    def _listen(
        self,
        busy: list[_Worker],
        selector: selectors.BaseSelector,
        progress: Callable[[str, dict[str, Any]], None],
    ) -> list[tuple[JobResult, _Worker]]:
        done = []
        for key, _ in selector.select(POLL):
            result = _hear(key.data, progress)
            if result is not None:
                done.append((result, key.data))
        finished = {id(worker) for _, worker in done}
        for worker in busy:
            if id(worker) not in finished and (result := _too_silent(worker)) is not None:
                done.append((result, worker))
        return done


def _hear(worker: _Worker, progress: Callable[[str, dict[str, Any]], None]) -> JobResult | None:
    assert worker.job is not None
    data = os.read(worker.output, 1 << 20)
    if not data:
        return _died(worker)
    worker.heard = time.monotonic()
    try:
        messages = worker.inbox.feed(data)
    except WireError as error:
        worker.end()
        return JobResult(id=worker.job.id, ok=False, error="TrainingFault", message=str(error))
    for message in messages:
        if "progress" in message:
            progress(worker.job.id, message["progress"])
        else:
            return JobResult.model_validate(message)
    return None


def _died(worker: _Worker) -> JobResult:
    assert worker.job is not None
    code = worker.process.wait()
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return JobResult(
        id=worker.job.id,
        ok=False,
        error="EnvironmentFault",
        message=f"The worker process ended with {how} in the middle of its work.",
        hint="Often this is a crash inside the environment's own native code, or too little memory.",
    )


def _too_silent(worker: _Worker) -> JobResult | None:
    if worker.job is None or worker.silent_for() < worker.job.silence:
        return None
    worker.end()
    return JobResult(
        id=worker.job.id,
        ok=False,
        error="EnvironmentFault",
        message=f"The environment gave no sign of life for {worker.job.silence:g} s.",
        hint="If one step of it really takes that long, raise silence_seconds.",
    )
