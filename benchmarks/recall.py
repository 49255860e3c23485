"""Warm against cold: what an earlier run's memory saves, in learning steps to the same true score. Keyless.

    python benchmarks/recall.py                       # every pair, five seeds each
    python benchmarks/recall.py doorkey --seeds 0 1 --json out.json

For each seed a *teacher* run fills a workspace with memory on. Then the same wish is pursued four times with another
seed: on the teacher's environment and on a changed one, each with that memory (``--memory read``: warm) and in a
fresh workspace without (``--memory off``: cold). All are real ``experimenter run ... --json`` commands.

The score asked for is the runs' ``--target``. Counted are the learning steps that a run had spent, on everything, when
the frozen judge first gave one of its policies that score on held-out episodes: one from memory as it came, a trial's,
or a confirmation's. Inherited steps stand apart: what the teacher had spent on the policy that a warm run started from.
A run is asked to stop as soon as it got there, because nothing after that changes its figure; one that never got there
counts with all that it spent, and is marked.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Pair:
    """``score`` is the true return asked for; the changed environment has id ``other`` and constructor ``kwargs``."""

    name: str
    wish: str
    env: str
    other: str
    kwargs: tuple[str, ...]
    steps: int
    score: float


PAIRS = (
    Pair(
        "doorkey",
        "open the door and reach the goal",
        "MiniGrid-DoorKey-5x5-v0",
        "MiniGrid-DoorKey-6x6-v0",
        (),
        400_000,
        0.8,
    ),
    Pair("pendulum", "swing up and stay", "Pendulum-v1", "Pendulum-v1", ("g=12.0",), 400_000, -300.0),
)


@dataclass(frozen=True)
class Row:
    pair: str
    environment: str
    seed: int
    arm: str
    steps: int
    reached: bool
    inherited: int
    judged: float | None


HEAD = f"{'pair':10} {'environment':10} {'seed':>4} {'arm':5} {'steps':>9} {'inherited':>9} {'judged':>8}"
POLL_SECONDS = 0.5


def main() -> None:
    options = parse()
    rows: list[Row] = []
    print(HEAD, flush=True)
    for pair in (pair for pair in PAIRS if not options.pair or pair.name in options.pair):
        for seed in options.seeds:
            rows += study(replace(pair, steps=options.steps or pair.steps), seed)
    summary = summarise(rows)
    if options.json:
        Path(options.json).write_text(
            json.dumps({"rows": [asdict(row) for row in rows], "ratios": summary}, indent=2)
        )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("pair", nargs="*", choices=[*(pair.name for pair in PAIRS), []])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--steps", type=int, help="each run's budget, in place of the pair's own")
    parser.add_argument("--json", help="write rows and ratios to this file")
    return parser.parse_args()


def study(pair: Pair, seed: int) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="recall-") as folder:
        root = Path(folder)
        finished(pair, command(pair, pair.env, (), 100 + seed, root / "taught", "on", "teacher"))
        rows = []
        for words, env, kwargs in (("same", pair.env, ()), ("changed", pair.other, pair.kwargs)):
            for arm, place, memory in (
                ("cold", root / f"cold-{words}", "off"),
                ("warm", root / "taught", "read"),
            ):
                name = f"{arm}_{words}"
                asked = command(pair, env, kwargs, seed, place, memory, name)
                rows.append(row(pair, words, seed, arm, place, name, asked))
    return rows


def command(
    pair: Pair, env: str, kwargs: tuple[str, ...], seed: int, workspace: Path, memory: str, name: str
) -> list[str]:
    changed = [word for one in kwargs for word in ("--set", one)]
    wanted = ["--budget-steps", str(pair.steps), "--target", str(pair.score), "--controls", "none"]
    place = ["--workspace", str(workspace), "--memory", memory, "--name", name]
    others = ["--seed", str(seed), "--confirm-seeds", "3", "--yes", "--json"]
    return [program(), "run", pair.wish, "--env", env, *changed, *wanted, *place, *others]


def program() -> str:
    return str(Path(sys.executable).with_name("experimenter"))


def started(asked: list[str]) -> subprocess.Popen[str]:
    environment = {**os.environ, "EXPERIMENTER_FILMS": "false"}
    return subprocess.Popen(asked, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def finished(pair: Pair, asked: list[str]) -> None:
    """One whole run."""
    process = started(asked)
    _, said = process.communicate()
    if process.returncode:
        raise SystemExit(f"{' '.join(asked)} ended with {process.returncode}: {said[-2000:]}")


def row(pair: Pair, words: str, seed: int, arm: str, workspace: Path, name: str, asked: list[str]) -> Row:
    """One run, up to the score asked for."""
    process, database = started(asked), workspace / "workspace.sqlite"
    stopped = False
    while process.poll() is None:
        time.sleep(POLL_SECONDS)
        if not stopped and steps_to(database, name, pair.score)[1] is not None:
            subprocess.run(
                [program(), "stop", name, "--workspace", str(workspace)], capture_output=True, check=False
            )
            stopped = True
    _, said = process.communicate()
    if process.returncode and not stopped:
        raise SystemExit(f"{' '.join(asked)} ended with {process.returncode}: {said[-2000:]}")
    steps, judged = steps_to(database, name, pair.score)
    found = Row(pair.name, words, seed, arm, steps, judged is not None, inherited(database, name), judged)
    mark = "" if found.reached else "  never: all that it spent"
    score = "–" if judged is None else f"{judged:.3g}"
    print(
        f"{pair.name:10} {words:10} {seed:4} {arm:5} {steps:9,} {found.inherited:9,} {score:>8}{mark}",
        flush=True,
    )
    return found


def steps_of(path: Path, run: str) -> list[tuple[str, Any, int]]:
    """Kind, value and learning steps of each stored step, oldest first; none while there is no workspace yet."""
    if not path.exists():
        return []
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        rows = database.execute("SELECT kind, value, spend FROM steps WHERE run = ? ORDER BY at", (run,))
        return [(k, json.loads(v), int(json.loads(s).get("env_steps", 0))) for k, v, s in rows.fetchall()]
    except sqlite3.OperationalError:
        return []
    finally:
        database.close()


def steps_to(path: Path, run: str, score: float) -> tuple[int, float | None]:
    """Learning steps spent when the judge first gave ``score`` or more, and what it gave; ``None``: never."""
    spent = 0
    for kind, value, steps in steps_of(path, run):
        spent += steps
        if kind == "judge" and value["mean"] >= score:
            return spent, float(value["mean"])
    return spent, None


def inherited(path: Path, run: str) -> int:
    """The longest line of steps behind a policy that one of the run's designs started from."""
    designs = [one for kind, value, _ in steps_of(path, run) if kind == "design" for one in value or ()]
    return max((one["start"]["lineage_steps"] for one in designs if one.get("start")), default=0)


