"""Measures this engine beside its peers, in alternation in one run, and prints one table.

    python benchmarks/engine.py                                # every row, at least five pairs each: hours
    python benchmarks/engine.py --only cartpole-ppo,first-step --json
    python benchmarks/engine.py --only raw-hopper --pairs 3
    python benchmarks/engine.py --only sac-hopper-quality --json --keep sac.jsonl     # again: goes on where it was
    python benchmarks/engine.py --list

Every run is a process of its own with one thread, and runs take turns (A B A B …), because the machine's speed drifts.
Ratios are taken within pairs; the table gives medians with the range over pairs. A row whose parts are not installed
says so. With ``--json`` one object with the chosen rows goes to stdout and nothing else. Exit code 1 where a run
failed, 2 for a row that there is not.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))

from peers.common import Task  # noqa: E402
from peers.contests import CONTESTS, Contest, Side  # noqa: E402
from peers.facts import NoFacts, facts_of, informed, program  # noqa: E402
from peers.kept import Kept, SpoiltFile  # noqa: E402
from peers.parts import missing  # noqa: E402
from peers.rows import HEAD, Answers, line, row  # noqa: E402


class RunFailed(Exception):
    """A peer's process ended without an answer."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    if options.list:
        print("\n".join(f"{contest.name:26}{contest.what}" for contest in CONTESTS.values()))
        return 0
    contests = [CONTESTS[name] for name in chosen(options.only)]
    kept = opened(options.keep)
    if not options.json:
        print(HEAD, flush=True)
    rows: dict[str, dict[str, Any]] = {}
    for contest in contests:
        rows[contest.name] = measured(contest, options.pairs, options.steps, kept)
        if not options.json:
            print(line(contest, rows[contest.name]), flush=True)
    if options.json:
        print(json.dumps({"v": 1, "machine": machine(), "rows": rows}, indent=1))
    return int(any("failed" in found for found in rows.values()))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", metavar="NAME,NAME", help="these rows; all unless named")
    parser.add_argument(
        "--pairs", type=positive, help="runs of each side; every row's own number unless given"
    )
    parser.add_argument("--steps", type=positive, help="other training steps for every row, for a quick look")
    parser.add_argument(
        "--keep",
        metavar="FILE",
        type=Path,
        help="keep every answer in FILE, and ask none again that it holds",
    )
    parser.add_argument("--json", action="store_true", help="one object on stdout instead of the table")
    parser.add_argument("--list", action="store_true", help="the rows' names, and what each shows")
    return parser.parse_args(arguments)


def positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def chosen(only: str | None) -> list[str]:
    """The rows' names in the order asked for. Exits with 2 and a did-you-mean for one that there is not."""
    names = list(CONTESTS) if only is None else [name.strip() for name in only.split(",") if name.strip()]
    if not names:
        print("--only names no row.", file=sys.stderr)
        raise SystemExit(2)
    for name in names:
        if name not in CONTESTS:
            near = difflib.get_close_matches(name, CONTESTS, 1)
            meant = f" Did you mean {near[0]}?" if near else ""
            print(f"There is no row named {name!r}.{meant} --list names them all.", file=sys.stderr)
            raise SystemExit(2)
    return names


def opened(path: Path | None) -> Kept:
    """Exits with 2 where ``path`` does not hold kept answers."""
    try:
        return Kept(path)
    except SpoiltFile as failure:
        print(failure, file=sys.stderr)
        raise SystemExit(2) from None


def measured(
    contest: Contest, pairs: int | None = None, steps: int | None = None, kept: Kept | None = None
) -> dict[str, Any]:
    """One row: its runs, in turns, and what they say."""
    lacks = {label: lack for label, side in contest.sides.items() if (lack := missing(side.needs))}
    absent = [lack for label, lack in lacks.items() if not contest.sides[label].extra]
    if absent:
        return {"what": contest.what, "not_available": "; ".join(dict.fromkeys(absent))}
    sides = {label: side for label, side in contest.sides.items() if label not in lacks}
    if steps is not None:
        contest = replace(contest, task={**contest.task, "steps": steps})
    try:
        answers = in_turns(contest, sides, pairs or contest.pairs, kept or Kept(None))
    except (NoFacts, RunFailed, SpoiltFile) as failure:
        return {"what": contest.what, "failed": str(failure)}
    return row(contest, answers)


def in_turns(contest: Contest, sides: Mapping[str, Side], pairs: int, kept: Kept) -> Answers:
    answers: dict[str, list[dict[str, Any]]] = {label: [] for label in sides}
    for pair in range(pairs):
        for label, side in sides.items():
            began = time.monotonic()
            task = task_of(contest, side, pair)
            question = {"row": contest.name, "side": label, "pair": pair, "task": asdict(task)}
            answers[label].append(kept.get(question, partial(ask, side, task)))
            took = time.monotonic() - began
            print(f"{contest.name} {pair + 1}/{pairs} {label}: {took:.1f} s", file=sys.stderr, flush=True)
    return answers


def task_of(contest: Contest, side: Side, pair: int) -> Task:
    """What one run is asked; the seed is the pair's, so that sides of a pair share it.

    Raises NoFacts where the environment, or the engine's vector environment that is forced, cannot be used.
    """
    if side.peer == "ours" and "vector" in side.changes:
        facts_of(contest.task["env"], side.changes["vector"])
    return informed(Task(seed=1000 * pair, **{**contest.task, **side.changes}), chosen=side.chosen)


def ask(side: Side, task: Task) -> dict[str, Any]:
    """One run in a fresh process with one thread; its answer. Raises RunFailed with the end of its complaint."""
    done = program(side.peer, given=json.dumps(asdict(replace(task, began=time.monotonic()))))
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise RunFailed(f"{side.peer} on {task.env} ended with {done.returncode}: {' | '.join(said[-3:])}")
    answer: dict[str, Any] = json.loads(lines[-1])
    return answer


def machine() -> dict[str, Any]:
    import numpy

    return {
        "system": platform.platform(), "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(), "load": os.getloadavg()[0], "python": platform.python_version(),
        "numpy": numpy.__version__,
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
