"""What every peer is asked and what it answers, so that all of them run, and are judged, in the same way.

A peer is a module with ``play(task) -> Answer``. It runs in a process of its own: the task comes in on stdin as
JSON, the answer goes out as the last line of stdout.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from typing import Any

__all__ = [
    "Answer",
    "Meeting",
    "Play",
    "Played",
    "Task",
    "answer",
    "judged",
    "leave",
    "look",
    "peak_mb",
    "since_start",
    "warm_up_steps",
]

WARM_UP_STEPS = 4096


@dataclass(frozen=True)
class Task:
    """One or more trainings of one configuration.

    ``settings`` go by the names of ``experimenter.records.Hyperparameters``, or of its replay algorithms' settings;
    ``spec``, ``judge`` and ``features`` are records as plain JSON; ``usual_vector`` is the kind of vector environment
    that the engine would choose where ``vector`` forces none. ``members`` trainings (seeds ``seed``, ``seed`` + 1, …)
    over ``processes`` processes, one by one where they are not ``batched``; ``cores`` is how many one of the engine's
    trainings may step its environments on. With a ``threshold`` the policy is looked
    at every ``look_every`` steps, the clock stopped, and the training ends when the mean of its greedy episodes
    reaches it. The judge plays ``episodes``. ``warm`` trains a little first, outside of what is timed. ``ends`` "first
    step" leaves the process at the first step in an environment. ``began`` is the clock (``time.monotonic``) just
    before the process was started.
    """

    env: str
    steps: int
    settings: dict[str, Any]
    seed: int = 0
    algorithm: str = "ppo"
    hidden: tuple[int, ...] = (64, 64)
    vector: str = ""
    learner: str = ""
    validate: bool = False
    judge_it: bool = False
    episodes: int = 20
    threshold: float | None = None
    look_every: int = 8192
    members: int = 1
    processes: int = 1
    cores: int = 1
    batched: bool = True
    warm: bool = True
    ends: str = "training"
    began: float = 0.0
    spec: dict[str, Any] = field(default_factory=dict)
    judge: dict[str, Any] = field(default_factory=dict)
    features: list[dict[str, Any]] = field(default_factory=list)
    usual_vector: str = ""

    def member(self, index: int) -> Task:
        return replace(self, seed=self.seed + index, members=1, processes=1)


@dataclass(frozen=True)
class Answer:
    """``seconds`` of learning, or of stepping, from building the environments to the finished policy, after imports
    and a warm-up; ``since_start`` from the start of the process. ``updates`` of the weights where they are counted.
    ``reached`` seconds of learning until the threshold, ``None`` where it was not. ``scores`` one mean per training.
    """

    steps: int
    seconds: float
    since_start: float
    peak_mb: float
    updates: int | None = None
    reached: float | None = None
    reached_steps: int | None = None
    scores: tuple[float, ...] = ()
    curves: tuple[tuple[float, ...], ...] = ()


Meeting = Callable[[], None]
"""Called by each process when it is warm; returns when all of them are."""
Play = Callable[[Task, Meeting], Answer]


@dataclass(frozen=True)
class Played:
    """What the judge needs of a stranger's policy, which has no memory; called as a ``Policy`` is."""

    choose: Callable[[Any, bool], Any]
    observation_space_json: Any
    action_space_json: Any
    action_mode: str = "greedy"

    def act(self, obs: Any, mode: str, rng: Any, memory: Any = None) -> Any:
        return self.choose(obs, mode == "greedy")

    def blank(self, rows: int) -> Any:
        import numpy as np

        return np.zeros((rows, 0), np.float32)


def answer(play: Play) -> None:
    """The whole of a peer's program."""
    given = json.load(sys.stdin)
    task = Task(**{**given, "hidden": tuple(given["hidden"])})
    found = play(task, _nobody) if task.processes == 1 else _side_by_side(play, task)
    print(json.dumps(asdict(found)), flush=True)


def since_start(task: Task) -> float:
    return time.monotonic() - task.began


def peak_mb() -> float:
    """The most memory that this process ever held, in MB."""
    scale = 1e6 if sys.platform == "darwin" else 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale


def leave(task: Task) -> None:
    """Says that the first step was made now, and ends the process at once."""
    since = since_start(task)
    print(json.dumps(asdict(Answer(1, since, since, peak_mb()))), flush=True)
    os._exit(0)


def warm_up_steps(task: Task) -> int:
    """Enough for a few updates; off-policy algorithms update at every step once they have begun."""
    return int(task.settings.get("learning_starts", WARM_UP_STEPS - 100)) + 100


def look(task: Task, policy: Any) -> float:
    """The mean of greedy episodes: what a threshold is held against, for every peer alike."""
    return judged(task, policy, mode="greedy", role="validation")


def judged(task: Task, policy: Any, mode: Any = None, role: str = "confirm_eval") -> float:
    """The frozen judge's mean over held-out episodes, the same for every peer."""
    from experimenter.identity import seeds
    from experimenter.judge.evaluate import evaluate
    from experimenter.records import EnvSpec, JudgeSpec

    spec, judge = EnvSpec.model_validate(task.spec), JudgeSpec.model_validate(task.judge)
    return float(evaluate(policy, spec, seeds(0, role, task.episodes, "engine"), judge, mode).mean)


def _nobody() -> None:
    return None


def _shares(task: Task) -> list[Task]:
    """The members, dealt out to the processes in equal shares."""
    edges = [round(i * task.members / task.processes) for i in range(task.processes + 1)]
    return [
        replace(task, seed=task.seed + low, members=high - low, processes=1) for low, high in pairwise(edges)
    ]


def _side_by_side(play: Play, task: Task) -> Answer:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(task.processes)
    answers = context.SimpleQueue()
    shares = [context.Process(target=_share, args=(play, share, barrier, answers)) for share in _shares(task)]
    for process in shares:
        process.start()
    for process in shares:
        process.join()
    if any(process.exitcode for process in shares):
        raise SystemExit("a process of this peer failed")
    return _together([answers.get() for _ in shares], since_start(task))


def _share(play: Play, task: Task, barrier: Any, answers: Any) -> None:
    def meet() -> None:
        barrier.wait(timeout=600)

    answers.put(play(task, meet if task.warm else _nobody))


def _together(answers: Sequence[Answer], since: float) -> Answer:
    """Side by side: steps and memory add up, the slowest decides how long it took."""
    updates = [found.updates for found in answers if found.updates is not None]
    return Answer(
        steps=sum(found.steps for found in answers),
        seconds=max(found.seconds for found in answers),
        since_start=since,
        peak_mb=sum(found.peak_mb for found in answers),
        updates=sum(updates) if updates else None,
        scores=tuple(score for found in answers for score in found.scores),
        curves=tuple(curve for found in answers for curve in found.curves),
    )
