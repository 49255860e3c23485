"""Warm against cold: what an earlier run's memory saves, in learning steps to the same true score. Keyless.

    python benchmarks/recall.py                       # every pair, five seeds each
    python benchmarks/recall.py doorkey --seeds 0 1 --json out.json

For each seed a *teacher* run fills a workspace with memory on. Then the same wish is pursued four times with another
seed: on the teacher's environment and on a changed one, each with that memory (``--memory read``: warm) and in a
fresh workspace without (``--memory off``: cold). All are real ``experimenter run ... --json`` commands.

The score asked for is the runs' ``--target``. Counted are the learning steps that a run had spent, on everything, when
the frozen judge first gave one of its designs that score, in a trial or in the confirmation. Inherited steps stand
apart: what the teacher had spent on the policy that a warm run started from. A run that never got there counts with
all that it spent, and is marked.
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
    winner: float | None


HEAD = f"{'pair':10} {'environment':10} {'seed':>4} {'arm':5} {'steps':>9} {'inherited':>9} {'winner':>8}"


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
        run(pair, pair.env, (), 100 + seed, root / "taught", "on")
        rows = []
        for words, env, kwargs in (("same", pair.env, ()), ("changed", pair.other, pair.kwargs)):
            for arm, place, memory in (
                ("cold", root / f"cold-{words}", "off"),
                ("warm", root / "taught", "read"),
            ):
                rows.append(row(pair, words, seed, arm, place, run(pair, env, kwargs, seed, place, memory)))
    return rows


def run(
    pair: Pair, env: str, kwargs: tuple[str, ...], seed: int, workspace: Path, memory: str
) -> dict[str, Any]:
    """One real run; its final object."""
    program = Path(sys.executable).with_name("experimenter")
    command = [
        str(program),
        "run",
        pair.wish,
        "--env",
        env,
        "--budget-steps",
        str(pair.steps),
        "--seed",
        str(seed),
    ]
    command += [word for pair_ in kwargs for word in ("--set", pair_)]
    command += [
        "--workspace",
        str(workspace),
        "--memory",
        memory,
        "--controls",
        "none",
        "--confirm-seeds",
        "3",
    ]
    command += ["--yes", "--json"]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "EXPERIMENTER_FILMS": "false"},
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def row(pair: Pair, words: str, seed: int, arm: str, workspace: Path, result: dict[str, Any]) -> Row:
    steps, reached = steps_to(workspace / "workspace.sqlite", result["run"], pair.score)
    best = result["best"]
    found = Row(
        pair=pair.name,
        environment=words,
        seed=seed,
        arm=arm,
        steps=steps,
        reached=reached,
        inherited=result["inherited_steps"],
        winner=best["true_score"]["iqm"] if best else None,
    )
    mark = "" if reached else "  never: all that it spent"
    winner = "–" if found.winner is None else f"{found.winner:.3g}"
    print(
        f"{pair.name:10} {words:10} {seed:4} {arm:5} {steps:9,} {found.inherited:9,} {winner:>8}{mark}",
        flush=True,
    )
    return found


def steps_to(path: Path, run: str, score: float) -> tuple[int, bool]:
    """Learning steps spent when the judge first gave ``score`` or more, and whether it ever did."""
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        steps = database.execute("SELECT kind, value, spend, at FROM steps WHERE run = ? ORDER BY at", (run,))
        rows = steps.fetchall()
    finally:
        database.close()
    spent = 0
    for kind, value, spend, _ in rows:
        spent += int(json.loads(spend).get("env_steps", 0))
        if kind == "judge" and json.loads(value)["mean"] >= score:
            return spent, True
    return spent, False


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
        inherited = statistics.mean(row.inherited for row in warm.values())
        never = {
            arm: sum(not row.reached for row in group.values())
            for arm, group in (("cold", cold), ("warm", warm))
        }
        print(
            f"{key[0]}, {key[1]}: warm needs {ratio:.2f} of cold's steps (95 % interval {low:.2f} to {high:.2f}, "
            f"{len(pairs)} seeds), with {inherited:,.0f} inherited steps besides; never reached: {never}"
        )
        found["/".join(key)] = {"ratio": ratio, "low": low, "high": high, "inherited": inherited}
    return found


if __name__ == "__main__":
    main()
