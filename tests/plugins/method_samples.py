"""Cards, programs and batches that the tests of method skills share."""

from __future__ import annotations

from typing import Any

import numpy as np

from experimenter.envs.records import EnvCard
from experimenter.records import RewardProgram
from experimenter.sandbox.facade import Batch
from experimenter.sandbox.static import static_check
from experimenter.sandbox.worker import load
from tests.kernel.cards import card, flag, number, rollouts


def car() -> EnvCard:
    """MountainCar's features, and a flag with its memory."""
    features = [
        number("position", 0, (-1.2, 0.6), (-0.75, -0.32)),
        number("velocity", 1, (-0.07, 0.07), (-0.018, 0.021)),
        flag("up", met=True, rule="index"),
        flag("ever_up", met=True, rule="ever", of="up"),
    ]
    return card("MountainCar-v0", features, rollouts(-200.0))


def program(source: str, name: str = "sample") -> RewardProgram:
    return RewardProgram(name=name, source=source)


def batch(n: int = 40, seed: int = 0) -> dict[str, Any]:
    """Transitions with every field that a program may name."""
    rng = np.random.default_rng(seed)
    fields: dict[str, Any] = {
        "obs": rng.normal(size=(n, 4)).astype(np.float32),
        "next_obs": rng.normal(size=(n, 4)).astype(np.float32),
        "action": rng.integers(0, 3, n),
        "terminated": rng.random(n) < 0.3,
        "truncated": rng.random(n) < 0.2,
        "native_reward": rng.normal(size=n),
        "elapsed": rng.integers(0, 200, n).astype(np.int32),
        "gamma": 0.97,
    }
    for side in ("now", "next"):
        fields[f"{side}.position"] = rng.uniform(-1.2, 0.6, n).astype(np.float32)
        fields[f"{side}.velocity"] = rng.uniform(-0.07, 0.07, n).astype(np.float32)
        fields[f"{side}.up"] = (rng.random(n) < 0.5).astype(np.float32)
        fields[f"{side}.ever_up"] = (rng.random(n) < 0.5).astype(np.float32)
    return fields


def paid(source: str, fields: dict[str, Any] | None = None) -> dict[str, np.ndarray]:
    """What a program pays on a batch, by the worker's own code, without its process."""
    known = batch() if fields is None else fields
    named = static_check(source).fields
    with np.errstate(all="ignore"):
        found = load({"source": source, "checked": True})(
            Batch.of({name: known[name] for name in named if name in known})
        )
    return {name: np.asarray(value, dtype=np.float64) for name, value in found.items()}
