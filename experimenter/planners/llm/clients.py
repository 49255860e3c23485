"""From a model's name to a client that can be asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from experimenter.errors import ConfigError
from experimenter.planners.llm.anthropic import AnthropicClient
from experimenter.planners.llm.compat import CompatClient
from experimenter.planners.llm.endpoints import endpoint_for, speaks_responses
from experimenter.planners.llm.fallback import FallbackClient, Weigh
from experimenter.planners.llm.model import ModelClient, ModelName
from experimenter.planners.llm.openai import OpenAIClient
from experimenter.planners.llm.scripted import ScriptedClient
from experimenter.planners.llm.wire import Limits, Surroundings, Wire

__all__ = ["open_model", "open_models"]


def open_model(
    name: ModelName,
    environ: Mapping[str, str] | None = None,
    limits: Limits | None = None,
    surroundings: Surroundings | None = None,
) -> ModelClient:
    """The client of one model, its key and address taken from ``environ`` (``None``: the process's environment).

    Nothing is sent. Raises ModelFault (``no_key``, ``bad_key``) and ConfigError.
    """
    if name.provider == "scripted":
        return ScriptedClient.from_file(Path(name.model))
    wire = Wire(name, endpoint_for(name.provider, environ), limits, surroundings)
    if name.provider == "openai":
        return OpenAIClient(wire) if speaks_responses(wire.endpoint, environ) else CompatClient(wire)
    return AnthropicClient(wire) if name.provider == "anthropic" else CompatClient(wire)


def open_models(
    names: Sequence[ModelName],
    environ: Mapping[str, str] | None = None,
    limits: Limits | None = None,
    surroundings: Surroundings | None = None,
    weigh: Weigh | None = None,
) -> ModelClient:
    """The client of a model with its fallbacks, which are opened when they are first needed.

    ``weigh`` may forbid a fallback that the budget does not allow any more.
    """
    if not names:
        raise ConfigError("No model is named.", "Write provider:model, for example ollama:llama3.1.")
    if len(names) == 1:
        return open_model(names[0], environ, limits, surroundings)
    opener = partial(open_model, environ=environ, limits=limits, surroundings=surroundings)
    return FallbackClient(names, opener) if weigh is None else FallbackClient(names, opener, weigh)
