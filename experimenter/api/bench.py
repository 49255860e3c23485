"""The reward bench from Python: a program may come as its source, in a file, or as a record."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from experimenter.errors import UsageError
from experimenter.records import RewardProgram

if TYPE_CHECKING:
    from experimenter.loop.benched import Bench

__all__ = ["bench"]


def bench(program: str | Path | RewardProgram, env: str, kwargs: dict[str, Any], **how: Any) -> Bench:
    """``loop.bench`` on whatever ``program`` is; ``how`` are its keywords. Raises UsageError for no program at all."""
    from experimenter.loop.bench import bench_file, bench_reward

    if isinstance(program, Path):
        return bench_file(program.expanduser(), env, kwargs, **how)
    record = program if isinstance(program, RewardProgram) else _from_source(program)
    return bench_reward(record, env, kwargs, **how)


def _from_source(source: str) -> RewardProgram:
    from pydantic import ValidationError

    if "def " not in source:
        hint = "Give the source with its def reward(t), or a pathlib.Path to a file that holds it."
        raise UsageError(f"{source[:80]!r} is no source of a reward program.", hint)
    try:
        return RewardProgram(name="reward", source=source, origin="person")
    except ValidationError as cause:
        raise UsageError(
            f"That is no reward program: {cause.errors()[0]['msg']}.", "See docs/reward-programs.md."
        ) from cause
