"""A local Ollama server's embeddings (``/api/embed``), with a deadline and a limit on what is read."""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any, ClassVar, Final

from experimenter.errors import ConfigError, ExperimenterError
from experimenter_memory.embedders.remote import RemoteEmbedder

__all__ = ["OllamaEmbedder"]

SECONDS: Final = 60.0
MOST_BYTES: Final = 64 * 1024 * 1024
_PORT: Final = 11434
_BLOCK: Final = 1 << 16


class OllamaEmbedder(RemoteEmbedder):
    """``contracts.Embedder`` as ``ollama:MODEL``; the address from OLLAMA_HOST, as Ollama itself reads it.

    Raises ConfigError without a model, for an address that is none, or for a model that is not pulled, and
    ExperimenterError when the server does not answer in time, or not with embeddings. Never pulls a model.
    """

    batch: ClassVar[int] = 64
    name: ClassVar[str] = "ollama"

    def __init__(self, model: str, seconds: float = SECONDS) -> None:
        if not model:
            raise ConfigError("Which model? None was named.", "Write ollama:nomic-embed-text, for example.")
        self.id = f"ollama-{model}"
        self._model, self._seconds = model, seconds
        self._address = _address(os.environ.get("OLLAMA_HOST", ""))

    def _some(self, texts: list[str]) -> list[list[float]]:
        try:
            told = json.loads(self._post({"model": self._model, "input": texts}))
            rows = [[float(x) for x in row] for row in told["embeddings"]]
        except (ValueError, TypeError, KeyError, RecursionError) as cause:
            raise _failed(self._address, "does not answer with embeddings") from cause
        if len(rows) != len(texts) or len({len(row) for row in rows}) != 1 or not rows[0]:
            raise _failed(self._address, f"returned {len(rows)} embeddings for {len(texts)} texts")
        return rows

    def _post(self, words: dict[str, Any]) -> bytes:
        request = urllib.request.Request(
            f"{self._address}/api/embed",
            data=json.dumps(words).encode(),
            headers={"Content-Type": "application/json"},
        )
        deadline = time.monotonic() + self._seconds
        # Our own address, and never a proxy's: the texts are meant for this machine's server.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=self._seconds) as answer:
                return _read(answer, deadline, self._address)
        except urllib.error.HTTPError as cause:
            if cause.code == 404:
                raise ConfigError(
                    f"Ollama at {self._address} has no model {self._model}.",
                    f"Get it with: ollama pull {self._model}",
                ) from cause
            raise _failed(self._address, f"answers with status {cause.code}") from cause
        except TimeoutError as cause:
            raise _failed(self._address, f"has not answered in {self._seconds:.0f} seconds") from cause
        except (OSError, http.client.HTTPException) as cause:
            raise _failed(self._address, "cannot be reached") from cause


def _read(answer: Any, deadline: float, address: str) -> bytes:
    """The whole body. A server that drips is ended at the deadline, one that floods at the limit."""
    parts, total = [], 0
    while block := answer.read1(_BLOCK):
        total += len(block)
        if total > MOST_BYTES:
            raise _failed(address, f"sends more than {MOST_BYTES // 1_048_576} MiB")
        if time.monotonic() > deadline:
            raise TimeoutError
        parts.append(block)
    return b"".join(parts)


def _address(host: str) -> str:
    """``OLLAMA_HOST`` as Ollama reads it: scheme and port may be missing; 0.0.0.0 means this machine."""
    text = host.strip() or "127.0.0.1"
    parts = urllib.parse.urlsplit(text if "//" in text else f"http://{text}")
    try:
        port = parts.port or {"https": 443}.get(parts.scheme, _PORT)
    except ValueError as cause:
        raise ConfigError(
            f"OLLAMA_HOST is no address: {host!r}.", "Write for example 127.0.0.1:11434."
        ) from cause
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"OLLAMA_HOST is no address: {host!r}.", "Write for example 127.0.0.1:11434.")
    name = "127.0.0.1" if parts.hostname == "0.0.0.0" else parts.hostname
    return f"{parts.scheme}://{f'[{name}]' if ':' in name else name}:{port}"


def _failed(address: str, what: str) -> ExperimenterError:
    return ExperimenterError(
        f"Ollama at {address} {what}.",
        "Start it with: ollama serve, check OLLAMA_HOST, or choose EXPERIMENTER_EMBEDDER=hash (then: experimenter "
        "memory reindex).",
    )
