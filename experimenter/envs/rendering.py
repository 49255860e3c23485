"""Builds an environment that draws itself, and says in plain words when one cannot."""

from __future__ import annotations

from typing import Any, Final

import gymnasium
import numpy as np
from numpy.typing import NDArray

from experimenter.envs.faults import foreign
from experimenter.envs.make import make
from experimenter.errors import EnvironmentFault
from experimenter.records import EnvSpec

__all__ = ["draw", "frame_rate", "make_rendered"]

MODE: Final = "rgb_array"
USUAL_RATE: Final = 30.0


def make_rendered(spec: EnvSpec) -> gymnasium.Env[Any, Any]:
    """The environment of ``spec`` with ``render_mode="rgb_array"``; everything else is as in training.

    Raises EnvironmentFault when it declares no such mode, and whatever ``make`` raises.
    """
    plain = make(spec)
    with foreign(spec.id, "when its ways of drawing were read"):
        modes = tuple((getattr(plain.unwrapped, "metadata", None) or {}).get("render_modes") or ())
        plain.close()
    if MODE not in modes:
        shown = ", ".join(map(str, modes)) or "none"
        raise EnvironmentFault(
            f"{spec.id} cannot draw pictures: it declares no render mode {MODE!r} (it has: {shown}).",
            "Play it as text instead: experimenter skills play NAME --text.",
        )
    return make(spec.model_copy(update={"kwargs": {**spec.kwargs, "render_mode": MODE}}))


def frame_rate(env: gymnasium.Env[Any, Any]) -> float:
    """Frames in a second of the environment's own time, 1 to 240; 30 where it does not say."""
    told = (getattr(env.unwrapped, "metadata", None) or {}).get("render_fps")
    known = isinstance(told, (int, float)) and not isinstance(told, bool) and np.isfinite(told) and told > 0
    return float(min(240.0, max(1.0, told))) if known and told is not None else USUAL_RATE


def draw(env: gymnasium.Env[Any, Any], spec: EnvSpec) -> NDArray[np.uint8]:
    """One picture, uint8 (height, width, 3). Raises EnvironmentFault for anything else."""
    with foreign(spec.id, "when it drew itself"):
        picture = env.render()  # type: ignore[no-untyped-call, unused-ignore]
        array = np.asarray(picture)
    if array.ndim != 3 or array.shape[2] not in (3, 4) or array.dtype != np.uint8 or not array.size:
        raise EnvironmentFault(
            f"{spec.id} drew something that is no picture: shape {array.shape}, dtype {array.dtype}.",
            "A picture has the shape (height, width, 3) and the dtype uint8. Play it as text with --text.",
        )
    return np.ascontiguousarray(array[:, :, :3])
