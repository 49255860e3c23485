"""What a model's check found: shares with intervals, what makes a planner weak, and where the workspace keeps it.

One file for each model, replaced by the next check. A file that is damaged is as good as none.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Final, Literal

from pydantic import Field, ValidationError

from experimenter.identity import digest, slug
from experimenter.judge.statistics import proportion
from experimenter.planners.llm.exam import curves, trajectories
from experimenter.planners.llm.exam.identity import VERSION
from experimenter.planners.llm.model import ModelName
from experimenter.records import Record
from experimenter.report.lines import percent
from experimenter.workspace.files import write_atomic

__all__ = [
    "CHANCE",
    "FEWEST_GOOD",
    "WHAT",
    "Qualification",
    "Section",
    "SectionName",
    "interval_words",
    "load_qualification",
    "path_of",
    "section_of",
    "share_words",
    "store_qualification",
    "warning_for",
]

SectionName = Literal["configurations", "rewards", "curves", "rankings"]

WHAT: Final[dict[SectionName, str]] = {
    "configurations": "valid configurations",
    "rewards": "programs that run",
    "curves": "learning curves read",
    "rankings": "trajectories ranked",
}

FEWEST_GOOD: Final = 0.5
"""A planner is weak when less than this share of its configurations, or of its reward programs, can be used."""

CHANCE: Final[dict[SectionName, float]] = {"curves": curves.CHANCE, "rankings": trajectories.CHANCE}
"""A planner is weak when the lower end of its interval does not lie above what guessing gets."""

_LARGEST: Final = 1_000_000


class Section(Record):
    """One kind of question. ``low`` and ``high``: Wilson's 95 % interval of the share that was right.

    ``first`` counts, among the right ones, those that needed no repair turn; ``beside`` is the share that the search
    planner gets on the same questions, where it answers them.
    """

    name: SectionName
    asked: int = Field(ge=1)
    right: int = Field(ge=0)
    first: int | None = None
    unanswered: int = 0
    low: float
    high: float
    beside: float | None = None

    @property
    def share(self) -> float:
        return self.right / self.asked

    @property
    def weakness(self) -> str:
        """In words what is weak here; empty where nothing is."""
        chance = CHANCE.get(self.name)
        if chance is None:
            return f"{WHAT[self.name]}: {share_words(self)}" if self.share < FEWEST_GOOD else ""
        if self.low > chance:
            return ""
        return (
            f"{WHAT[self.name]}: {share_words(self)}, not surely more than the {percent(chance)} of guessing"
        )


class Qualification(Record):
    """The result of one check. ``exam`` and ``questions`` say which set of questions it was.

    ``input_tokens``, ``output_tokens`` and ``dollars`` are ``None`` where the service did not count, or nobody knows
    the price. ``date`` is UTC, ``seconds`` are those of the asking and of trying the programs.
    """

    model: str
    served_as: tuple[str, ...] = ()
    date: str
    exam: int
    questions: str
    seed: int = 0
    environments: tuple[str, ...] = ()
    sections: tuple[Section, ...]
    calls: int = 0
    input_tokens: int | None = None
    output_tokens: int | None = None
    dollars: float | None = None
    seconds: float = 0.0

    @property
    def weaknesses(self) -> tuple[str, ...]:
        return tuple(filter(None, (one.weakness for one in self.sections)))

    @property
    def verdict(self) -> Literal["weak", "fine"]:
        return "weak" if self.weaknesses else "fine"


def section_of(
    name: SectionName,
    asked: int,
    right: int,
    first: int | None = None,
    unanswered: int = 0,
    beside: float | None = None,
) -> Section:
    """A section with its interval. Raises UsageError where nothing was asked."""
    found = proportion(right, asked)
    return Section(
        name=name, asked=asked, right=right, first=first, unanswered=unanswered, low=found.low, high=found.high,
        beside=beside,
    )  # fmt: skip


def share_words(one: Section) -> str:
    return f"{one.right} of {one.asked} ({percent(one.share)}, {interval_words(one)})"


def interval_words(one: Section) -> str:
    return f"{100 * one.low:.0f} to {percent(one.high)}"


def path_of(root: Path, model: ModelName | str) -> Path:
    """Where a model's qualification is kept: readable, and distinct for names that read alike."""
    name = str(model)
    return root / "models" / f"{slug(name, 'model')}-{digest(name)[:8]}.json"


def store_qualification(root: Path, found: Qualification) -> Path:
    """Writes it whole, in place of an older one. Raises WorkspaceError."""
    path = path_of(root, found.model)
    write_atomic(path, found.model_dump_json(indent=2) + "\n")
    return path


def load_qualification(root: Path, model: ModelName | str) -> Qualification | None:
    """The model's last check, or ``None`` where there is none that can be read."""
    path = path_of(root, model)
    try:
        if path.stat().st_size > _LARGEST:
            return None
        found = Qualification.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
    return found if found.model == str(model) else None


def warning_for(root: Path, model: ModelName | str) -> str:
    """What is said at the beginning of a run that asks this model; empty where there is nothing to say.

    A weak model is warned about with its figures, because in EnvGen (arXiv 2403.12014) one did worse than none. A
    script whose answers were never checked is no model, and nothing is said about it.
    """
    found, name = load_qualification(root, model), str(model)
    how = f"experimenter models check {shlex.quote(name)}"
    if found is None:
        return "" if name.startswith("scripted:") else f"{name} was not checked; see how it does: {how}"
    if found.exam != VERSION:
        return f"{name} was checked with other questions than today's; see how it does: {how}"
    if found.verdict == "fine":
        return ""
    return (
        f"{name} is a weak planner by its check of {found.date[:10]}: {'; '.join(found.weaknesses)}. A weak model has"
        " been worse than none (EnvGen: 21.5 with it, 26.4 without), so take another, or --planner search."
    )
