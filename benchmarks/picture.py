"""Draws the README's picture from a finished run: its trials and its verdict, as the terminal shows them.

python benchmarks/picture.py WORKSPACE RUN docs/images/run.svg
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from rich.console import Console

from experimenter.cli.tables import trials_table, verdict_panel
from experimenter.loop.results import result
from experimenter.workspace.store import Workspace

WIDTH = 118


def main(root: Path, run: str, target: Path) -> None:
    console = Console(
        record=True, width=WIDTH, file=sys.stderr, force_terminal=True, color_system="truecolor"
    )
    with Workspace.open(root, create=False) as workspace:
        record, trials = workspace.run(run), workspace.trials(run)
    goal, steps = record.goal, record.goal.budget.env_steps
    command = f'experimenter run "{goal.wish}" --env {goal.environment.id} --budget-steps {steps} --seed {goal.seed}'
    console.print(f"[bold]$[/bold] {command}\n")
    console.print(trials_table(trials))
    found = result(root, record.id)
    shown = found.model_copy(update={"report": f"experiments/runs/{record.id}/report.html"})
    console.print(verdict_panel(shown, Path("experiments").absolute()))
    target.write_text(without_remote_fonts(console.export_svg(title="experimenter")))


def without_remote_fonts(svg: str) -> str:
    """The picture must open offline: any monospaced font will do."""
    return re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
