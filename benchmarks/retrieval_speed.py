"""How fast memory answers: what ``retrieval.py`` measures of it, with each limit beside its figure.

python benchmarks/retrieval_speed.py WORKSPACE COUNT scan|index     # one first question in a process of its own
"""

from __future__ import annotations

import gc
import json
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrieval_texts import many_items, many_questions

from experimenter.contracts import VectorStore
from experimenter.records import MemoryItem, MemoryQuery
from experimenter.workspace.store import Workspace
from experimenter_memory.folder import FOLDER
from experimenter_memory.vector import VectorMemory

TOP = 10
# Milliseconds that a question may take, by the number of records.
QUERY_LIMITS = {10_000: 10.0, 100_000: 50.0}
# Records, and the seconds that making their index anew may take.
REBUILD, REBUILD_LIMIT = 5_000, 5.0
WAIT = 3_600.0


@dataclass(frozen=True)
class Figure:
    """One measured figure; ``limit`` is the most that it may be, or the least where ``at_least``."""

    what: str
    value: float
    unit: str
    limit: float | None = None
    at_least: bool = False

    @property
    def holds(self) -> bool | None:
        """Whether the figure keeps its limit; ``None`` where it has none."""
        if self.limit is None:
            return None
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def words(self) -> str:
        """The figure as one line of text."""
        told = f"{self.what:<58} {self.value:>10.5g} {self.unit:<6}"
        if self.limit is None:
            return told.rstrip()
        bound = "at least" if self.at_least else "at most"
        return f"{told} {bound} {self.limit:g}: {'holds' if self.holds else 'MISSED'}"

    def row(self) -> dict[str, Any]:
        """The figure for ``--json``."""
        facts = {"what": self.what, "value": self.value, "unit": self.unit, "limit": self.limit}
        return {**facts, "at_least": self.at_least, "holds": self.holds}


def timing(root: Path, count: int, questions: int) -> list[Figure]:
    """A question by scan and by index over ``count`` records: the first of a process, the others, and agreement."""
    items, asked = many_items(count), many_questions(questions)
    limit = QUERY_LIMITS.get(count)
    with Workspace.open(root) as workspace:
        store = workspace.vector_store("hash")
        scan, index = VectorMemory(index_from=None), VectorMemory(index_from=1)
        embedding, _ = timed(lambda: scan.recall(asked[0], items, store, TOP))
        figures = [Figure("embedding and storing", embedding, "s")]
        by_scan, truth, _ = series(scan, asked, items, store)
        figures += summary("scan", by_scan, limit)
        building, ready = timed(lambda: index.index_ready(store, WAIT))
        figures.append(Figure("making the index, audit included", building, "s"))
        if ready:
            by_index, found, routes = series(index, asked, items, store)
            figures += summary("index", by_index, limit)
            same = sum(a == b for a, b in zip(truth, found, strict=True))
            figures.append(
                Figure("questions that the index answered", routes.count("index"), f"of {questions}")
            )
            figures.append(Figure("same top ten", same, f"of {questions}", questions, at_least=True))
        else:
            figures.append(Figure("questions that the index may answer (audit failed)", 0, f"of {questions}"))
        index.close()
    return figures + [first(root, count, way) for way in ("scan", "index")]


def summary(way: str, took: Sequence[float], limit: float | None) -> list[Figure]:
    """Median and 95th percentile in milliseconds."""
    return [
        Figure(f"a question by {way}, median", statistics.median(took), "ms", limit),
        Figure(f"a question by {way}, 95th percentile", statistics.quantiles(took, n=20)[-1], "ms", limit),
    ]


def series(
    memory: VectorMemory, asked: Sequence[MemoryQuery], items: Sequence[MemoryItem], store: VectorStore
) -> tuple[list[float], list[Any], list[str]]:
    """Milliseconds, answers and routes of each question, after one that is not counted."""
    memory.recall(asked[0], items, store, TOP)
    gc.collect()
    took, found, routes = [], [], []
    for query in asked:
        seconds, answer = timed(lambda query=query: memory.recall(query, items, store, TOP))  # type: ignore[misc]
        took.append(1000 * seconds)
        found.append(answer)
        routes.append(memory.last_route)
    return took, found, routes


def first(root: Path, count: int, way: str) -> Figure:
    """The first question of a fresh process, with everything that it does before it answers."""
    command = [sys.executable, __file__, str(root), str(count), way]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return Figure(
        f"first question of a process, {way} allowed ({told['route']} answered)", told["seconds"], "s"
    )


def first_question(root: Path, count: int, way: str) -> dict[str, Any]:
    """What the process that ``first`` starts measures."""
    items, query = many_items(count), many_questions(1)[0]
    memory = VectorMemory(index_from=1 if way == "index" else None)
    with Workspace.open(root, create=False) as workspace:
        store = workspace.vector_store("hash")
        seconds, _ = timed(lambda: memory.recall(query, items, store, TOP))
    memory.close()
    return {"seconds": seconds, "route": memory.last_route}


def rebuild(root: Path, count: int) -> list[Figure]:
    """From asking for an index whose folder was deleted until it answers again, as a run's process would."""
    items = many_items(count)
    with Workspace.open(root) as workspace:
        store = workspace.vector_store("hash")
        first_memory, again = VectorMemory(index_from=1), VectorMemory(index_from=1)
        first_memory.recall(MemoryQuery(words="warm"), items, store, 1)
        first_memory.index_ready(store, WAIT)
        first_memory.close()
        shutil.rmtree(root / FOLDER)
        before = _spent()
        seconds, ready = timed(lambda: again.index_ready(store, WAIT))
        again.close()
    limit = REBUILD_LIMIT if count == REBUILD else None
    what = "making a deleted index anew" + ("" if ready else " (audit failed)")
    return [Figure(what, seconds, "s", limit), Figure("processor time of it", _spent() - before, "s")]


def _spent() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of wall-clock and the value."""
    began = time.perf_counter()
    value = work()
    return time.perf_counter() - began, value


if __name__ == "__main__":
    print(json.dumps(first_question(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])))
