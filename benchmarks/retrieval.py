"""How well memory finds what is asked for in other words, and how fast: prints what docs/memory.md quotes.

python benchmarks/retrieval.py [--json] [--sizes 10000 100000] [--rebuild 5000] [--no-timing]

The texts and the questions are ours (``retrieval_items.tsv``, ``retrieval_queries.tsv``). Half of the questions are
held out: nothing was tuned on them. No question names an environment, and all weights are equal, so only meaning is
measured.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experimenter.contracts import Memory, VectorStore
from experimenter.errors import ExperimenterError
from experimenter.knowledge import lesson_items, method_items, skill_items
from experimenter.records import EnvSpec, Interval, Lesson, MemoryItem, MemoryQuery, Method, PolicyRef, Skill
from experimenter.workspace.store import Workspace
from experimenter_memory.folder import FOLDER
from experimenter_memory.lexical import LexicalMemory
from experimenter_memory.vector import VectorMemory

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Question:
    held: bool
    answer: str
    words: str


def read_items(path: Path = HERE / "retrieval_items.tsv") -> tuple[MemoryItem, ...]:
    """The benchmark's lessons, skills and methods, as the kernel makes items of them, all of weight 1."""
    rows = [line.split("\t") for line in path.read_text().splitlines() if not line.startswith("#")]
    made = [_item(number, *row) for number, row in enumerate(rows)]
    return tuple(item.model_copy(update={"weight": 1.0}) for item in made)


def _item(number: int, kind: str, environment: str, text: str) -> MemoryItem:
    if kind == "lesson":
        lesson = Lesson(
            id=str(number), sentence=text, environment=environment, lever="reward", trials=("b/t",)
        )
        return lesson_items([lesson])[0]
    name, _, rest = text.partition(": ")
    if kind == "skill":
        return skill_items([_skill(name, rest, EnvSpec(id=environment))])[0]
    what, _, when = rest.partition(". Use it ")
    method = Method(name=name, description=what, kind="reward", when=f"Use it {when}", hook="a:B")
    return method_items([method])[0]


def _skill(name: str, description: str, where: EnvSpec) -> Skill:
    return Skill(
        name=name,
        description=description,
        environment=where,
        environment_hash=where.hash,
        policy=PolicyRef(path=f"skills/{name}", hash="0" * 32, lineage_steps=1),
        judge="return",
        score=Interval(iqm=1, low=1, high=1, seeds=5),
    )


def read_questions(
    items: Sequence[MemoryItem], path: Path = HERE / "retrieval_queries.tsv"
) -> tuple[Question, ...]:
    """The questions with the id of the one item that answers each."""
    rows = [line.split("\t") for line in path.read_text().splitlines() if not line.startswith("#")]
    return tuple(Question(part == "held", _answer(items, begins), words) for part, begins, words in rows)


def _answer(items: Sequence[MemoryItem], begins: str) -> str:
    (found,) = (
        item.id for item in items if item.text.startswith(begins) or item.id.partition(":")[2] == begins
    )
    return found


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
    rows["hash"] = hits(VectorMemory(), workspace.vector_store("hash"), items, questions)
    rows["lexical"] = hits(LexicalMemory(), workspace.vector_store("hash"), items, questions)
    try:
        rows["minilm"] = hits(VectorMemory(), workspace.vector_store("minilm"), items, questions)
    except ExperimenterError as absent:
        rows["minilm"] = {"skipped": str(absent)}
    return rows


def many_items(count: int, seed: int = 0) -> tuple[MemoryItem, ...]:
    """``count`` sentences, each joined from parts of three of the benchmark's own, over 60 environments."""
    rng = random.Random(seed)
    words = [item.text.split() for item in read_items()]
    made = []
    for number in range(count):
        text = " ".join(" ".join(_six(rng.choice(words), rng)) for _ in range(3))
        where = EnvSpec(id=f"Task{rng.randrange(60)}-v0")
        name, weight = f"lesson:{number}", rng.uniform(0.1, 1)
        made.append(MemoryItem(id=name, kind="lesson", text=f"{text} {number}", spec=where, weight=weight))
    return tuple(made)


