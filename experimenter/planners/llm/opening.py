"""From a run's settings to a planner that asks its models: names, keys, limits, and a gate that keeps the budget."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from experimenter.config import Settings
from experimenter.errors import ConfigError
from experimenter.planners.desk import Desk
from experimenter.planners.llm import wire
from experimenter.planners.llm.asking import Limits
from experimenter.planners.llm.calls import Gate
from experimenter.planners.llm.clients import open_model, open_models
from experimenter.planners.llm.estimating import dearest, estimated_tokens
from experimenter.planners.llm.model import ModelClient, ModelName, ModelRequest
from experimenter.planners.llm.names import ROLES, Role, resolve_role
from experimenter.planners.llm.planner import LLMPlanner

__all__ = ["DEFAULT_MODELS", "check_models", "models_of", "open_llm"]

DEFAULT_MODELS: Final[Mapping[str, tuple[str, str]]] = {
    "ANTHROPIC_API_KEY": ("anthropic", "claude-sonnet-5-5"),
    "OPENAI_API_KEY": ("openai", "gpt-6.1-sol"),
}
"""Which model a key chooses where none is named; the first key that is set decides."""


def models_of(
    settings: Settings, environ: Mapping[str, str] | None = None
) -> dict[Role, tuple[ModelName, ...]]:
    """The models of every role, fallbacks included. Raises ConfigError where none is named and no key chooses one."""
    roles = dict(settings.models)
    if settings.model:
        roles = {"planner": settings.model, **roles}
    if "planner" not in roles:
        roles["planner"] = _chosen_by_key(os.environ if environ is None else environ)
    return {role: resolve_role(role, roles, settings.aliases) for role in ROLES}


def check_models(settings: Settings) -> None:
    """Opens the first model of every role, so that a missing key or a wrong name is told before a run is created.

    Nothing is sent. Raises ConfigError and ModelFault.
    """
    for name in sorted({names[0] for names in models_of(settings).values()}, key=str):
        open_model(name)


def open_llm(desk: Desk) -> LLMPlanner:
    """The planner of a run. Its models are opened when they are first asked."""
    names, settings = models_of(desk.settings), desk.settings
    around = wire.Surroundings(stop=desk.stop)
    limits = wire.Limits(seconds=settings.model_seconds)

    def client(role: Role) -> ModelClient:
        return open_models(names[role], None, limits, around)

    return LLMPlanner(
        clients=client,
        notes=desk.notes,
        limits=Limits(
            max_tokens=settings.model_tokens,
            temperature=settings.model_temperature,
            call_seconds=settings.model_seconds,
            seconds=settings.question_seconds,
        ),
        log=desk.log,
        gate=_gate(desk, names),
        ordinal=desk.ordinal,
        images=settings.images,
        models={role: str(models[0]) for role, models in names.items()},
    )


def _gate(desk: Desk, names: Mapping[Role, tuple[ModelName, ...]]) -> Gate:
    """Each call is weighed at its most: all of its reply, at the dearest of the models that may answer."""
    families = {models[0]: models for models in names.values()}

    def gate(model: ModelName, request: ModelRequest) -> None:
        tokens = estimated_tokens(request)
        most = dearest(families.get(model, (model,)), tokens, request.max_tokens)
        desk.afford(tokens + request.max_tokens, most)

    return gate


def _chosen_by_key(environ: Mapping[str, str]) -> str:
    for key, (provider, model) in DEFAULT_MODELS.items():
        if environ.get(key, "").strip():
            return f"{provider}:{model}"
    raise ConfigError(
        "No language model is named, and no key is set that would choose one.",
        "Name one with --model provider:model (ollama:llama3.1 needs no key), or set ANTHROPIC_API_KEY or"
        " OPENAI_API_KEY. The planner that needs no model is --planner search.",
    )
