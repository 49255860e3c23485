"""What ``retrieval.py`` searches and asks: the texts and questions of its two files, and as many more as wanted."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from experimenter.knowledge import lesson_items, method_items, skill_items
from experimenter.records import EnvSpec, Interval, Lesson, MemoryItem, MemoryQuery, Method, PolicyRef, Skill

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