def _six(words: Sequence[str], rng: random.Random) -> Sequence[str]:
    start = rng.randrange(max(1, len(words) - 5))
    return words[start : start + 6]


def many_questions(count: int, seed: int = 1) -> tuple[MemoryQuery, ...]:
    """Short questions in the benchmark's words; every second one names an environment."""
    rng = random.Random(seed)
    words = [word for item in read_items() for word in item.text.split()]
    places = (None, EnvSpec(id="Task7-v0"))
    return tuple(
        MemoryQuery(words=" ".join(rng.choices(words, k=rng.randint(2, 10))), environment=places[i % 2])
        for i in range(count)
    )


def timing(root: Path, count: int, questions: int = 40) -> dict[str, Any]:
    """Milliseconds a query takes by scan and by index over ``count`` records, and whether both agree."""
    items, asked = many_items(count), many_questions(questions)
    with Workspace.open(root) as workspace:
        store = workspace.vector_store("hash")
        scan, index = VectorMemory(index_from=None), VectorMemory(index_from=1)
        embedding, _ = _timed(lambda: scan.recall(asked[0], items, store, 10))
        building, ready = _timed(lambda: index.index_ready(store, 1800))
        index.recall(asked[0], items, store, 10)
        rows: dict[str, Any] = {"embed and store s": round(embedding, 2), "build index s": round(building, 2)}
        by_scan, truth = _series(scan, asked, items, store)
        rows["scan ms"] = by_scan
        rows["index used"] = ready
        if ready:
            by_index, found = _series(index, asked, items, store)
            rows["index ms"] = by_index
            rows["same top ten"] = f"{sum(a == b for a, b in zip(truth, found, strict=True))}/{questions}"
        index.close()
    cold = VectorMemory(index_from=None)
    with Workspace.open(root) as workspace:
        store = workspace.vector_store("hash")
        rows["first scan of a process s"] = round(
            _timed(lambda: cold.recall(asked[0], items, store, 10))[0], 2
        )
    return rows


def _series(
    memory: VectorMemory, asked: Sequence[MemoryQuery], items: Sequence[MemoryItem], store: VectorStore
) -> tuple[dict[str, float], list[Any]]:
    took, found = [], []
    for query in asked:
        seconds, answer = _timed(lambda query=query: memory.recall(query, items, store, 10))  # type: ignore[misc]
        took.append(1000 * seconds)
        found.append(answer)
    return {"median": round(statistics.median(took), 2), "worst": round(max(took), 2)}, found


def rebuild(root: Path, count: int) -> dict[str, Any]:
    """Seconds until an index over ``count`` records answers again after its folder was deleted."""
    import shutil

    items = many_items(count)
    with Workspace.open(root) as workspace:
        store = workspace.vector_store("hash")
        first = VectorMemory(index_from=1)
        first.recall(MemoryQuery(words="warm"), items, store, 1)
        first.index_ready(store, 600)
        first.close()
        shutil.rmtree(root / FOLDER)
        again = VectorMemory(index_from=1)
        seconds, ready = _timed(lambda: again.index_ready(store, 600))
        again.close()
    return {"records": count, "seconds": round(seconds, 2), "index used": ready}


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    value = work()
    return time.perf_counter() - began, value


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--sizes", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--rebuild", type=int, default=5_000)
    parser.add_argument("--no-timing", action="store_true")
    options = parser.parse_args()
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        with Workspace.open(Path(folder) / "quality") as workspace:
            results["retrieval"] = quality(workspace)
        if not options.no_timing:
            results["load average"] = round(os.getloadavg()[0], 1)
            for size in options.sizes:
                results[f"{size} records"] = timing(Path(folder) / str(size), size)
            results["rebuild"] = rebuild(Path(folder) / "rebuild", options.rebuild)
    if options.json:
        print(json.dumps(results))
        return
    for title, rows in results.items():
        print(f"{title}: {rows}" if not isinstance(rows, dict) else title, file=sys.stdout)
        for name, value in rows.items() if isinstance(rows, dict) else ():
            print(f"  {name}: {value}")


if __name__ == "__main__":
    main()
