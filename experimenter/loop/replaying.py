"""Replays: what a run left is copied into the run that takes its decisions again, which then needs nothing else."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any, Final

from experimenter.envs.vectors.kinds import Choice
from experimenter.errors import ConfigError, NotFound
from experimenter.identity import step_id
from experimenter.loop.commands import budget_words
from experimenter.loop.devices import DOCUMENT as DEVICE
from experimenter.loop.vectors import VECTOR
from experimenter.planners.archive import Archive, ArchivedAnswer, ArchivedExchange, read_archive
from experimenter.planners.llm.notes import as_file
from experimenter.records import Json, Recollection
from experimenter.workspace.records import RunRecord
from experimenter.workspace.store import Workspace

__all__ = [
    "ARCHIVE",
    "NO_WORDS",
    "archive_of",
    "differences",
    "find_archive",
    "replayed_recall",
    "stored_archive",
]

ARCHIVE: Final = "replayed"
NO_WORDS: Final = "the planner cannot be asked any more"
"""How a search ends whose budget pays no further call."""


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
            ArchivedExchange(
                kind=one.kind,
                question=one.question,
                answer=ArchivedAnswer.model_validate(one.answer),
                usage=one.usage,
            )
            for one in workspace.exchanges(record.id)
        ),
        recalls=_recalls(workspace, record.id),
        vector=workspace.document(record.id, VECTOR),
        device=workspace.document(record.id, DEVICE),
        calls=workspace.calls(record.id) or _calls_before(workspace, record.id),
        words_spent=_words_spent(workspace, record.id),
    )


def _calls_before(workspace: Workspace, run: str) -> tuple[Json, ...]:
    """Of the run that this one replays, which itself asked nobody."""
    before = stored_archive(workspace, run)
    return () if before is None else before.calls


def _words_spent(workspace: Workspace, run: str) -> dict[str, str]:
    """Why no model could be asked any more, by the cycle whose decision ended the search for it."""
    stored = workspace.document(run, "plan")
    epochs = int(stored.get("epoch", 0)) + 1 if isinstance(stored, dict) else 1
    found: dict[str, str] = {}
    for cycle in range(len(_recalls(workspace, run))):
        for epoch in range(epochs):
            decided = workspace.step(step_id(run=run, cycle=cycle, kind="decide", index=epoch))
            why = decided["ended"] if decided else ""
            if why.startswith(NO_WORDS):
                found[str(cycle)] = why.removeprefix(f"{NO_WORDS}: ")
    return found


def find_archive(workspace: Workspace, name: str) -> Archive:
    """Of a run of this workspace, or out of a file. Raises ConfigError and NotFound."""
    if not name:
        raise ConfigError("The replay names no run.", "Write --planner replay:RUN, or replay:FILE.")
    path = as_file(name)
    if path is not None:
        return _checked(read_archive(path), path)
    found = archive_of(workspace, name)
    if not found.exchanges:
        raise NotFound(
            f"The run {found.run} asked nothing, so there is nothing to replay.", "Choose another."
        )
    return found


def _checked(archive: Archive, path: Path) -> Archive:
    """What the loop will read of a file that a stranger may have written. Raises ConfigError."""
    try:
        for recalled in archive.recalls:
            found = Recollection.model_validate(
                {"lessons": recalled} if isinstance(recalled, list) else recalled
            )
            if any(not _inside(skill.policy.path) for skill in found.skills):
                raise ValueError("a skill's policy lies outside of the workspace")
        if archive.vector is not None:
            Choice.model_validate(archive.vector)
    except ValueError as cause:
        raise ConfigError(f"The archive {path} is damaged.", f"{cause}".splitlines()[0]) from cause
    return archive


def _inside(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return not path.startswith("/") and ".." not in parts


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
    found = [(f"the goal's {key}", then.get(key), now[key]) for key in now if key != "budget"]
    found.append(("the budget", budget_words(archive.goal.budget), budget_words(record.goal.budget)))
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
