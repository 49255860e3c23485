"""When two runs are the same (``contracts.md``): canonical JSON without volatile fields, and the policies' hashes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from experimenter.identity import canonical_json
from experimenter.workspace.store import Workspace

OF_THE_MOMENT = {"training.progress", "check.failed"}
VOLATILE = {"seconds", "wasted_env_steps", "steps_per_second", "created", "updated", "pid", "report", "at"}


def without_volatile(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_volatile(item) for key, item in value.items() if key not in VOLATILE}
    if isinstance(value, list):
        return [without_volatile(item) for item in value]
    return value


def fingerprint(root: Path, run: str) -> dict[str, str]:
    """Everything of a finished run that must not depend on when it was interrupted, by name."""
    with Workspace.open(root, create=False) as workspace:
        found = {
            f"trial:{trial.id}": canonical_json(without_volatile(trial.model_dump(mode="json")))
            for trial in workspace.trials(run)
        }
        documents = workspace.documents(run)
        ledger = workspace.ledger(run).model_dump(mode="json")
    for name in ("plan", "winner", "arm:winner", "arm:native", "comparison:native", "result"):
        if name in documents:
            found[name] = canonical_json(without_volatile(documents[name]))
    found["ledger"] = canonical_json(without_volatile(ledger))
    return found


def repeated_trainings(root: Path, run: str) -> list[str]:
    """Steps that finished more than once, or went on after they had finished."""
    finished: Counter[str] = Counter()
    again: list[str] = []
    with Workspace.open(root, create=False) as workspace:
        for event in workspace.events(run):
            if event.kind == "training.finished":
                finished[event.step] += 1
            if event.kind in ("training.started", "training.progress") and finished[event.step]:
                again.append(event.step)
    return again + [step for step, count in finished.items() if count > 1]


def told_twice(root: Path, run: str) -> list[tuple[str, str]]:
    """Events by kind and step that were written more than once, where a step's own transaction should hold them."""
    with Workspace.open(root, create=False) as workspace:
        told = Counter(
            (event.kind, event.step)
            for event in workspace.events(run)
            if not event.kind.startswith("run.") and event.kind not in OF_THE_MOMENT
        )
    return [event for event, count in told.items() if count > 1]
