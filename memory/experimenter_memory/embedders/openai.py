"""OpenAI's embeddings, or any endpoint that speaks the same, through the official SDK. Texts leave the machine."""

from __future__ import annotations

import os
from typing import Any, ClassVar, Final

from experimenter.errors import ConfigError, ExperimenterError, NotFound
from experimenter_memory.embedders.remote import RemoteEmbedder

__all__ = ["OpenAIEmbedder"]

SECONDS: Final = 30.0
RETRIES: Final = 2


class OpenAIEmbedder(RemoteEmbedder):
    """``contracts.Embedder`` as ``openai:MODEL``; key and address from OPENAI_API_KEY and OPENAI_BASE_URL.

    Raises NotFound without the SDK, ConfigError without a model or a key or when either is refused, and
    ExperimenterError when the endpoint does not answer, or not with embeddings.
    """

    batch: ClassVar[int] = 256
    name: ClassVar[str] = "openai"

    def __init__(self, model: str) -> None:
        if not model:
            raise ConfigError(
                "Which model? None was named.", "Write openai:text-embedding-3-small, for example."
            )
        if not os.environ.get("OPENAI_API_KEY"):
            raise ConfigError(
                "OPENAI_API_KEY is not set.", "Set it, or choose an embedder that needs no key: hash."
            )
        self.id = f"openai-{model}"
        self._model = model
        self._client: Any = None

    def _some(self, texts: list[str]) -> list[list[float]]:
        client, openai = self._open()
        try:
            answer = client.embeddings.create(model=self._model, input=texts, encoding_format="float")
            rows = [list(map(float, one.embedding)) for one in sorted(answer.data, key=lambda one: one.index)]
        except (openai.AuthenticationError, openai.PermissionDeniedError) as cause:
            raise ConfigError("The embeddings endpoint refuses the key.", "Check OPENAI_API_KEY.") from cause
        except openai.NotFoundError as cause:
            raise ConfigError(
                f"The embeddings endpoint has no model {self._model}.", "Name another: openai:MODEL."
            ) from cause
        except openai.APITimeoutError as cause:
            raise _failed(f"has not answered in {SECONDS:.0f} seconds") from cause
        except openai.APIConnectionError as cause:
            raise _failed("cannot be reached") from cause
        except openai.APIStatusError as cause:
            raise _failed(f"answers with status {cause.status_code}") from cause
        except (openai.OpenAIError, TypeError, ValueError, AttributeError) as cause:
            raise _failed("does not answer with embeddings") from cause
        if len(rows) != len(texts) or len({len(row) for row in rows}) != 1 or not rows[0]:
            raise _failed(f"returned {len(rows)} embeddings for {len(texts)} texts, or of several sizes")
        return rows

    def _open(self) -> tuple[Any, Any]:
        try:
            import openai
        except ImportError as cause:
            raise NotFound(
                "The openai package is not installed.", "Install it: pip install 'rl-experimenter[openai]'."
            ) from cause
        if self._client is None:
            self._client = openai.OpenAI(timeout=SECONDS, max_retries=RETRIES)
        return self._client, openai


def _failed(what: str) -> ExperimenterError:
    return ExperimenterError(
        f"The embeddings endpoint {what}.",
        "Try again later, check OPENAI_BASE_URL, or choose EXPERIMENTER_EMBEDDER=hash (then: experimenter memory "
        "reindex).",
    )
