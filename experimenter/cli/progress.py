"""What a run is doing, folded from its events: pure, so that any face can show it and a test can check it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from experimenter.cli.waiting import Waiting, waiting_after
from experimenter.report.lines import number, percent
from experimenter.report.text import clip, safe_text

__all__ = ["Progress", "RunningTraining", "event_words"]

_NEXT: Final = {
    "run.created": "starting",
    "run.started": "recall",
    "run.resumed": "resuming",
    "recall.finished": "propose",
    "propose.finished": "design",
    "design.finished": "check",
    "check.failed": "design",
    "check.finished": "train",
    "training.started": "train",
    "training.progress": "train",
    "training.finished": "train",
    "rung.finished": "judge",
    "judge.finished": "diagnose",
    "diagnose.finished": "reflect",
    "reflect.finished": "remember",
    "remember.finished": "decide",
    "decide.finished": "recall",
    "confirm.started": "confirm",
    "confirm.finished": "controls",
    "control.finished": "controls",
    "verdict.finished": "verdict",
    "run.paused": "paused",
    "run.stopped": "stopped",
    "run.finished": "finished",
    "run.failed": "failed",
}
_AFTER_SEARCH: Final = ("confirm", "controls", "verdict")
_UNSAID: Final = ("v", "hash", "step", "policy", "cycle", "role", "pid", "sentence")
_PLAIN: Final = ("seed", "rung", "seeds")
_SILENT: Final = ("training.progress", "training.started", "model.asked")
_SENTENCES: Final = ("note", "model.answered")


@dataclass(slots=True)
class RunningTraining:
    """One training in progress; steps of single sub-environments."""

    label: str
    steps: int = 0
    until: int = 0
    true_return: float | None = None
    steps_per_second: float | None = None


@dataclass(slots=True)
class Progress:
    """The stop of the loop, the trainings that run, the last thing worth saying, and the question still open."""

    stop: str = "starting"
    trainings: dict[str, RunningTraining] = field(default_factory=dict)
    words: str = ""
    waiting: Waiting | None = None

    def fold(self, kind: str, step: str, data: Mapping[str, Any], at: str = "") -> None:
        """Takes in one event, of the time ``at``. Unknown kinds change nothing; missing fields are left out."""
        self.waiting = waiting_after(self.waiting, kind, data, at)
        if kind in ("training.started", "training.progress"):
            self._running(step, data)
        elif kind == "training.finished":
            self.trainings.pop(_key(step, data), None)
        elif kind in ("rung.finished", "confirm.finished", "control.finished") or kind.startswith("run."):
            self.trainings.clear()
        if not (kind.startswith("training.") and self.stop in _AFTER_SEARCH):
            self.stop = _NEXT.get(kind, self.stop)
        words = event_words(kind, data)
        self.words = words or self.words

    def _running(self, step: str, data: Mapping[str, Any]) -> None:
        key = _key(step, data)
        label = " ".join(clip(data[k], 24) for k in ("trial", "design") if data.get(k))
        seed = data.get("seed")
        default = RunningTraining(label if seed is None else f"{label} seed {safe_text(seed)}")
        training = self.trainings.setdefault(key, default)
        training.steps = _whole(data.get("steps"), training.steps)
        training.until = _whole(data.get("until"), training.until)
        training.true_return = _real(data.get("true_return"), training.true_return)
        training.steps_per_second = _real(data.get("steps_per_second"), training.steps_per_second)


def event_words(kind: str, data: Mapping[str, Any]) -> str:
    """One line for an event, or nothing where it is not worth one."""
    if kind in _SILENT:
        return ""
    if kind in _SENTENCES and data.get("words"):
        return safe_text(data["words"])
    if kind == "note":
        return ""
    details = [
        f"{name.replace('_', ' ')} {_detail(name, value)}"
        for name, value in data.items()
        if _worth(name, value)
    ]
    if data.get("words"):
        details = [safe_text(data["words"])]
    return f"{kind.replace('.', ' ')}{': ' if details else ''}{', '.join(details[:6])}"


def _worth(name: str, value: object) -> bool:
    return isinstance(value, (str, int, float)) and value != "" and name not in _UNSAID


def _detail(name: str, value: Any) -> str:
    if isinstance(value, (bool, str)) or name in _PLAIN:
        return clip(value, 90)
    return percent(value) if name == "success_rate" else number(float(value))


def _key(step: str, data: Mapping[str, Any]) -> str:
    return step or "/".join(str(data.get(k, "")) for k in ("trial", "design", "seed"))


def _whole(value: object, otherwise: int) -> int:
    return int(value) if isinstance(value, (int, float)) else otherwise


def _real(value: object, otherwise: float | None) -> float | None:
    return float(value) if isinstance(value, (int, float)) else otherwise
