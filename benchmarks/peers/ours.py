"""This engine, called as a run calls it: a job in, a training out, in a process that starts without torch."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peers.common import (
    Answer,
    Meeting,
    Task,
    answer,
    judged,
    leave,
    look,
    peak_mb,
    since_start,
    warm_up_steps,
)

if TYPE_CHECKING:
    from experimenter.records import Design, Training
    from experimenter.rl.training import Member, TrainJob

__all__ = ["job_of", "play"]

Trained = list[tuple["TrainJob", "Training"]]


def play(task: Task, meet: Meeting) -> Answer:
    with tempfile.TemporaryDirectory(prefix="engine-") as folder:
        return _played(task, Path(folder), meet)


def _played(task: Task, folder: Path, meet: Meeting) -> Answer:
    if task.ends == "first step":
        _train(job_of(task, folder / "first"), lambda _: leave(task))
    if task.warm:
        _all(replace(task, steps=warm_up_steps(task), threshold=None), folder / "warm")
    meet()
    if task.threshold is not None:
        return _until_reached(task, folder)
    # Who validates has chosen how its policy acts; all others act greedily, as their peers do.
    mode = None if task.validate else "greedy"
    began = time.perf_counter()
    done = _all(task, folder)
    seconds, since, memory = time.perf_counter() - began, since_start(task), peak_mb()
    scores = tuple(judged(task, _policy(*one), mode) for one in done) if task.judge_it else ()
    return Answer(
        steps=sum(training.env_steps for _, training in done),
        seconds=seconds,
        since_start=since,
        peak_mb=memory,
        updates=sum(_updates(task, training.steps) for _, training in done),
        scores=scores,
        curves=tuple(_curve(training) for _, training in done),
    )


def _all(task: Task, folder: Path) -> Trained:
    """One training by itself, several as a population."""
    jobs = [job_of(task.member(index), folder / str(index)) for index in range(task.members)]
    if task.members == 1 or not task.batched:
        return [(job, _train(job, _silent)) for job in jobs]
    from experimenter.rl.population import train_population

    ended = train_population(jobs, _silent)
    for one in ended:
        if one.error is not None:
            raise one.error
    return [(job, one.training) for job, one in zip(jobs, ended, strict=True) if one.training is not None]


def _train(job: TrainJob, progress: Callable[[dict[str, Any]], None]) -> Training:
    from experimenter.rl.training import train

    return train(job, progress)


def _until_reached(task: Task, folder: Path) -> Answer:
    """Trains, and looks at the newest policy at each chunk's end with the clock stopped."""
    from experimenter.rl.training import Member

    job = job_of(task, folder / "reaching").model_copy(update={"chunk_steps": task.look_every})
    with ExitStack() as stack:
        began, looking = time.perf_counter(), 0.0
        member = Member(job, _silent, stack)
        for _ in _chunks(member):
            now = time.perf_counter()
            reached = look(task, member.policy) >= (task.threshold or 0.0)
            seconds = now - began - looking
            looking += time.perf_counter() - now
            if reached:
                break
    steps = member.state.steps
    times = {"reached": seconds, "reached_steps": steps} if reached else {}
    return Answer(steps, seconds, since_start(task), peak_mb(), **times)


def _chunks(member: Member) -> Iterator[int]:
    """Drives a training by itself, and comes back after each chunk."""
    from experimenter.rl.rollout import Wanted

    made: Callable[[], Any] = _silent
    told = member.state.chunk
    while True:
        try:
            wanted = member.go_on(made)
        except StopIteration:
            yield member.state.chunk
            return
        made = wanted.collect if isinstance(wanted, Wanted) else _silent
        if member.state.chunk != told:
            yield (told := member.state.chunk)


def job_of(task: Task, folder: Path) -> TrainJob:
    """The training that ``task`` asks for, to be kept in ``folder``."""
    from experimenter.identity import seeds
    from experimenter.rl.training import TrainJob

    return TrainJob.model_validate(
        {
            "step": "benchmark",
            "design": _design(task),
            "seed": seeds(task.seed, "search_train", 1)[0],
            "features": task.features,
            "target_environment": task.spec,
            "folder": str(folder),
            "relative": folder.name,
            "until": task.steps,
            "validation_seeds": seeds(task.seed, "validation", 10) if task.validate else (),
            "judge": task.judge,
            **_switches(task),
        }
    )


def _switches(task: Task) -> dict[str, Any]:
    """What a job chooses beyond its design: where environments are stepped, and what learns."""
    vector = task.vector or task.usual_vector or "sync"
    return {"vector": vector, "learner": task.learner or "auto", "cores": task.cores}


def _design(task: Task) -> Design:
    from experimenter.records import Design
    from experimenter.rl.offpolicy.settings import settled

    on_policy = task.algorithm == "ppo"
    phase = {
        "environments": [{"environment": task.spec}],
        "hyperparameters" if on_policy else "off_policy": task.settings,
        "steps": task.steps,
    }
    network = {"hidden": task.hidden, "activation": "tanh" if on_policy else "relu"}
    design = {"name": "benchmark", "phases": [phase], "algorithm": task.algorithm, "network": network}
    return settled(Design.model_validate(design))


def _policy(job: TrainJob, training: Training) -> Any:
    from experimenter.policies.policy import load_policy

    assert training.policy is not None
    return load_policy(Path(job.folder).parent / training.policy.path, training.policy.hash)


def _updates(task: Task, steps: int) -> int:
    """Steps of the optimiser."""
    s: dict[str, Any] = task.settings
    if task.algorithm != "ppo":
        stretch = s["train_freq"] * s.get("num_envs", 1)
        before = -(-s["learning_starts"] // stretch) - 1
        return int(max(0, steps // stretch - before) * s["gradient_steps"])
    rollout = s["num_envs"] * s["num_steps"]
    return int(steps // rollout * s["update_epochs"] * max(1, round(rollout / s["minibatch_size"])))


def _curve(training: Training) -> tuple[float, ...]:
    """Greedy or sampled, whichever validated better; what was paid in training where nothing was validated."""
    points: Sequence[Any] = training.curve
    found = (p.true_return if p.true_return is not None else p.shaped_return for p in points)
    return tuple(float(value) for value in found if value is not None)


def _silent(*_: Any) -> None:
    return None


if __name__ == "__main__":
    answer(play)
