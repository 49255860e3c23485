"""Arrays to work in, used again and again: fresh ones of a hundred kilobytes cost more than the sums done in them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Scratch"]


class Scratch:
    """Hands out one array for each name, shape and type. What stood in it is lost with the next call for it."""

    def __init__(self) -> None:
        self._arrays: dict[tuple[Any, ...], NDArray[Any]] = {}

    def array(self, name: str, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """The array, with anything in it."""
        key = name, shape, dtype
        found = self._arrays.get(key)
        if found is None:
            found = self._arrays[key] = np.empty(shape, dtype)
        return found

    def ones(self, n: int, dtype: Any) -> NDArray[Any]:
        """(n,) ones, not to be written to."""
        key = "ones", (n,), dtype
        found = self._arrays.get(key)
        if found is None:
            found = self._arrays[key] = np.ones(n, dtype)
        return found
