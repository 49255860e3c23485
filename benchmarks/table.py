"""Turns results of ``acceptance.py --json`` into the table that the README quotes.

python benchmarks/table.py results.json [more.json …]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HEAD = (
    "| environment | steps | seed | true score (IQM, 95 % interval) | success | native control | verdict | p "
    "| minutes |"
)


def main(files: list[str]) -> None:
    rows = [row for file in files for row in json.loads(Path(file).read_text())]
    print(HEAD)
    print("| --- " * HEAD.count(" | ") + "| --- |")
    for row in rows:
        print(line(row))


def line(row: dict[str, Any]) -> str:
    best, verdict = row["best"], row["verdict"]["native"]
    score, native = best["true_score"], row["controls"]["native"]["true_score"]["iqm"]
    rate = "–" if best["success_rate"] is None else f"{best['success_rate']:.2f}"
    interval = f"{score['iqm']:.4g} ({score['low']:.4g} to {score['high']:.4g})"
    cells = [
        row["environment"], f"{row['ledger']['env_steps']:,}", row["seed"], interval, rate, f"{native:.4g}",
        verdict["label"], f"{verdict['p']:.3f}", f"{row['wall'] / 60:.1f}",
    ]  # fmt: skip
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    main(sys.argv[1:])
