"""all-MiniLM-L6-v2 through ONNX, where somebody has put its files: a small sentence model, read from disk only."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from experimenter.errors import ConfigError, NotFound

if TYPE_CHECKING:
    import numpy as np

__all__ = ["MiniLMEmbedder"]

SIZE: Final = 384
MOST_TOKENS: Final = 256
_BATCH: Final = 32
_HINT: Final = (
    "Nothing is downloaded unasked. Get it with: pip install huggingface_hub && hf download "
    "sentence-transformers/all-MiniLM-L6-v2 onnx/model.onnx tokenizer.json, or name a folder that holds model.onnx "
    "and tokenizer.json: EXPERIMENTER_EMBEDDER=minilm:FOLDER. EXPERIMENTER_EMBEDDER=hash needs nothing."
)


class MiniLMEmbedder:
    """``contracts.Embedder``: mean of the token vectors under the attention mask, scaled to length 1.

    Raises NotFound when no model or no library is found, ConfigError when the files are no such model.
    """

    contract: ClassVar[int] = 1
    name: ClassVar[str] = "minilm"
    id: str = f"minilm-l6-v2-{SIZE}"
    size: int = SIZE

    def __init__(self, folder: str = "") -> None:
        self._model, self._words = _files(folder)
        self._loaded: tuple[Any, Any] | None = None

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """float32 (n, 384), each row of length 1. The model is loaded at the first call."""
        import numpy as np

        found = [self._some(texts[i : i + _BATCH]) for i in range(0, len(texts), _BATCH)]
        return np.concatenate(found) if found else np.zeros((0, SIZE), dtype=np.float32)

    def _some(self, texts: Sequence[str]) -> np.ndarray:
        import numpy as np

        session, tokenizer = self._load()
        read = tokenizer.encode_batch(list(texts))
        mask = np.array([one.attention_mask for one in read], dtype=np.int64)
        given = {
            "input_ids": np.array([one.ids for one in read], dtype=np.int64),
            "attention_mask": mask,
            "token_type_ids": np.zeros_like(mask),
        }
        wanted = {value.name for value in session.get_inputs()}
        tokens = session.run(None, {name: value for name, value in given.items() if name in wanted})[0]
        self._check(tokens)
        summed = (tokens * mask[:, :, None]).sum(axis=1) / np.maximum(mask.sum(axis=1, keepdims=True), 1)
        lengths = np.linalg.norm(summed, axis=1, keepdims=True)
        scaled: np.ndarray = (summed / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)
        return scaled

    def _check(self, tokens: Any) -> None:
        if tokens.ndim != 3 or tokens.shape[2] != SIZE:
            raise ConfigError(f"{self._model} is not all-MiniLM-L6-v2: it gives {tokens.shape}.", _HINT)

    def _load(self) -> tuple[Any, Any]:
        if self._loaded is None:
            try:
                import onnxruntime
                from tokenizers import Tokenizer
            except ImportError as cause:
                raise NotFound(
                    f"MiniLM needs {cause.name}.", "Install it: pip install 'rl-experimenter[minilm]'."
                ) from cause
            self._loaded = (self._session(onnxruntime), self._tokenizer(Tokenizer))
        return self._loaded

    def _session(self, onnxruntime: Any) -> Any:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        # onnxruntime's errors share no base class of their own.
        own = vars(onnxruntime.capi.onnxruntime_pybind11_state).values()
        kinds = [kind for kind in own if isinstance(kind, type) and issubclass(kind, Exception)]
        damaged: tuple[type[Exception], ...] = (RuntimeError, ValueError, *kinds)
        try:
            return onnxruntime.InferenceSession(str(self._model), options, providers=["CPUExecutionProvider"])
        except damaged as cause:
            raise ConfigError(f"{self._model} cannot be read as a model.", _HINT) from cause

    def _tokenizer(self, kind: Any) -> Any:
        # tokenizers raises bare Exception for a damaged file; its JSON is looked at first.
        import json

        try:
            text = self._words.read_text(encoding="utf-8")
            if not isinstance(json.loads(text), dict):
                raise ValueError("not an object")
            tokenizer = kind.from_str(text)
        except (OSError, ValueError, RecursionError) as cause:
            raise ConfigError(f"{self._words} cannot be read as a tokenizer.", _HINT) from cause
        tokenizer.enable_truncation(MOST_TOKENS)
        tokenizer.enable_padding()
        return tokenizer


def _files(folder: str) -> tuple[Path, Path]:
    """``model.onnx`` and ``tokenizer.json``, from the folder named or from where other programs keep them."""
    places = [Path(folder).expanduser()] if folder else list(_usual_places())
    for place in places:
        for model in (place / "model.onnx", place / "onnx" / "model.onnx"):
            for words in (place / "tokenizer.json", model.parent / "tokenizer.json"):
                if model.is_file() and words.is_file():
                    return model, words
    where = f"in {folder}" if folder else "on this machine"
    raise NotFound(f"The MiniLM model is not {where}.", _HINT)


def _usual_places() -> Iterator[Path]:
    base = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    models = base / "hub" / "models--sentence-transformers--all-MiniLM-L6-v2" / "snapshots"
    yield from sorted(models.glob("*"))
    yield Path.home() / ".cache" / "chroma" / "onnx_models" / "all-MiniLM-L6-v2" / "onnx"
