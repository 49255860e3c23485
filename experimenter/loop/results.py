"""How a run stands, for whoever asks: also while it goes on, and after its runner was killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from experimenter.envs.records import EnvCard
from experimenter.errors import ExperimenterError, Stopped
from experimenter.loop.faults import error_kind
from experimenter.results import RunResult
from experimenter.workspace.locks import RunLock
from experimenter.workspace.records import CONTROL_OF, RunRecord
from experimenter.workspace.store import Workspace

__all__ = ["own_runs", "raise_failure", "result"]


def result(root: Path, run_id: str) -> RunResult:
    """How the run stands, as one typed object; also of a run that has not finished."""
    with Workspace.open(root, create=False) as workspace:
        record = workspace.run(run_id)
        stored = workspace.document(record.id, "result")
        ledger = workspace.ledger(record.id)
        card = EnvCard.model_validate(workspace.document(record.id, "card"))
        trials = len(workspace.trials(record.id))
        record = _as_it_is(workspace, record)
    base = RunResult.model_validate(stored) if stored else _unfinished(record, card, trials)
    changes: dict[str, Any] = {
        "status": record.status,
        "ledger": ledger,
        "error": record.error,
        "hint": record.hint,
    }
    return base.model_copy(update=changes | {"exit_code": _exit_code(record)})


def own_runs(store: Workspace) -> list[RunRecord]:
    """The runs that a person started, newest first; the twins that serve as random controls are left out."""
    mine = [record for record in store.runs() if store.document(record.id, CONTROL_OF) is None]
    return mine[::-1]


def _as_it_is(workspace: Workspace, record: RunRecord) -> RunRecord:
    """A record that says "running" while no runner holds the lock belongs to a run that was killed."""
    folder = workspace.run_folder(record.id)
    if record.status not in ("running", "paused") or RunLock(folder).holder() is not None:
        return record
    if said := _last_error(folder / "runner.log"):
        hint = f"What was finished is kept. Put that right, then: experimenter resume {record.id}"
        return record.model_copy(
            update={"status": "failed", "error": f"WorkspaceError: {said}", "hint": hint}
        )
    words = {
        "error": "The runner ended without a word; it was killed, or ran out of memory.",
        "status": "stopped",
    }
    hint = f"What was finished is kept. Go on with: experimenter resume {record.id}"
    return record.model_copy(update=words | {"hint": hint})


def _last_error(log: Path) -> str:
    """Why a runner left that could not write it into the run, as on a full disk: the last line of its log."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4_000))
            lines = file.read().decode("utf-8", "replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1].removeprefix("error: ")[:500] if lines and lines[-1].startswith("error: ") else ""


def _unfinished(record: RunRecord, card: EnvCard, trials: int) -> RunResult:
    return RunResult(
        run=record.id,
        status=record.status,
        planner=record.planner,
        judge=card.judge.words,
        environment=card.spec.id,
        wish=record.goal.wish,
        trials=trials,
    )


def _exit_code(record: RunRecord) -> int:
    if record.status == "stopped":
        return Stopped.exit_code
    return error_kind(record.error.partition(":")[0]).exit_code if record.status == "failed" else 0


def raise_failure(found: RunResult) -> None:
    """Raises what made a run fail, as the kind of error that it was; nothing for a run that did not fail."""
    if found.status == "failed":
        name, _, words = found.error.partition(": ")
        raise error_kind(name, ExperimenterError)(words or found.error, found.hint)
