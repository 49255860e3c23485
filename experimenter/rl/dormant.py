"""Hidden units that no longer react: an early sign of a network that has stopped learning."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["dormant_share"]


def dormant_share(layers: Iterable[NDArray[np.floating[Any]]], threshold: float = 0.025) -> float:
    """Share of units whose mean |activation|, relative to their layer's, is below ``threshold``; 0 without units.

    ``layers`` are activations (networks, n, width). Method: Sokar et al. 2023 (ReDo).
    """
    dormant, units = 0, 0
    for layer in layers:
        activity = np.abs(layer).mean(axis=1)
        relative = activity / (activity.mean(axis=1, keepdims=True) + 1e-9)
        dormant, units = dormant + int((relative < threshold).sum()), units + relative.size
    return dormant / units if units else 0.0