def summarise(rows: list[Row]) -> dict[str, dict[str, float]]:
    """Per pair and environment: the ratio of mean steps, warm over cold, with a 95 % bootstrap interval over seeds."""
    found = {}
    for key in dict.fromkeys((row.pair, row.environment) for row in rows):
        mine = [row for row in rows if (row.pair, row.environment) == key]
        cold, warm = ({row.seed: row for row in mine if row.arm == arm} for arm in ("cold", "warm"))
        pairs = np.array([(cold[seed].steps, warm[seed].steps) for seed in cold if seed in warm], dtype=float)
        ratio = pairs[:, 1].mean() / pairs[:, 0].mean()
        draws = np.random.default_rng(0).integers(0, len(pairs), (10_000, len(pairs)))
        low, high = np.quantile(pairs[draws, 1].mean(1) / pairs[draws, 0].mean(1), [0.025, 0.975])
        before = statistics.mean(row.inherited for row in warm.values())
        never = {
            arm: sum(not row.reached for row in group.values())
            for arm, group in (("cold", cold), ("warm", warm))
        }
        print(
            f"{key[0]}, {key[1]}: warm needs {ratio:.2f} of cold's steps (95 % interval {low:.2f} to {high:.2f}, "
            f"{len(pairs)} seeds), with {before:,.0f} inherited steps besides; never reached: {never}"
        )
        found["/".join(key)] = {"ratio": ratio, "low": low, "high": high, "inherited": before}
    return found


if __name__ == "__main__":
    main()
