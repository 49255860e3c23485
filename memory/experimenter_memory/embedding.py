"""Finds the embedder that the settings name, and makes sure that what it returns are vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from experimenter import plugins
from experimenter.contracts import Embedder
from experimenter.errors import ConfigError, ExperimenterError

if TYPE_CHECKING:
    import numpy as np

__all__ = ["embed", "load_embedder"]


def load_embedder(name: str) -> Embedder:
    """The embedder behind ``name``: an entry point, or ``entry point:argument`` (``openai:MODEL``).

    Raises NotFound (with did-you-mean) and ConfigError, also where the embedder wants an argument or takes none.
    """
    base, colon, argument = name.partition(":")
    kind = plugins.load("embedders", base)
    try:
        found: Embedder = kind(argument) if colon else kind()
    except TypeError as cause:
        raise ConfigError(
            f"The embedder {name} cannot be made: {cause}.",
            f"Write {base}:MODEL where it needs a model, and only {base} where it takes none.",
        ) from cause
    return found


def embed(embedder: Embedder, texts: Sequence[str]) -> np.ndarray:
    """float32 (n, size) with rows of length 1, or all zeros where a text has no meaning to the embedder.

    Raises ExperimenterError when the embedder breaks its contract.
    """
    import numpy as np

    found = np.asarray(embedder.embed(texts), dtype=np.float64)
    if found.shape != (len(texts), embedder.size) or not np.isfinite(found).all():
        raise ExperimenterError(
            f"The embedder {embedder.id} returned {found.shape} numbers for {len(texts)} texts of {embedder.size}, "
            "or some that are not finite.",
            "Choose another with EXPERIMENTER_EMBEDDER=hash, or repair the plug-in.",
        )
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    return (found / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)
