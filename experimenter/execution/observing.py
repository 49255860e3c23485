"""Collects observations for checking an exported policy: half met by the policy itself, half by random actions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from experimenter.records import EnvSpec, Record

__all__ = ["ObserveOrder", "observe", "read_observations"]

Progress = Callable[[dict[str, Any]], None]
FILE: Final = "observations.npz"
LONE: Final = "observation"


class ObserveOrder(Record):
    """``count`` observations of an environment, written into ``folder``."""

    policy_folder: str
    policy_hash: str
    environment: EnvSpec
    count: int
    seed: int
    folder: str


def observe(order: ObserveOrder, progress: Progress) -> dict[str, Any]:
    """Writes ``observations.npz``; returns how many there are. Raises WorkspaceError or EnvironmentFault."""
    from experimenter.envs.vector import SyncVector
    from experimenter.identity import seeds
    from experimenter.policies.policy import load_policy

    policy = load_policy(Path(order.policy_folder), order.policy_hash)
    rng = np.random.default_rng(order.seed)
    vector, rows = SyncVector(order.environment, 1), list[Mapping[str, NDArray[Any]]]()
    memory = policy.blank(1)
    try:
        vector.action_space.seed(order.seed)
        seen = vector.reset(seeds(order.seed, "probe", 1, "export"))
        for step in range(order.count):
            rows.append(seen if isinstance(seen, Mapping) else {LONE: seen})
            by_policy = step < order.count // 2
            drawn = np.asarray(vector.action_space.sample())[None]
            chosen = policy.act(seen, policy.action_mode, rng, memory) if by_policy else drawn
            told = vector.step(chosen)
            seen = told.obs
            memory[told.terminated | told.truncated] = 0.0
            progress({"steps": step})
    finally:
        vector.close()
    arrays = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    np.savez_compressed(Path(order.folder) / FILE, **arrays)  # type: ignore[arg-type, unused-ignore]
    return {"count": len(rows)}


def read_observations(folder: Path) -> NDArray[Any] | dict[str, NDArray[Any]]:
    """What ``observe`` left in ``folder``, as a batch that a policy reads."""
    with np.load(folder / FILE, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    return arrays[LONE] if list(arrays) == [LONE] else arrays
