"""Runs the experimenter keyless, memory off, on the standard environments and prints a table of what came out.

    python benchmarks/acceptance.py                      # every environment, its own number of seeds
    python benchmarks/acceptance.py MountainCar-v0 --seeds 0 1 2 3 4
    python benchmarks/acceptance.py --json results.json

Every run is a real ``experimenter run ... --json`` in a fresh workspace; nothing is selected or repeated.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Goal:
    wish: str
    env: str
    steps: int
    seeds: tuple[int, ...]
    measure: str
    at_least: float | None


GOALS = (
    Goal("reach the flag", "MountainCar-v0", 1_000_000, (0, 1, 2, 3, 4), "iqm", -130),
    Goal(
        "open the door and reach the goal",
        "MiniGrid-DoorKey-8x8-v0",
        1_000_000,
        (0, 1, 2, 3, 4),
        "success",
        0.8,
    ),
    Goal("keep the pole up", "CartPole-v1", 400_000, (0,), "iqm", 475),
    Goal("swing the tip above the line", "Acrobot-v1", 600_000, (0,), "iqm", -100),
    Goal("swing up and stay", "Pendulum-v1", 1_000_000, (0,), "iqm", -300),
    Goal("open the door and reach the goal", "MiniGrid-DoorKey-5x5-v0", 800_000, (0,), "success", 0.95),
    Goal("land softly, waste no fuel", "LunarLander-v3", 1_000_000, (0,), "iqm", None),
)


def main() -> None:
    options = parse()
    goals = [goal for goal in GOALS if not options.env or goal.env in options.env]
    if not goals:
        raise SystemExit(f"choose from: {', '.join(goal.env for goal in GOALS)}")
    rows = []
    print(HEAD, flush=True)
    for goal in goals:
        for seed in options.seeds or goal.seeds:
            rows.append(run(goal, seed))
            print(line(goal, rows[-1]), flush=True)
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=1))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("env", nargs="*")
    parser.add_argument("--seeds", nargs="+", type=int)
    parser.add_argument("--json", metavar="FILE")
    return parser.parse_args()


def run(goal: Goal, seed: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="acceptance-") as folder:
        began = time.monotonic()
        command = [
            sys.executable, "-m", "experimenter", "run", goal.wish, "--env", goal.env,
            "--budget-steps", str(goal.steps), "--seed", str(seed), "--memory", "off",
            "--workspace", folder, "--json",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True)
        wall = time.monotonic() - began
        share = orchestration(Path(folder))
    if done.returncode:
        return {
            "env": goal.env,
            "seed": seed,
            "status": "failed",
            "error": done.stderr.strip()[-300:],
            "wall": wall,
        }
    return {"env": goal.env, "seed": seed, "wall": wall, "orchestration": share, **json.loads(done.stdout)}


def orchestration(folder: Path) -> float | None:
    """The share of the runner's time in which no worker trained, checked or judged, from its last event."""
    for file in folder.glob("runs/*/events.jsonl"):
        for text in reversed(file.read_text().splitlines()):
            event = json.loads(text)
            if event["kind"] == "run.finished":
                return event["data"].get("orchestration")
    return None


HEAD = (
    f"{'environment':26}{'seed':>4}  {'IQM':>8} {'low':>8} {'high':>8} {'success':>8}  {'native':>8}  "
    f"{'verdict':<17}{'p':>6}  {'steps':>9} {'minutes':>7} {'orch.':>6}  asked"
)


def line(goal: Goal, row: dict[str, Any]) -> str:
    if row["status"] != "finished":
        return f"{goal.env:26}{row['seed']:>4}  {row['error']}"
    best, verdict = row["best"], row["verdict"].get("native", {})
    score, rate = best["true_score"], best["success_rate"]
    native = row["controls"].get("native", {}).get("true_score", {}).get("iqm", float("nan"))
    got = score["iqm"] if goal.measure == "iqm" else rate
    asked = "" if goal.at_least is None else ("reached" if got >= goal.at_least else "NOT reached")
    success = "-" if rate is None else f"{rate:.2f}"
    share = "-" if row["orchestration"] is None else f"{row['orchestration']:.3f}"
    return (
        f"{goal.env:26}{row['seed']:>4}  {score['iqm']:>8.3g} {score['low']:>8.3g} {score['high']:>8.3g} {success:>8}  "
        f"{native:>8.3g}  {verdict.get('label', '-'):<17}{verdict.get('p', float('nan')):>6.3f}  "
        f"{row['ledger']['env_steps']:>9,} {row['wall'] / 60:>7.1f} {share:>6}  {asked}"
    )


if __name__ == "__main__":
    main()
