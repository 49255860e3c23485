"""What a run leaves for those who want to take its decisions again: every exchange, and what else decisions hang on.

An archive is a record that can be written into a file and published with a study. It holds no key, and no path but that
of a script where the model followed one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from experimenter.errors import ConfigError
from experimenter.planners.asked import written_id
from experimenter.records import Goal, Json, Record

__all__ = ["Archive", "ArchivedAnswer", "ArchivedExchange", "read_archive"]

MOST_BYTES: Final = 512 * 1024 * 1024


class ArchivedAnswer(BaseModel):
    """An answer as the workspace keeps it: the record's JSON, and whether it is a refusal."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    refused: bool
    answer: dict[str, Any]


class ArchivedExchange(Record):
    """A question with its answer and what getting it took."""

    kind: str
    question: dict[str, Any]
    answer: ArchivedAnswer
    usage: Json = Field(default_factory=dict)

    @property
    def question_id(self) -> str:
        """The question's id, whichever run asked it."""
        return written_id(self.kind, self.question)


class Archive(Record):
    """``recalls`` are what memory gave, cycle by cycle; ``vector`` and ``device`` what was chosen by measurement;
    ``words_spent`` why no model could be asked any more, by the cycle in which the search ended for it.

    ``calls`` are the calls of language models behind the exchanges, prompts and replies included.
    """

    run: str
    goal: Goal
    planner: str
    settings: dict[str, Any] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    exchanges: tuple[ArchivedExchange, ...] = ()
    recalls: tuple[Json, ...] = ()
    vector: dict[str, Any] | None = None
    device: dict[str, Any] | None = None
    calls: tuple[Json, ...] = ()
    words_spent: dict[str, str] = Field(default_factory=dict)


def read_archive(path: Path) -> Archive:
    """An archive out of a file. Raises ConfigError for one that cannot be read or is none."""
    hint = "Write one with: experimenter exchanges RUN --out FILE"
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ConfigError(f"{path} is larger than {MOST_BYTES >> 20} MB.", hint)
        return Archive.model_validate_json(path.read_bytes())
    except OSError as cause:
        raise ConfigError(f"{path} cannot be read: {cause.strerror or cause}.", hint) from cause
    except (ValidationError, ValueError, RecursionError) as cause:
        raise ConfigError(f"{path} is no archive of exchanges.", hint) from cause
