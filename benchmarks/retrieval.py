"""How well memory finds what is asked for in other words, and how fast: prints what docs/memory.md quotes.

    python benchmarks/retrieval.py [--json] [--sizes 10000 100000] [--questions 60] [--rebuild 5000] [--no-timing]

The texts and the questions are ours (``retrieval_items.tsv``, ``retrieval_queries.tsv``). Half of the questions are
held out: nothing was tuned on them. No question names an environment, and all weights are equal, so only meaning is
measured. Where a figure has a limit, the limit stands beside it, and whether it holds. Seconds and milliseconds are of
the wall-clock: on a machine that others use they say as much about the others, so the load is printed as well.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from retrieval_speed import REBUILD, Figure, rebuild, timing
from retrieval_texts import Question, read_items, read_questions

from experimenter.contracts import Memory, VectorStore
from experimenter.errors import ExperimenterError
from experimenter.records import MemoryItem, MemoryQuery
from experimenter.workspace.store import Workspace
from experimenter_memory.lexical import LexicalMemory
from experimenter_memory.vector import VectorMemory

LEAST_ITEMS, LEAST_QUESTIONS = 200, 60
# Another folder of a model than the usual one: EXPERIMENTER_EMBEDDER=minilm:FOLDER.
CHOSEN = os.environ.get("EXPERIMENTER_EMBEDDER", "")
WAYS: tuple[tuple[str, type[VectorMemory | LexicalMemory], str], ...] = (
    ("hash", VectorMemory, "hash"),
    ("lexical (FTS5)", LexicalMemory, "hash"),
    ("minilm", VectorMemory, CHOSEN if CHOSEN.startswith("minilm") else "minilm"),
)


def hits(
    memory: Memory, store: VectorStore, items: Sequence[MemoryItem], questions: Sequence[Question]
) -> dict[str, dict[str, float]]:
    """hit@1 and hit@5 over all questions, those used for tuning, and those held out."""
    ranks = [(question.held, _rank(memory, store, items, question)) for question in questions]
    parts = {"all": ranks, "tuned": [r for r in ranks if not r[0]], "held out": [r for r in ranks if r[0]]}
    return {
        part: {f"hit@{k}": round(sum(rank < k for _, rank in some) / len(some), 3) for k in (1, 5)}
        for part, some in parts.items()
    }


def _rank(memory: Memory, store: VectorStore, items: Sequence[MemoryItem], question: Question) -> int:
    found = memory.recall(MemoryQuery(words=question.words), items, store, 5)
    return next((i for i, one in enumerate(found) if one.item.id == question.answer), 5)


def quality(workspace: Workspace) -> dict[str, Any]:
    """A row per way of finding; one that cannot be had here says why."""
    items = read_items()
    questions = read_questions(items)
    rows: dict[str, Any] = {"items": len(items), "questions": len(questions)}
    for name, memory, embedder in WAYS:
        try:
            rows[name] = hits(memory(), workspace.vector_store(embedder), items, questions)
        except ExperimenterError as absent:
            rows[name] = {"skipped": f"{absent.message} {absent.hint}"}
    return rows


def quality_lines(rows: dict[str, Any]) -> list[str]:
    """The rows of ``quality`` as text."""
    lines = [
        Figure("lessons, skills and methods", rows["items"], "", LEAST_ITEMS, at_least=True).words(),
        Figure("questions in other words", rows["questions"], "", LEAST_QUESTIONS, at_least=True).words(),
    ]
    for name, found in rows.items():
        if not isinstance(found, dict):
            continue
        if "skipped" in found:
            lines.append(f"{name}: not measured. {found['skipped']}")
            continue
        shown = (f"{part} {both['hit@1']:.2f} and {both['hit@5']:.2f}" for part, both in found.items())
        lines.append(f"{name}: hit@1 and hit@5 {', '.join(shown)}")
    return lines


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Everything, as ``--json`` prints it; each part is shown as soon as it is there, unless JSON is wanted."""
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        with Workspace.open(root / "quality") as workspace:
            results["retrieval"] = quality(workspace)
        _show(options, "retrieval", quality_lines(results["retrieval"]))
        if options.no_timing:
            return results
        for size in options.sizes:
            _keep(options, results, f"{size:,} records", timing(root / str(size), size, options.questions))
        title = f"index over {options.rebuild:,} records"
        _keep(options, results, title, rebuild(root / "rebuild", options.rebuild))
    return results


def _keep(
    options: argparse.Namespace, results: dict[str, Any], title: str, figures: Sequence[Figure]
) -> None:
    load = Figure("load average over the last minute", os.getloadavg()[0], f"of {os.cpu_count()}")
    results[title] = [figure.row() for figure in (*figures, load)]
    _show(options, title, [figure.words() for figure in (*figures, load)])


def _show(options: argparse.Namespace, title: str, lines: Sequence[str]) -> None:
    if not options.json:
        print("\n  ".join([title, *lines]), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--sizes", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--questions", type=int, default=60, help="at least 50 for a 95th percentile")
    parser.add_argument("--rebuild", type=int, default=REBUILD)
    parser.add_argument("--no-timing", action="store_true")
    options = parser.parse_args()
    results = measure(options)
    if options.json:
        print(json.dumps(results))


if __name__ == "__main__":
    main()
