"""Memory from Python: what earlier runs learned, found by meaning, carried to other workspaces, forgotten."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Final

from experimenter.config import Settings
from experimenter.records import EnvSpec, Lesson, MemoryItem, Recalled, Testimony
from experimenter.workspace.store import Workspace

__all__ = ["LabMemory"]

_ALL: Final = ("lesson", "skill", "method")


class LabMemory:
    """The memory of one workspace, searched by the plug-in and the embedder that the settings name.

    ``environment`` is where what is found would be used. Every method raises NotFound where there is no workspace
    (``load`` makes one), and WorkspaceError where it is damaged.
    """

    def __init__(self, workspace: Path, settings: Settings, environment: EnvSpec | None = None) -> None:
        self._root, self._settings, self._environment = workspace, settings, environment

    def search(
        self, words: str, *, limit: int = 10, kinds: Collection[str] = _ALL, anywhere: bool = False
    ) -> tuple[Recalled, ...]:
        """Up to ``limit`` items, best first, by meaning, evidence, and nearness to the laboratory's environment.

        ``kinds`` are out of ``lesson``, ``skill`` and ``method``; ``anywhere`` leaves the environment out of it.
        Raises UsageError for an unknown kind.
        """
        from experimenter.loop import memory

        where = None if anywhere else self._environment
        with self._open() as store:
            return memory.search(store, self._settings, words, where, kinds=kinds, limit=limit)

    def items(self, kinds: Collection[str] = _ALL) -> tuple[MemoryItem, ...]:
        """Everything that ``search`` can find, with the weight of its evidence, 0 to 1."""
        from experimenter.loop import memory

        with self._open() as store:
            return memory.items(store, kinds)

    def lessons(self) -> tuple[Lesson, ...]:
        """Every lesson, the oldest first."""
        with self._open() as store:
            return store.lessons()

    def testimonies(self, lesson: str) -> tuple[Testimony, ...]:
        """What later trials said about the lesson of that id, the oldest first; empty where none did."""
        with self._open() as store:
            return tuple(one for one in store.testimonies() if one.lesson == lesson.removeprefix("lesson:"))

    def forget(self, item: str) -> MemoryItem:
        """Forgets a lesson or a skill's record with its vectors, and returns what it was; a skill's folder stays.

        ``item`` is an id, with or without its kind, or a unique beginning of one. Raises NotFound (with
        did-you-mean), and UsageError for a method.
        """
        from experimenter.loop import memory

        with self._open() as store:
            return memory.forget(store, item)

    def export(self, path: str | Path) -> int:
        """Writes every lesson with its testimonies as a line of JSON; returns how many lessons there were."""
        from experimenter.loop import memory

        with self._open() as store:
            return memory.export_lessons(store, Path(path))

    def load(self, path: str | Path) -> int:
        """Takes in what ``export`` wrote elsewhere, all of it or nothing; returns how many lessons were new.

        Raises UsageError, naming the lines at fault, for anything else, and where a lesson differs from one here.
        """
        from experimenter.loop import memory

        return memory.import_lessons(self._root, Path(path)).new_lessons

    def reindex(self) -> int:
        """Makes every vector and the index anew; returns how many items there are."""
        from experimenter.loop import memory

        with self._open() as store:
            return memory.reindex(store, self._settings)

    def _open(self) -> Workspace:
        return Workspace.open(self._root, create=False)
