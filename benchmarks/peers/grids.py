"""MiniGrid's view as one-hot numbers, as this engine's pipeline makes them, for peers that read plain vectors."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

__all__ = ["OneHotView", "one_hot"]

SIZES = (11, 6, 3)
WIDTH = sum(SIZES)


def one_hot(images: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
    """float32 (n, cells · 20) of byte images (n, w, h, 3): object, colour and state of each cell."""
    cells = np.asarray(images, dtype=np.int64).reshape(len(images), -1, len(SIZES))
    at = cells + np.array([0, *np.cumsum(SIZES)[:-1]]) + WIDTH * np.arange(cells.shape[1])[:, None]
    out = np.zeros((len(images), WIDTH * cells.shape[1]), dtype=np.float32)
    np.put_along_axis(out, at.reshape(len(images), -1), 1.0, axis=1)
    return out


class OneHotView(gymnasium.ObservationWrapper[Any, Any, Any]):
    """The view, without compass and mission."""

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        count = int(np.prod(env.observation_space["image"].shape[:2]))
        self.observation_space = spaces.Box(0.0, 1.0, (WIDTH * count,), np.float32)

    def observation(self, observation: Any) -> Any:
        return one_hot(observation["image"][None])[0]
