"""JAX as trainings use it here: one thread, on the CPU, and loaded when the first of them begins."""

from __future__ import annotations

import os
import sys
from typing import Any, Final

__all__ = ["load_jax"]

# Like every other library here: trainings run side by side, and more threads make small networks slower.
_ONE_THREAD: Final = "--xla_cpu_multi_thread_eigen=false"


def load_jax() -> Any:
    """The module ``jax``. Where somebody set ``XLA_FLAGS``, they stay as they are."""
    if "jax" not in sys.modules:
        os.environ.setdefault("XLA_FLAGS", _ONE_THREAD)
    import jax

    library: Any = jax
    library.config.update("jax_platforms", "cpu")
    return library
