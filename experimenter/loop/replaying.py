"""Replays: what a run left is copied into the run that takes its decisions again, which then needs nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from experimenter.errors import ConfigError, NotFound
from experimenter.identity import step_id
from experimenter.loop.devices import DOCUMENT as DEVICE
from experimenter.loop.vectors import VECTOR
from experimenter.planners.archive import Archive, ArchivedExchange, read_archive
from experimenter.records import Json
from experimenter.workspace.records import RunRecord
from experimenter.workspace.store import Workspace

__all__ = ["ARCHIVE", "archive_of", "differences", "find_archive", "replayed_recall", "stored_archive"]

ARCHIVE: Final = "replayed"


def archive_of(workspace: Workspace, run: str) -> Archive:
    """Everything that a run's decisions hang on. Raises NotFound for no such run."""
    record = workspace.run(run)
    return Archive(
        run=record.id,
        goal=record.goal,
        planner=record.planner,
        settings=_telling(record.settings),
        versions=record.versions,
        exchanges=tuple(
            ArchivedExchange(kind=one.kind, question=one.question, answer=one.answer, usage=one.usage)
            for one in workspace.exchanges(record.id)
        ),
        recalls=_recalls(workspace, record.id),
        vector=workspace.document(record.id, VECTOR),
        device=workspace.document(record.id, DEVICE),
        calls=workspace.calls(record.id),
    )


def find_archive(workspace: Workspace, name: str) -> Archive:
    """Of a run of this workspace, or out of a file. Raises ConfigError and NotFound."""
    if not name:
        raise ConfigError("The replay names no run.", "Write --planner replay:RUN, or replay:FILE.")
    path = Path(name).expanduser()
    if path.suffix or path.is_file():
        return read_archive(path)
    found = archive_of(workspace, name)
    if not found.exchanges:
        raise NotFound(
            f"The run {found.run} asked nothing, so there is nothing to replay.", "Choose another."
        )
    return found


def stored_archive(workspace: Workspace, run: str) -> Archive | None:
    """What this run replays, if it does."""
    stored = workspace.document(run, ARCHIVE)
    return None if stored is None else Archive.model_validate(stored)


def replayed_recall(workspace: Workspace, run: str, cycle: int) -> Json:
    """What memory gave the replayed run in this cycle; ``None`` where the run is no replay, or has gone further."""
    found = stored_archive(workspace, run)
    return found.recalls[cycle] if found is not None and cycle < len(found.recalls) else None


def differences(archive: Archive, record: RunRecord) -> tuple[str, ...]:
    """What would lead the replay elsewhere, in words: it then ends at the first question that was never asked."""
    then, now = archive.goal.model_dump(mode="json"), record.goal.model_dump(mode="json")
    found = [(f"the goal's {key}", then.get(key), now[key]) for key in now]
    before, after = archive.settings, _telling(record.settings)
    found += [(key, before.get(key), after[key]) for key in after if key in before]
    return tuple(f"{what} was {old!r} and is {new!r}" for what, old, new in found if old != new)


def _recalls(workspace: Workspace, run: str) -> tuple[Json, ...]:
    found: list[Any] = []
    while (stored := workspace.step(step_id(run=run, cycle=len(found), kind="recall", index=0))) is not None:
        found.append(stored)
    return tuple(found)


_TELLING: Final = (
    "curriculum", "confirm_seeds", "max_repairs", "designs", "algorithm", "early_stopping", "chunk_steps", "card_steps",
    "eval_episodes", "success_test",
)  # fmt: skip


def _telling(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings that decisions hang on; folders, keys' names and memory are left out."""
    return {name: settings[name] for name in _TELLING if name in settings}
