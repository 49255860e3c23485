"""Torch and numpy draw from one generator each in a process; here both draw from the training's own, without a trace.

So what a training comes to depends on (seed, chunk) alone, and not on who else trains in the process.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from experimenter.rl.tensors import load_torch

__all__ = ["drawn_from"]


@contextmanager
def drawn_from(rng: np.random.Generator) -> Iterator[None]:
    """Inside, whatever torch and numpy draw follows from ``rng``; afterwards both stand where they stood before."""
    torch = load_torch()
    torch_before, numpy_before = torch.get_rng_state(), np.random.get_state()
    seed = int(rng.integers(2**32))
    torch.default_generator.manual_seed(seed)
    np.random.seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(torch_before)
        np.random.set_state(numpy_before)
