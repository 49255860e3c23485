"""What makes two things the same: canonical JSON, hashes, step ids, and seeds by role (``contracts.md``).

Nothing here depends on time, host or order of execution, so that a resumed run finds what it already did.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any, Final

from pydantic import BaseModel

__all__ = ["NAME", "ROLES", "canonical_json", "digest", "role_of", "seeds", "step_id", "valid_name"]

NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
ROLES: Final = (
    "search_train",
    "validation",
    "confirm_train",
    "confirm_eval",
    "control_train",
    "probe",
    "planner",
)
_ROLE_BITS: Final = 28
# Made once: a memory takes the digests of all its texts before its first answer.
_ENCODER: Final = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value


def canonical_json(value: Any) -> str:
    """Sorted keys, UTF-8, no spaces, shortest floats. Raises ValueError on NaN or infinity."""
    return _ENCODER.encode(_plain(value))


def digest(value: Any) -> str:
    """blake2b-128 of the canonical JSON, as 32 hexadecimal digits."""
    return hashlib.blake2b(canonical_json(value).encode(), digest_size=16).hexdigest()


def step_id(
    *,
    run: str,
    cycle: int,
    kind: str,
    index: int,
    design: str = "",
    seed: int = 0,
    steps: int = 0,
    v: int = 1,
) -> str:
    """The id of one step of a run: from what defines it, never the run's budget, never a time."""
    return digest([v, run, cycle, kind, index, design, seed, steps])


def seeds(run_seed: int, role: str, count: int, *path: int | str) -> tuple[int, ...]:
    """``count`` distinct 31-bit seeds for one role; ``path`` tells apart uses within it.

    The role occupies the top three bits, so that two roles can never share a seed, whatever the hash does.
    Raises ValueError for an unknown role.
    """
    import numpy as np

    high = ROLES.index(role) << _ROLE_BITS
    words = [int.from_bytes(hashlib.blake2b(str(p).encode(), digest_size=4).digest()) for p in (role, *path)]
    rng = np.random.default_rng(np.random.SeedSequence([run_seed, *words]))
    drawn: dict[int, None] = {}
    while len(drawn) < count:
        drawn[int(rng.integers(0, 1 << _ROLE_BITS))] = None
    return tuple(high | low for low in drawn)


def role_of(seed: int) -> str:
    """The role that a seed was drawn for; what derives from it stays in that role. Other numbers search."""
    number = seed >> _ROLE_BITS
    return ROLES[number] if 0 <= number < len(ROLES) else ROLES[0]


def valid_name(name: str, pattern: re.Pattern[str] = NAME) -> bool:
    """Whether the whole of ``name`` is a valid run, task or design name."""
    return pattern.fullmatch(name) is not None


def slug(words: str, fallback: str, taken: Sequence[str] = ()) -> str:
    """A valid name from free text, made distinct from those ``taken``."""
    base = re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")[:30].strip("_")
    base = base if valid_name(base) else fallback
    names, number = set(taken), 2
    name = base
    while name in names:
        name, number = f"{base}_{number}", number + 1
    return name
