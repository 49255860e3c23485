"""Waiting for a planner that is elsewhere: a model's service, or a person. Pure, so that every face says the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from experimenter.report.lines import duration
from experimenter.report.text import clip

__all__ = ["Waiting", "waiting_after"]

_WIDTH: Final = 48
_MODELS: Final = "llm"
_OVER: Final = ("model.answered", "run.started", "run.resumed", "run.stopped", "run.finished", "run.failed")


@dataclass(frozen=True, slots=True)
class Waiting:
    """A question that was asked at ``since`` (ISO 8601, UTC) and not answered yet.

    ``who`` is asked: a model as ``provider:model``, or else a planner by its name.
    """

    who: str
    kind: str
    since: str

    def words(self, now: datetime) -> str:
        """Who is waited for, what was asked, and for how long by now."""
        model = ":" in self.who or self.who == _MODELS
        named = "" if self.who == _MODELS else clip(self.who, _WIDTH)
        about = ", ".join(part for part in (named, clip(self.kind, _WIDTH)) if part)
        begun = _time(self.since)
        waited = f" {duration(max(0.0, (now - begun).total_seconds()))}" if begun else ""
        return f"waiting for {'the model' if model else 'an answer'}{f' ({about})' if about else ''}{waited}"


def waiting_after(before: Waiting | None, kind: str, data: Mapping[str, Any], at: str = "") -> Waiting | None:
    """What is waited for after an event: the last question, until it is answered, or its runner ends or is another."""
    if kind == "model.asked":
        who = data.get("model") or data.get("planner") or _MODELS
        return Waiting(str(who), str(data.get("kind") or ""), at)
    return None if kind in _OVER else before


def _time(at: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(at)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
