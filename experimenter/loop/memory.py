"""What a person does with memory outside any run: search, look behind an item, carry lessons about, forget.

The workspace holds the truth; what finds it is the memory that the settings name, with vectors of their embedder.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from experimenter import plugins
from experimenter.config import Settings
from experimenter.contracts import Memory
from experimenter.errors import NotFound, UsageError, did_you_mean
from experimenter.knowledge import memory_items
from experimenter.methods import methods
from experimenter.records import (
    EnvSpec,
    Lesson,
    MemoryItem,
    MemoryQuery,
    Method,
    Recalled,
    Skill,
    Testimony,
)
from experimenter.workspace.files import write_atomic
from experimenter.workspace.lines import lesson_lines, read_lesson_lines
from experimenter.workspace.store import Workspace

__all__ = [
    "KINDS",
    "Evidence",
    "TakenIn",
    "evidence",
    "export_lessons",
    "find",
    "forget",
    "import_lessons",
    "items",
    "lines",
    "reindex",
    "search",
]

T = TypeVar("T")
KINDS: Final = ("lesson", "skill", "method")


@dataclass(frozen=True, slots=True)
class Evidence:
    """The record behind one item: a lesson with what was testified about it, a skill, or a method."""

    lesson: Lesson | None = None
    testimonies: tuple[Testimony, ...] = ()
    skill: Skill | None = None
    method: Method | None = None


@dataclass(frozen=True, slots=True)
class TakenIn:
    """What came of a file of lessons: its lines, the lessons among them, those new here, all rows that changed."""

    lines: int
    lessons: int
    new_lessons: int
    changes: int


def items(store: Workspace, kinds: Collection[str] = KINDS) -> tuple[MemoryItem, ...]:
    """Everything of these kinds that memory can find. Raises UsageError for an unknown kind."""
    for kind in kinds:
        if kind not in KINDS:
            hint = did_you_mean(kind, KINDS) or f"Memory holds: {', '.join(KINDS)}."
            raise UsageError(f"Memory holds nothing of the kind {kind[:40]!r}.", hint)
    found = memory_items(store.lessons(), store.testimonies(), store.skills(), methods())
    return tuple(item for item in found if item.kind in kinds)


def search(
    store: Workspace,
    settings: Settings,
    words: str,
    environment: EnvSpec | None = None,
    *,
    kinds: Collection[str] = KINDS,
    limit: int = 10,
) -> tuple[Recalled, ...]:
    """Up to ``limit`` items, best first, by meaning, nearness to ``environment`` and evidence."""
    if limit < 1:
        raise UsageError("The number of results must be at least 1.", "Leave the limit out for ten.")
    query = MemoryQuery(words=words, environment=environment)
    vectors = store.vector_store(settings.embedder)
    return _memory(settings).recall(query, items(store, kinds), vectors, limit)


def find(store: Workspace, words: str) -> MemoryItem:
    """The item of that id, with or without its kind, or of that unique beginning. Raises NotFound."""
    known = items(store)
    exact = [item for item in known if words in _names(item)]
    alike = [item for item in known if words and any(name.startswith(words) for name in _names(item))]
    for match in (exact, alike):
        if len(match) == 1:
            return match[0]
        if match:
            some = ", ".join(item.id for item in match[:5])
            raise NotFound(f"{words} means {len(match)} items.", f"Which of {some}?")
    hint = (
        did_you_mean(words, [item.id for item in known]) or "See all of them with: experimenter memory list."
    )
    raise NotFound(f"Memory holds nothing named {words}.", hint)


def evidence(store: Workspace, item: MemoryItem) -> Evidence:
    """What the item rests on."""
    name = item.id.partition(":")[2]
    if item.kind == "lesson":
        told = tuple(one for one in store.testimonies() if one.lesson == name)
        return Evidence(lesson=_by("id", name, store.lessons()), testimonies=told)
    if item.kind == "skill":
        return Evidence(skill=_by("name", name, store.skills()))
    return Evidence(method=_by("name", name, methods()))


def reindex(store: Workspace, settings: Settings) -> int:
    """Makes every vector and the index anew; returns how many items there are."""
    return _memory(settings).reindex(items(store), store.vector_store(settings.embedder))


def forget(store: Workspace, words: str) -> MemoryItem:
    """Forgets a lesson, or what is known of a skill, and returns it; a skill's folder stays.

    Raises NotFound, and UsageError for a method, which came with a plug-in.
    """
    item = find(store, words)
    name = item.id.partition(":")[2]
    if item.kind == "method":
        raise UsageError(f"{item.id} came with a plug-in.", "Uninstall the package that brought it.")
    if item.kind == "lesson":
        store.forget_lesson(name)
    else:
        store.forget_skill(name)
    return item


def lines(store: Workspace) -> tuple[str, ...]:
    """Every lesson with its testimonies as one line of JSON."""
    return tuple(lesson_lines(store.lessons(), store.testimonies()))


def export_lessons(store: Workspace, path: Path) -> int:
    """Writes ``lines`` to a file; returns how many there are. Raises WorkspaceError where it cannot be written."""
    told = lines(store)
    write_atomic(path.expanduser().absolute(), "".join(f"{line}\n" for line in told))
    return len(told)


def import_lessons(root: Path, path: Path) -> TakenIn:
    """Takes in all of a file that ``export_lessons`` wrote, or nothing; the workspace is made where there is none.

    Raises UsageError, with the lines at fault, for a file that is none, and where something else is known already.
    """
    read = read_lesson_lines(path.expanduser())
    with Workspace.open(root) as store:
        before = {lesson.id for lesson in store.lessons()}
        told = [one for line in read for one in line.testimonies]
        changes = store.add_lessons([line.lesson for line in read], told)
    ids = {line.lesson.id for line in read}
    return TakenIn(len(read), len(ids), len(ids - before), changes)


def _memory(settings: Settings) -> Memory:
    memory: Memory = plugins.load("memories", settings.memory_plugin)()
    return memory


def _names(item: MemoryItem) -> tuple[str, str]:
    return item.id, item.id.partition(":")[2]


def _by(field: str, name: str, records: Sequence[T]) -> T:
    return next(one for one in records if getattr(one, field) == name)
