"""The reward bench: anyone's reward program through every gate, a short contained training, and the frozen judge.

Outside any run and workspace: nothing is kept. The native reward is trained beside it on the same seeds, because a
score says little by itself.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from experimenter.budget import worker_count
from experimenter.config import Settings
from experimenter.errors import ProgramRejected
from experimenter.execution.benching import Gates, passed_until
from experimenter.execution.local import LocalExecutor
from experimenter.loop.benched import Bench, verdict_words
from experimenter.loop.preparation import look_at
from experimenter.loop.program_file import read_program
from experimenter.loop.workbench import Say, Workbench
from experimenter.records import RewardProgram

__all__ = ["Say", "bench_file", "bench_reward", "temporary_folder"]


def _silent(words: str, done: float | None) -> None:
    """Says nothing."""


def bench_file(
    path: Path,
    env_id: str,
    kwargs: Mapping[str, Any],
    *,
    judge: str | None = None,
    steps: int = 20_000,
    training_seeds: int = 2,
    seed: int = 0,
    native: bool = True,
    settings: Settings | None = None,
    say: Say = _silent,
) -> Bench:
    """``bench_reward`` for a program in a file; one that holds no program is refused by the gate ``file``.

    Raises UsageError when there is no such file, or it may not be read.
    """
    try:
        program = read_program(path)
    except ProgramRejected as refusal:
        return _unreadable(env_id, refusal)
    return bench_reward(
        program, env_id, kwargs, judge=judge, steps=steps, training_seeds=training_seeds, seed=seed,
        native=native, settings=settings, say=say,
    )  # fmt: skip


def bench_reward(
    program: RewardProgram,
    env_id: str,
    kwargs: Mapping[str, Any],
    *,
    judge: str | None = None,
    steps: int = 20_000,
    training_seeds: int = 2,
    seed: int = 0,
    native: bool = True,
    settings: Settings | None = None,
    say: Say = _silent,
) -> Bench:
    """Every gate in order, then ``training_seeds`` trainings of ``steps`` steps, and as many with the native reward.

    ``steps`` of 0 stops before training. A refusal is a result. Raises NotFound, UsageError, EnvironmentFault, and
    what ends a training without being the program's doing (WorkspaceError, ContainmentError).
    """
    settings = settings or Settings()
    say("measuring the environment", None)
    card = look_at(
        env_id, kwargs, judge=judge, steps=settings.card_steps, seed=seed, silence=settings.silence_seconds
    )
    with temporary_folder() as folder:
        executor = LocalExecutor(worker_count(settings), temporary=folder)
        try:
            return Workbench(executor, card, program, settings, steps, seed, say, folder).run(
                training_seeds, native
            )
        finally:
            executor.close()


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder for everything temporary, which is gone afterwards, also where workers were killed.

    A killed worker's own contained process needs a moment to die; what it may still write is waited for.
    """
    folder = Path(tempfile.mkdtemp(prefix="experimenter-bench-"))
    try:
        yield folder
    finally:
        deadline = time.monotonic() + 5.0
        while folder.exists() and time.monotonic() < deadline:
            shutil.rmtree(folder, ignore_errors=True)
            if folder.exists():
                time.sleep(0.02)


def _unreadable(env_id: str, refusal: ProgramRejected) -> Bench:
    gates = Gates(layers=passed_until("file", refusal.message, refusal.hint))
    return Bench(
        program=None,
        environment=env_id,
        accepted=False,
        refused_by="file",
        why=refusal.message,
        hint=refusal.hint,
        sentence=verdict_words(gates.refused, None),
        gates=gates,
    )
