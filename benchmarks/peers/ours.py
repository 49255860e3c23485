"""This engine, called as a run calls it: a job in, a training out, in a process that starts without torch."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
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
    from experimenter.rl.training import TrainJob

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
    began = time.perf_counter()
    if task.threshold is None:
        done = _all(task, folder)
        seconds, reached = time.perf_counter() - began, None
    else:
        done, seconds, reached = _until_reached(task, folder)
    since, memory = since_start(task), peak_mb()
    scores = tuple(judged(task, _policy(*one)) for one in done) if task.judge_it else ()
    return Answer(
        steps=sum(training.env_steps for _, training in done),
        seconds=seconds,
        since_start=since,
        peak_mb=memory,
        updates=sum(_updates(task, training.steps) for _, training in done),
        reached=seconds if reached else None,
        reached_steps=done[-1][1].steps if reached else None,
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


def _until_reached(task: Task, folder: Path) -> tuple[Trained, float, bool]:
    """Trains a stretch, looks at the policy with the clock stopped, goes on from the checkpoint."""
    seconds, job, reached = 0.0, job_of(task, folder / "reaching"), False
    done: Trained = []
    until = 0
    while not reached and until < task.steps:
        until = min(task.steps, until + task.look_every)
        began = time.perf_counter()
        stretch = job.model_copy(update={"until": until})
        done = [(stretch, _train(stretch, _silent))]
        seconds += time.perf_counter() - began
        reached = look(task, _policy(*done[-1])) >= (task.threshold or 0.0)
    return done, seconds, reached


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
    return {"vector": task.vector or task.usual_vector or "sync", "learner": task.learner or "auto"}


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
