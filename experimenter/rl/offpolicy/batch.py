"""What one update learns from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Batch"]

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Batch:
    """n transitions: ``obs`` and ``next_obs`` (n, inputs), ``action`` (n, d), ``reward`` and ``keep`` (n,).

    ``keep`` is 0 where the episode terminated and 1 elsewhere, also where it was cut: there the value of
    ``next_obs``, the true final observation, still counts (Pardo et al. 2018).
    """

    obs: Floats
    action: Floats
    reward: Floats
    keep: Floats
    next_obs: Floats
