"""Trains in the environments of public benchmark tables and holds the frozen judge's scores against theirs.

    python benchmarks/learning.py                                     # five seeds each: about an hour on two cores
    python benchmarks/learning.py --only cartpole,pendulum --seeds 0 1 2
    python benchmarks/learning.py --only doorkey-5x5 --json

Every training uses the reference's number of steps, keeps its best policy by validation, and is scored on 100 held-out
episodes; the interval is over training seeds. The references are the deterministic scores of one tuned PPO agent each
(RL Baselines3 Zoo, benchmark.md). "reached": the interquartile mean is at least the reference; "within": only the
interval reaches it. Nothing is selected or repeated.
"""

from __future__ import annotations

import argparse
import difflib
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

HERE = Path(__file__).resolve().parent
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))

from peers.common import Task  # noqa: E402
from peers.facts import facts_of, informed  # noqa: E402

ZOO: Final = "RL Baselines3 Zoo"


@dataclass(frozen=True)
class Lesson:
    """One environment of the tables. ``settings`` differ from what the engine itself would choose, because of
    ``because``."""

    name: str
    env: str
    steps: int
    reference: float
    source: str = ZOO
    settings: Mapping[str, Any] = field(default_factory=dict)
    because: str = "the engine's own"


# The tables' settings for two environments. Their value loss is not halved, hence twice the coefficient.
SWINGING: Final = {
    "num_envs": 4, "num_steps": 1024, "minibatch_size": 64, "update_epochs": 10, "learning_rate": 1e-3,
    "anneal_learning_rate": False, "gamma": 0.9, "gae_lambda": 0.95, "clip_coef": 0.2, "ent_coef": 0.0,
    "vf_coef": 1.0, "max_grad_norm": 0.5, "normalize_observations": False, "normalize_rewards": False,
    "sde": True, "sde_sample_freq": 4,
}  # fmt: skip
KNOWN: Final = {
    "num_envs": 1, "num_steps": 8, "minibatch_size": 8, "update_epochs": 10, "learning_rate": 7.77e-5,
    "anneal_learning_rate": False, "gamma": 0.9999, "gae_lambda": 0.9, "clip_coef": 0.1, "ent_coef": 0.00429,
    "vf_coef": 0.38, "max_grad_norm": 5.0, "sde": True, "log_std_init": -3.29, "ortho_init": False,
}  # fmt: skip
_ALL: Final = (
    Lesson("cartpole", "CartPole-v1", 100_000, 500.0),
    Lesson("acrobot", "Acrobot-v1", 1_000_000, -73.5),
    Lesson("pendulum", "Pendulum-v1", 100_000, -172.0, settings=SWINGING, because="the table's"),
    Lesson(
        "pendulum-own", "Pendulum-v1", 100_000, -172.0, settings={"gamma": 0.9}, because="the engine's own, γ 0.9",
    ),
    Lesson(
        "mountaincar-continuous", "MountainCarContinuous-v0", 20_000, 88.3, settings=KNOWN,
        because="the table's",
    ),
    Lesson("lunarlander", "LunarLander-v3", 1_000_000, 242.0, source=f"{ZOO}, on version 2"),
    Lesson("doorkey-5x5", "MiniGrid-DoorKey-5x5-v0", 100_000, 0.964),
)  # fmt: skip
LESSONS: Final[Mapping[str, Lesson]] = {lesson.name: lesson for lesson in _ALL}


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    lessons = [LESSONS[name] for name in chosen(options.only)]
    if options.steps:
        lessons = [replace(lesson, steps=options.steps) for lesson in lessons]
    found = run_all([(lesson, seed) for lesson in lessons for seed in options.seeds], options.workers)
    rows = {lesson.name: row(lesson, options.seeds, found) for lesson in lessons}
    if options.json:
        print(json.dumps({"v": 1, "rows": rows}, indent=1))
    else:
        print("\n".join([HEAD, *(line(name, made) for name, made in rows.items())]))
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", metavar="NAME,NAME", help=f"of {', '.join(LESSONS)}; all unless named")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--steps", type=int, help="other training steps for every row, for a quick look")
    parser.add_argument("--workers", type=int, default=2, help="trainings at a time")
    parser.add_argument("--json", action="store_true", help="one object on stdout instead of the table")
    return parser.parse_args(arguments)


