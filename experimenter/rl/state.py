"""Everything a training is between two chunks, and its checkpoint files: two are kept, each whole or absent."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from experimenter.errors import WorkspaceError
from experimenter.identity import canonical_json
from experimenter.policies.normaliser import Normaliser
from experimenter.policies.policy import ActionMode
from experimenter.records import CurvePoint
from experimenter.rl.episodes import ComponentLog

__all__ = ["Best", "TrainingState", "load_newest", "pack", "save_checkpoint", "unpack"]

KEEP: Final = 2
PATTERN: Final = "checkpoint-*.bin"
Floats = NDArray[np.float32]


@dataclass(slots=True)
class Best:
    """The best policy so far by validation, with the mode of acting that earned it and its score for each seed."""

    flat: Floats
    normaliser: Normaliser | None
    mode: ActionMode
    scores: tuple[float, ...]
    steps: int


@dataclass(slots=True)
class TrainingState:
    """``flat`` weights, Adam's ``m``, ``v``, ``t``; ``steps`` in the design, ``done`` of them in ``phase``.

    ``env_steps`` also counts steps that a roll-back threw away. ``scaler`` is (mean, var, count) of the rewards'
    scale in ``phase``, and ``starts`` what a start method knows there. ``ended`` says why a training ended early.
    ``seconds`` and ``wasted`` are volatile.
    """

    flat: Floats
    m: Floats
    v: Floats
    t: int
    normaliser: Normaliser | None
    reach: NDArray[np.int64]
    components: ComponentLog = field(default_factory=ComponentLog)
    scaler: tuple[float, float, float] | None = None
    chunk: int = 0
    phase: int = 0
    done: int = 0
    steps: int = 0
    env_steps: int = 0
    eval_steps: int = 0
    rate_scale: float = 1.0
    dormant_share: float = 0.0
    episode_length: float | None = None
    ended: str = ""
    curve: list[CurvePoint] = field(default_factory=list)
    best: Best | None = None
    containment: str = "none needed"
    seconds: float = 0.0
    wasted: int = 0
    starts: dict[str, Any] | None = None


_PLAIN: Final = (
    *("t", "chunk", "phase", "done", "steps", "env_steps", "eval_steps", "rate_scale", "dormant_share"),
    *("episode_length", "ended", "containment", "seconds", "wasted"),
)


def pack(state: TrainingState) -> bytes:
    """The whole state: a digest, then safetensors with the plain part as JSON in a byte array."""
    from safetensors.numpy import save

    plain: dict[str, Any] = {name: getattr(state, name) for name in _PLAIN}
    plain["scaler"] = list(state.scaler) if state.scaler else None
    plain["normaliser"] = state.normaliser.to_json() if state.normaliser else None
    plain["components"] = state.components.to_json()
    plain["curve"] = [point.model_dump(mode="json") for point in state.curve]
    if state.starts is not None:
        plain["starts"] = state.starts
    arrays = {"flat": state.flat, "m": state.m, "v": state.v, "reach": state.reach}
    if (best := state.best) is not None:
        arrays["best"] = best.flat
        plain["best"] = {"mode": best.mode, "scores": list(best.scores), "steps": best.steps}
        plain["best"]["normaliser"] = best.normaliser.to_json() if best.normaliser else None
    arrays["plain"] = np.frombuffer(canonical_json(plain).encode(), dtype=np.uint8)
    body = save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    return hashlib.blake2b(body, digest_size=32).digest() + body


def unpack(data: bytes) -> TrainingState | None:
    """The state, or ``None`` when the bytes are damaged."""
    from safetensors.numpy import load

    body = data[32:]
    if hashlib.blake2b(body, digest_size=32).digest() != data[:32]:
        return None
    arrays = {name: np.array(array) for name, array in load(body).items()}
    plain = json.loads(arrays["plain"].tobytes())
    state = TrainingState(
        flat=arrays["flat"], m=arrays["m"], v=arrays["v"], t=plain["t"],
        normaliser=_normaliser(plain["normaliser"]), reach=arrays["reach"],
    )  # fmt: skip
    for name in _PLAIN:
        setattr(state, name, plain[name])
    state.scaler = tuple(plain["scaler"]) if plain["scaler"] else None
    state.starts = plain.get("starts")
    state.components = ComponentLog.from_json(plain["components"])
    state.curve = [CurvePoint.model_validate(point) for point in plain["curve"]]
    if best := plain.get("best"):
        normaliser = _normaliser(best["normaliser"])
        state.best = Best(arrays["best"], normaliser, best["mode"], tuple(best["scores"]), best["steps"])
    return state


def _normaliser(value: dict[str, Any] | None) -> Normaliser | None:
    return None if value is None else Normaliser.from_json(value)


def save_checkpoint(folder: Path, state: TrainingState, packed: bytes | None = None) -> None:
    """Write the state, perhaps ``packed`` already, aside and rename it; then drop all but the newest two."""
    from experimenter.workspace.files import write_atomic

    write_atomic(folder / f"checkpoint-{state.chunk:06d}.bin", pack(state) if packed is None else packed)
    for old in sorted(folder.glob(PATTERN))[:-KEEP]:
        old.unlink(missing_ok=True)


def load_newest(folder: Path) -> TrainingState | None:
    """The newest whole checkpoint; a damaged one is set aside and the one before is used. ``None``: none yet."""
    for path in sorted(folder.glob(PATTERN), reverse=True):
        try:
            state = unpack(path.read_bytes())
        except OSError as error:
            raise WorkspaceError(
                f"cannot read {path}: {error.strerror}", "Check the disk and its permissions."
            ) from error
        if state is not None:
            return state
        path.rename(path.with_suffix(".damaged"))
    return None
