"""What a run can be told about language models: which one plays which role, and who answers which question."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from experimenter.config.run import RunSettings

__all__ = ["Settings"]


class Settings(RunSettings):
    """What a run can be told: each field is a flag, a key of ``experimenter.toml`` and a variable.

    Tables may also be written as ``name=value`` texts, several of them in one string with semicolons between.
    """

    model: str | None = Field(
        default=None,
        min_length=1,
        description="The language model: provider:model or an alias; more after commas are tried where it fails.",
    )
    models: dict[str, str] = Field(
        default_factory=dict,
        description="Models of single roles: planner, coder, judge, summary; the others use model.",
    )
    aliases: dict[str, str] = Field(default_factory=dict, description="Short names for models.")
    routes: dict[str, str] = Field(
        default_factory=dict,
        description="Which planner answers a kind of question, where it is not the run's own.",
    )
    notes: tuple[str, ...] = Field(
        default=(),
        description="Rules, hints or files of documentation that are added to the goal in prompts.",
    )
    images: bool = Field(
        default=False,
        description="Show learning curves to models that can see them; images cost tokens as words do.",
    )
    success_test: Literal["auto", "off"] = Field(
        default="auto",
        description="Where no judge applies, whether a planner that can proposes a test of success from the wish.",
    )
    model_seconds: float = Field(
        default=120.0,
        gt=0,
        le=86_400,
        description="What one call of a model may take, all attempts together.",
    )
    question_seconds: float = Field(
        default=600.0, gt=0, le=86_400, description="What all calls for one question may take."
    )
    model_tokens: int = Field(
        default=8_192, ge=256, le=1_000_000, description="Tokens that one reply may have at most."
    )
    model_temperature: float | None = Field(
        default=None, ge=0, le=2, description="Sampling temperature; none leaves it to the service."
    )

    @field_validator("models", "aliases", "routes", mode="before")
    @classmethod
    def _pairs(cls, value: Any) -> Any:
        parts = value.split(";") if isinstance(value, str) else value
        if not isinstance(parts, list | tuple):
            return value
        pairs = [str(part).partition("=") for part in parts if str(part).strip()]
        if any(not sign or not name.strip() or not what.strip() for name, sign, what in pairs):
            raise ValueError("write name=value, several with semicolons between")
        names = [name.strip() for name, _, _ in pairs]
        if len(set(names)) < len(names):
            raise ValueError("a name is given twice")
        return {name.strip(): what.strip() for name, _, what in pairs}

    @field_validator("notes", mode="before")
    @classmethod
    def _one_or_more(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value