def chosen(only: str | None) -> list[str]:
    """The rows' names in the order asked for. Exits with 2 and a did-you-mean for one that there is not."""
    names = list(LESSONS) if only is None else [name.strip() for name in only.split(",") if name.strip()]
    if not names:
        print("--only names no row.", file=sys.stderr)
        raise SystemExit(2)
    for name in names:
        if name not in LESSONS:
            near = difflib.get_close_matches(name, LESSONS, 1)
            meant = f"Did you mean {near[0]}?" if near else f"Choose from {', '.join(LESSONS)}."
            print(f"There is no row named {name!r}. {meant}", file=sys.stderr)
            raise SystemExit(2)
    return names


Job = tuple[Lesson, int]
Found = Mapping[tuple[str, int], dict[str, Any]]


def run_all(jobs: Sequence[Job], workers: int) -> Found:
    """Every training, in worker processes with one thread each; progress goes to stderr."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    found: dict[tuple[str, int], dict[str, Any]] = {}
    began = time.monotonic()
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        waiting = {pool.submit(trained, *job): job for job in jobs}
        for done in as_completed(waiting):
            lesson, seed = waiting[done]
            found[lesson.name, seed] = result = done.result()
            print(
                f"{len(found):3}/{len(jobs)} {time.monotonic() - began:6.0f} s  {lesson.name} seed {seed}: "
                f"{result['score']:.4g} after {result['steps']:,} steps in {result['seconds']:.0f} s",
                file=sys.stderr, flush=True,
            )  # fmt: skip
    return found


def trained(lesson: Lesson, seed: int) -> dict[str, Any]:
    """One training and the judge's word on the policy that it keeps."""
    from peers.ours import play

    answer = play(task_of(lesson, seed), lambda: None)
    return {"score": answer.scores[0], "steps": answer.steps, "seconds": answer.seconds}


def task_of(lesson: Lesson, seed: int) -> Task:
    task = Task(
        lesson.env, lesson.steps, {}, seed=seed, validate=True, judge_it=True, episodes=100, warm=False
    )
    task = informed(task, chosen=True)
    return replace(task, settings={**task.settings, **lesson.settings})


def row(lesson: Lesson, seeds: Sequence[int], found: Found) -> dict[str, Any]:
    from experimenter.judge.statistics import interval

    each = [found[lesson.name, seed] for seed in seeds]
    scores = [one["score"] for one in each]
    judged = interval(scores, seed=0)
    return {
        "environment": lesson.env, "settings": {**facts_of(lesson.env)["settings"], **lesson.settings},
        "because": lesson.because, "steps": lesson.steps, "seeds": list(seeds), "scores": scores,
        "iqm": judged.iqm, "low": judged.low, "high": judged.high, "reference": lesson.reference,
        "source": lesson.source, "verdict": verdict(judged.iqm, judged.high, lesson.reference),
        "seconds": sum(one["seconds"] for one in each),
    }  # fmt: skip


def verdict(iqm: float, high: float, reference: float) -> str:
    if iqm >= reference:
        return "reached"
    return "within" if high >= reference else "NOT reached"


HEAD: Final = (
    f"{'row':24}{'configuration':28}{'steps':>10}{'seeds':>6}  {'true score (95 %)':>28}  {'reference':>9}  "
    "verdict, source"
)


def line(name: str, made: Mapping[str, Any]) -> str:
    score = f"{made['iqm']:.4g} ({made['low']:.4g} to {made['high']:.4g})"
    return (
        f"{name:24}{made['because']:28}{made['steps']:>10,}{len(made['seeds']):>6}  {score:>28}  "
        f"{made['reference']:>9.4g}  {made['verdict']}, {made['source']}"
    )


if __name__ == "__main__":
    sys.exit(main())
