"""What a run can be told, apart from language models: each setting typed and explained."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from experimenter.records import Record

__all__ = ["RunSettings"]


class RunSettings(Record):
    """What a run can be told: each field is a flag, a key of ``experimenter.toml`` and a variable."""

    workspace: str = Field(
        default="experiments", min_length=1, description="Folder that holds all runs, skills and memory."
    )
    planner: str = Field(
        default="search", min_length=1, description="Who answers the questions: search needs no key."
    )
    curriculum: str = Field(
        default="auto", min_length=1, description="The strategy that decides what to try next."
    )
    controls: Literal["none", "native", "random", "all"] = Field(
        default="native", description="Equal-budget arms that the winner is compared with at the end."
    )
    confirm_seeds: int = Field(
        default=5,
        ge=1,
        le=100,
        description="Fresh training seeds for the winner and for each control; below 5 no verdict.",
    )
    workers: int = Field(
        default=0, ge=0, le=256, description="Worker processes; 0 is the number of cores, at most 4."
    )
    memory: Literal["off", "read", "on"] = Field(
        default="on",
        description="Whether lessons of earlier runs are read, and whether this run adds to them.",
    )
    memory_plugin: str = Field(
        default="vector",
        min_length=1,
        description="What finds lessons, skills and methods: vector or lexical.",
    )
    embedder: str = Field(
        default="hash",
        min_length=1,
        description="Turns texts into vectors: hash, minilm, openai:MODEL, ollama:MODEL, or a plug-in's name.",
    )
    budget_steps: int | None = Field(
        default=500_000,
        description="Learning steps of single environments for search and confirmation; none is no limit.",
    )
    budget_seconds: float | None = Field(
        default=None, description="Active time in seconds; none is no limit."
    )
    budget_tokens: int | None = Field(
        default=None, description="Tokens of a language model; none is no limit."
    )
    budget_dollars: float | None = Field(
        default=None, description="Dollars for a language model; none is no limit."
    )
    max_repairs: int = Field(
        default=2, ge=0, le=20, description="How often a design that failed a check is sent back."
    )
    designs: int = Field(default=8, ge=1, le=64, description="Candidate designs in each trial.")
    algorithm: str = Field(
        default="ppo",
        min_length=1,
        description="What trains: ppo for any actions, sac for continuous ones, dqn for discrete ones,"
        " or the name of another that is installed.",
    )
    early_stopping: Literal["off", "plateau", "forecast"] = Field(
        default="off",
        description="What ends a training of the search before its time: plateau is what is level or collapsed,"
        " forecast also what can no longer reach its rival.",
    )
    vector: Literal["auto", "sync", "native", "workers", "envpool"] = Field(
        default="auto",
        description="How environments are stepped in training: auto takes what is fastest and gives the same results.",
    )
    chunk_steps: int = Field(
        default=16_384, ge=1, le=10_000_000, description="Steps between two checkpoints of a training."
    )
    silence_seconds: float = Field(
        default=60.0, gt=0, le=86_400, description="A worker that says nothing for so long is ended."
    )
    card_steps: int = Field(
        default=2_000,
        ge=1,
        le=1_000_000,
        description="Random steps that measure an environment before the first trial.",
    )
    allow_unsandboxed: bool = Field(
        default=False, description="Run generated code even where it cannot be contained. Dangerous."
    )
    min_free_megabytes: int = Field(
        default=200, ge=0, description="Below so much free disk space a run ends, to be resumed."
    )
    films: bool = Field(
        default=True,
        description="Film winner and control for the report, where the environment can be drawn.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto",
        description="Where networks train: auto takes a graphics card only where it is measured to be faster.",
    )
    eval_episodes: int = Field(
        default=20, ge=1, le=10_000, description="Held-out episodes that score one policy."
    )
